import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as send, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { ConfigurationError, Disconnected, HttpError } from '../../src/core/base/errors.js';
import { openMultipart, type Multipart, type MultipartOptions } from '../../src/core/input/multipart.js';

const LIMIT = 50_000_000;
const BIG = 5_000_000;

describe('Multipart', () => {
  let server: Server;
  let port: number;
  let options: MultipartOptions;
  let read: (form: Multipart, request: IncomingMessage) => Promise<unknown>;
  let outcome: Promise<unknown>;
  const unhandled: unknown[] = [];
  const note = (error: unknown): number => unhandled.push(error);

  beforeEach(async () => {
    options = { limit: LIMIT };
    unhandled.length = 0;
    process.on('unhandledRejection', note);
    let settle: (value: unknown) => void;
    outcome = new Promise((resolve) => (settle = resolve));
    server = createServer((request, response) => {
      void openMultipart(request, request.headers['content-type'] ?? '', options)
        .then((form) => read(form, request))
        .catch((error: unknown) => error)
        .then((value) => {
          settle(value);
          if (value instanceof HttpError) response.writeHead(value.status, value.headers);
          response.end();
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    process.off('unhandledRejection', note);
    expect(unhandled).to.deep.equal([]);
  });

  async function post(form: FormData): Promise<unknown> {
    // A client that is refused while it still sends may find its connection closed before it reads the answer.
    const answer = fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: form })
      .then((response) => response.arrayBuffer())
      .catch((error: unknown) => error);
    const value = await outcome;
    if ((await answer) instanceof Error) expect(value).to.be.instanceOf(HttpError);
    return value;
  }

  /** Sends a body as it is written here, and waits for the answer. */
  async function postRaw(body: string, type = 'multipart/form-data; boundary=x'): Promise<unknown> {
    const request = send({ port, host: '127.0.0.1', method: 'POST', headers: { 'content-type': type } });
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response.resume(), 'end');
    return outcome;
  }

  for (const size of [10_000, 16_384, 17_000, 60_000, 200_000]) {
    it(`goes on behind a part of ${size} bytes that has no name and is skipped`, async () => {
      read = (form) => form.fields();
      const skipped = `--x\r\nContent-Nothing: form-data\r\n\r\n2\r\n--${'y'.repeat(size)}x\r\n\r\n\r\n`;
      const field = (name: string) => `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n1\r\n`;

      expect(await postRaw(`${field('a')}${skipped}${field('b')}--x--\r\n`)).to.deep.equal({
        a: '1',
        b: '1',
      });
    });
  }

  it('gives a file that was collected whole before as it was sent', async () => {
    const bytes = randomBytes(300_000);
    const head = '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n';
    const body = Buffer.concat([Buffer.from(head), bytes, Buffer.from('\r\n--x--\r\n')]);
    const form = await openMultipart(Readable.from([body]), 'multipart/form-data; boundary=x', {
      limit: BIG,
    });
    const seen: Buffer[] = [];
    for await (const part of form) {
      if ('stream' in part) for await (const chunk of part.stream) seen.push(chunk as Buffer);
    }

    expect(Buffer.concat(seen).equals(bytes)).to.equal(true);
  });

  it('gives fields and files in the order in which they arrive', async () => {
    const bytes = randomBytes(BIG);
    const body = new FormData();
    body.append('title', 'zwölf');
    body.append('file', new Blob([bytes], { type: 'Image/PNG' }), 'ä.png');
    body.append('empty', '');
    body.append('none', new Blob([]), 'none.txt');
    body.append('title', 'again');
    read = async (form) => {
      const seen: unknown[] = [];
      for await (const part of form) {
        if ('value' in part) seen.push([part.name, part.value]);
        else seen.push([part.name, part.filename, part.mediaType, digest(await buffer(part.stream))]);
      }
      return seen;
    };
    expect(await post(body)).to.deep.equal([
      ['title', 'zwölf'],
      ['file', 'ä.png', 'image/png', digest(bytes)],
      ['empty', ''],
      ['none', 'none.txt', 'application/octet-stream', digest(Buffer.alloc(0))],
      ['title', 'again'],
    ]);
  });

  it('takes a part with a content type and no file name as a field, and strips directories of file names', async () => {
    read = async (form) => {
      const seen: unknown[] = [];
      for await (const part of form) seen.push('value' in part ? part.value : part.filename);
      return seen;
    };
    const parts = [
      part('name="a"\r\nContent-Type: application/octet-stream', 'bytes'),
      part('name="f"; filename="../../etc/passwd"', 'root'),
    ];
    expect(await postRaw(`${parts.join('')}--x--\r\nepilogue`)).to.deep.equal(['bytes', 'passwd']);
  });

  it('takes a form without parts', async () => {
    read = (form) => form.fields();
    expect(await postRaw('--x--\r\n')).to.deep.equal(Object.create(null));
  });

  it('reads from bytes as from a request', async () => {
    const form = await openMultipart(
      Readable.from([Buffer.from(`${part('name="a"', '1')}--x--`)]),
      'multipart/form-data; boundary=x',
      { limit: LIMIT },
    );
    expect({ ...(await form.fields()) }).to.deep.equal({ a: '1' });
    expect(() => form[Symbol.asyncIterator]()).to.throw('only once');
  });

  describe('fields()', () => {
    it('gathers fields without a prototype and skips files', async () => {
      const body = new FormData();
      for (const name of ['a', '__proto__', 'constructor', 'a', 'a', '__proto__']) body.append(name, name);
      body.append('file', new Blob([randomBytes(BIG)]), 'file.bin');
      body.append('last', 'one');
      read = (form) => form.fields();
      const fields = (await post(body)) as object;
      expect(Object.getPrototypeOf(fields)).to.equal(null);
      expect(Object.entries(fields)).to.deep.equal([
        ['a', ['a', 'a', 'a']],
        ['__proto__', ['__proto__', '__proto__']],
        ['constructor', 'constructor'],
        ['last', 'one'],
      ]);
      expect(Object.prototype).not.to.have.property('polluted');
    });
  });

  describe('back-pressure', () => {
    it('reads little ahead of a file that is not read', async () => {
      const body = new FormData();
      body.append('file', new Blob([randomBytes(BIG)]), 'file.bin');
      body.append('after', '1');
      read = async (form, request) => {
        const parts = form[Symbol.asyncIterator]();
        const first = await parts.next();
        const before = await stalled(request);
        expect(before).to.be.lessThan(BIG / 4);
        if (first.done || !('stream' in first.value)) throw new Error('no file');
        const bytes = await buffer(first.value.stream);
        const second = await parts.next();
        expect(await parts.next()).to.deep.equal({ done: true, value: undefined });
        return [bytes.length, second.value];
      };
      expect(await post(body)).to.deep.equal([BIG, { name: 'after', value: '1' }]);
    });

    it('reads little ahead of a loop that does not ask for more, however small the parts are', async () => {
      options.limits = { files: 900 };
      const body = new FormData();
      for (let count = 0; count < 900; count++)
        body.append(`file${count}`, new Blob([randomBytes(2_000)]), 'small');
      read = async (form, request) => {
        const parts = form[Symbol.asyncIterator]();
        await parts.next();
        expect(await stalled(request)).to.be.lessThan(400_000);
        let count = 1;
        for (let next = await parts.next(); next.done !== true; next = await parts.next()) count++;
        return count;
      };
      expect(await post(body)).to.equal(900);
    });

    it('waits for a file that is being read while the loop goes on', async () => {
      const [one, two] = [randomBytes(BIG), randomBytes(BIG)];
      const body = new FormData();
      body.append('one', new Blob([one]), 'one');
      body.append('two', new Blob([two]), 'two');
      read = async (form) => {
        const files: Promise<Buffer>[] = [];
        for await (const part of form) if ('stream' in part) files.push(buffer(part.stream));
        return (await Promise.all(files)).map(digest);
      };
      expect(await post(body)).to.deep.equal([digest(one), digest(two)]);
    });

    it('skips a file that was read in part, destroyed, or not at all', async () => {
      const body = new FormData();
      for (const name of ['part', 'destroyed', 'untouched'])
        body.append(name, new Blob([randomBytes(BIG)]), name);
      body.append('last', '1');
      read = async (form) => {
        const names: string[] = [];
        for await (const part of form) {
          names.push(part.name);
          if (!('stream' in part)) continue;
          if (part.name === 'destroyed') part.stream.destroy();
          if (part.name === 'part') for await (const _chunk of part.stream) break;
        }
        return names;
      };
      expect(await post(body)).to.deep.equal(['part', 'destroyed', 'untouched', 'last']);
    });

    it('goes on after a pipeline that failed', async () => {
      const body = new FormData();
      body.append('file', new Blob([randomBytes(BIG)]), 'file');
      body.append('last', '1');
      read = async (form) => {
        const seen: string[] = [];
        for await (const part of form) {
          if ('value' in part) seen.push(part.value);
          else await pipeline(part.stream, full()).catch((error: Error) => seen.push(error.message));
        }
        return seen;
      };
      expect(await post(body)).to.deep.equal(['disk full', '1']);
    });
  });

  describe('above a limit', () => {
    const limits: [string, Partial<MultipartOptions>][] = [
      ['parts', { limits: { parts: 3 } }],
      ['files', { limits: { files: 1 } }],
      ['a file', { limits: { fileSize: 99_999 } }],
      ['a field', { limits: { fieldSize: 9 } }],
      ['the body', { limit: 150_000 }],
    ];
    for (const [what, limit] of limits) {
      it(`refuses ${what} with 413`, async () => {
        Object.assign(options, limit);
        read = consume;
        const error = await post(sample());
        expect(error).to.be.instanceOf(HttpError).and.to.include({ status: 413 });
        expect((error as HttpError).headers).to.deep.equal({ connection: 'close' });
      });
    }

    it('takes what is exactly at the limits', async () => {
      options.limits = { parts: 4, files: 2, fileSize: 100_000, fieldSize: 10 };
      read = consume;
      expect(await post(sample())).to.deep.equal(['ten bytes!', '100000', '100000', '2']);
    });

    it('fails the file that is being read with the same error', async () => {
      options.limits = { fileSize: 99_999 };
      let failure: unknown;
      read = async (form) => {
        for await (const part of form) {
          if ('stream' in part) await buffer(part.stream).catch((error: unknown) => (failure = error));
        }
      };
      const error = await post(sample());
      expect(error).to.be.instanceOf(HttpError).and.to.equal(failure);
    });
  });

  describe('malformed', () => {
    const bodies: [string, string, string?][] = [
      ['no boundary in the content type', '', 'multipart/form-data'],
      ['a boundary that is too long', '', `multipart/form-data; boundary=${'x'.repeat(300)}`],
      ['an empty body', ''],
      ['no boundary in the body', 'a=1'],
      ['an end inside a header', '--x\r\nContent-Disposition: form-'],
      ['an end inside a field', '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nval'],
      ['an end inside a file', '--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nval'],
      ['an end after a part', part('name="a"', '1')],
      ['a part without a name', `${part('other="a"', '1')}--x--`],
      ['a file without a name', `${part('filename="a"', '1')}--x--`],
    ];
    for (const [what, body, type] of bodies) {
      it(`refuses ${what} with 400`, async () => {
        read = consume;
        const error = await postRaw(body, type);
        expect(error).to.be.instanceOf(HttpError).and.to.include({ status: 400 });
      });
    }
  });

  describe('of a client that leaves', () => {
    const head =
      'POST / HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999\r\n\r\n';
    const file = '--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nhalf of a file';

    it('throws Disconnected from the loop and from the file, and leaves no listener', async () => {
      let failure: unknown;
      let gone: IncomingMessage | undefined;
      const socket = connect(port, '127.0.0.1');
      socket.write(head + file);
      read = async (form, request) => {
        gone = request;
        for await (const part of form) {
          if (!('stream' in part)) continue;
          socket.resetAndDestroy();
          await text(part.stream).catch((error: unknown) => (failure = error));
        }
      };
      expect(await outcome)
        .to.be.instanceOf(Disconnected)
        .and.to.equal(failure);
      expect(gone?.listenerCount('error')).to.equal(0);
      expect(gone?.listenerCount('close')).to.equal(0);
    });

    it('throws Disconnected when nobody reads the file', async () => {
      const socket = connect(port, '127.0.0.1');
      socket.write(head + file);
      read = async (form, request) => {
        for await (const _part of form) {
          socket.resetAndDestroy();
          await closed(request);
        }
      };
      expect(await outcome).to.be.instanceOf(Disconnected);
    });

    it('throws Disconnected when it had left before', async () => {
      const socket = connect(port, '127.0.0.1');
      socket.write(head + file);
      read = async (form, request) => {
        socket.resetAndDestroy();
        await closed(request);
        return consume(form);
      };
      expect(await outcome).to.be.instanceOf(Disconnected);
    });
  });

  describe('left early', () => {
    for (const [what, when] of [
      ['at a field', 'field'],
      ['at a file that is not read', 'one'],
      ['at a file that was read', 'two'],
    ] as const) {
      it(`answers on a connection that can be used again, ${what}`, async () => {
        read = async (form) => {
          for await (const part of form) {
            if (part.name === 'two' && 'stream' in part) await buffer(part.stream);
            if (part.name === when) break;
          }
          return 'left';
        };
        expect(await post(sample(BIG))).to.equal('left');
        const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' });
        expect(response.status).to.equal(400);
      });
    }

    it('destroys the file, with what it is piped to', async () => {
      let piped: Promise<unknown> | undefined;
      read = async (form) => {
        for await (const part of form) {
          if (!('stream' in part)) continue;
          piped = pipeline(part.stream, new Writable({ highWaterMark: 1, write() {} })).catch(
            (error: Error) => error,
          );
          break;
        }
        return piped;
      };
      expect(await post(sample(BIG))).to.include({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    });

    it('throws what the loop throws', async () => {
      read = async (form) => {
        for await (const part of form) throw new HttpError(409, part.name);
      };
      expect(await post(sample(BIG))).to.include({ status: 409, detail: 'field' });
    });
  });

  it('answers 415 where the parser is not installed, and tells the log what to install', async () => {
    const missing = Object.assign(new Error("Cannot find package '@fastify/busboy'"), {
      code: 'ERR_MODULE_NOT_FOUND',
    });
    options.load = () => Promise.reject(missing);
    const error = (await post(sample())) as HttpError;
    expect(error).to.be.instanceOf(HttpError).and.to.include({ status: 415 });
    expect(error.detail).not.to.contain('busboy');
    expect(error.cause).to.be.instanceOf(ConfigurationError);
    expect((error.cause as Error).message).to.contain('npm install @fastify/busboy');
  });
});

function sample(size = 100_000): FormData {
  const form = new FormData();
  form.append('field', 'ten bytes!');
  form.append('one', new Blob([randomBytes(size)]), 'one.bin');
  form.append('two', new Blob([randomBytes(size)]), 'two.bin');
  form.append('last', '2');
  return form;
}

async function consume(form: Multipart): Promise<string[]> {
  const seen: string[] = [];
  for await (const part of form) {
    seen.push('value' in part ? part.value : String((await buffer(part.stream)).length));
  }
  return seen;
}

/** The bytes taken from the socket once no more are taken. */
async function stalled(request: IncomingMessage): Promise<number> {
  let before = -1;
  for (let same = 0; same < 50;) {
    await new Promise((resolve) => setImmediate(resolve));
    same = request.socket.bytesRead === before ? same + 1 : 0;
    before = request.socket.bytesRead;
  }
  return before;
}

function full(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done(new Error('disk full')) });
}

function part(disposition: string, body: string): string {
  return `--x\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${body}\r\n`;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Resolves when a request has closed, whatever the cause. */
function closed(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => request.once('close', resolve));
}
