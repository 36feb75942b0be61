import { expect } from 'chai';
import { HttpError } from '../../src/core/base/errors.js';
import { JSON_LIMITS, parseJson } from '../../src/core/input/json.js';

describe('parseJson', () => {
  it('gives the value of text and of bytes', () => {
    const value = { text: 'zwölf "Boxkämpfer" \\', list: [1, null, true, { deep: [] }], empty: '' };
    const text = JSON.stringify(value);
    expect(parseJson(text)).to.deep.equal(value);
    expect(parseJson(Buffer.from(text))).to.deep.equal(value);
    expect(parseJson(' 1 ')).to.equal(1);
    expect(parseJson('null')).to.equal(null);
  });

  it('ignores a byte order mark at the start, and only there', () => {
    expect(parseJson('\ufeff{"a":1}')).to.deep.equal({ a: 1 });
    expect(parseJson(Buffer.from('\ufeff{"a":1}'))).to.deep.equal({ a: 1 });
    expect(refusal('{"a":\ufeff1}').detail).to.equal('malformed JSON');
  });

  for (const text of [
    '',
    ' ',
    '{',
    '{"a":1,}',
    "{'a':1}",
    '[1 2]',
    'secret',
    '"secret',
    '{"a":"\u0001secret"}',
    '1e',
    '\\',
  ]) {
    it(`refuses ${JSON.stringify(text)} in the same words as all malformed text`, () => {
      const error = refusal(text);
      expect(error.status).to.equal(400);
      expect(error.detail).to.equal('malformed JSON');
      expect(error.message).to.equal('malformed JSON');
      expect(error.cause).to.be.instanceOf(SyntaxError);
    });
  }

  it('refuses bytes that are not UTF-8', () => {
    expect(refusal(Buffer.from([0x22, 0xc3, 0x28, 0x22])).detail).to.equal('JSON that is not valid UTF-8');
  });

  for (const key of ['__proto__', '\\u005f\\u005fproto__', '_\\u005Fpr\\u006fto__']) {
    it(`refuses ${key} as a key, at any depth`, () => {
      for (const text of [`{"${key}":{"polluted":1}}`, `[{"a":{"${key}":1}}]`]) {
        expect(refusal(text).status).to.equal(400);
        expect(refusal(text).detail).to.equal('JSON with a forbidden key');
      }
      expect(Object.prototype).not.to.have.property('polluted');
    });
  }

  it('refuses constructor.prototype, and takes a constructor of another kind', () => {
    expect(refusal('{"constructor":{"prototype":{"polluted":1}}}').detail).to.equal(
      'JSON with a forbidden key',
    );
    expect(parseJson('{"constructor":"Brunel","prototype":1}')).to.deep.equal({
      constructor: 'Brunel',
      prototype: 1,
    });
    expect(parseJson('"__proto__"')).to.equal('__proto__');
  });

  it('takes 64 levels and refuses 65, of arrays and objects alike', () => {
    expect(JSON_LIMITS.depth).to.equal(64);
    expect(parseJson('['.repeat(64) + ']'.repeat(64))).to.be.an('array');
    expect(refusal('['.repeat(65) + ']'.repeat(65)).detail).to.equal(
      'JSON nested deeper than 64, at position 64',
    );
    expect(parseJson('{"a":'.repeat(64) + '1' + '}'.repeat(64))).to.be.an('object');
    expect(refusal('{"a":'.repeat(65) + '1' + '}'.repeat(65)).status).to.equal(400);
    expect(parseJson(`[${Array.from({ length: 1_000 }, () => '[]').join()}]`)).to.have.lengthOf(1_000);
  });

  it('refuses a million levels without recursion', () => {
    expect(refusal('['.repeat(1_000_000)).detail).to.equal('JSON nested deeper than 64, at position 64');
  });

  it('takes 10,000 keys and refuses 10,001, wherever they are', () => {
    const text = (keys: number): string =>
      `[${Array.from({ length: keys }, (_, key) => `{"k${key}":1}`).join()}]`;
    expect(JSON_LIMITS.keys).to.equal(10_000);
    expect(parseJson(text(10_000))).to.have.lengthOf(10_000);
    expect(refusal(text(10_001)).detail).to.match(/^JSON with more than 10000 keys, at position \d+$/);
  });

  it('holds a small limit of keys for a short text too', () => {
    expect(parseJson('{"a":1,"b":2}', { depth: 64, keys: 2 })).to.deep.equal({ a: 1, b: 2 });
    expect(refusal('{"":1,"":2,"":3}', { depth: 64, keys: 2 }).status).to.equal(400);
    expect(refusal('[[[]]]', { depth: 2, keys: 2 }).status).to.equal(400);
  });

  it('counts nothing that is inside a string', () => {
    const text = `${'[{:'.repeat(100)}\\"${':'.repeat(20_000)}\\\\`;
    const value = { [text]: text, end: '\\' };
    expect(parseJson(JSON.stringify(value))).to.deep.equal(value);
    expect(refusal(JSON.stringify(['\\', '\\"']).slice(0, -1) + ',' + '['.repeat(200)).detail).to.match(
      /nested deeper/,
    );
  });
});

function refusal(text: string | Buffer, limits = JSON_LIMITS): HttpError {
  try {
    parseJson(text, limits);
  } catch (error) {
    if (error instanceof HttpError) return error;
    throw error;
  }
  throw new Error('the text was taken');
}
