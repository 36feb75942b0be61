import { expect } from 'chai';
import vm from 'node:vm';
import { bytesOf, isBlob } from '../../src/core/base/bytes.js';

describe('bytes', () => {
  const { buffer } = Uint8Array.of(1, 2, 3, 4);
  const shared = new SharedArrayBuffer(2);
  new Uint8Array(shared).set([7, 8]);

  for (const [name, value, bytes] of [
    ['an ArrayBuffer', buffer, [1, 2, 3, 4]],
    ['a SharedArrayBuffer', shared, [7, 8]],
    ['a DataView of a part', new DataView(buffer, 1, 2), [2, 3]],
    ['a view of wider elements', new Uint16Array(buffer, 2, 1), [3, 4]],
    ['a Buffer', Buffer.from('a'), [97]],
    ['an ArrayBuffer of another realm', vm.runInNewContext('Uint8Array.of(5).buffer'), [5]],
    ['a view of another realm', vm.runInNewContext('Uint8Array.of(6)'), [6]],
  ] as const) {
    it(`are read from ${name}`, () => {
      expect([...(bytesOf(value) ?? [])]).to.deep.equal(bytes);
    });
  }

  it('are not copied', () => {
    const view = Uint8Array.of(1);

    expect(bytesOf(view)).to.equal(view);
    expect(bytesOf(buffer)?.buffer).to.equal(buffer);
  });

  it('are not read from anything else', () => {
    for (const value of [undefined, null, 'text', 1, [1, 2], { byteLength: 1 }, new Blob(['a'])]) {
      expect(bytesOf(value)).to.equal(undefined);
    }
  });

  it('of a Blob come later: Blobs are recognised by class or by shape', () => {
    const foreign = {
      [Symbol.toStringTag]: 'File',
      size: 1,
      stream: () => undefined,
      arrayBuffer: () => undefined,
    };

    expect([new Blob(['a']), new File(['a'], 'a.txt'), foreign].every(isBlob)).to.equal(true);
    expect([undefined, null, {}, { size: 1 }, new Response('a')].some(isBlob)).to.equal(false);
  });
});
