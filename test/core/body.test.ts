import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'chai';
import { FORM_FIELDS, readBody, type BodyForm } from '../../src/core/input/body.js';
import { Disconnected, HttpError } from '../../src/core/base/errors.js';
import { Multipart } from '../../src/core/input/multipart.js';

const LIMIT = 100_000;

describe('readBody', () => {
  let server: Server;
  let port: number;
  /** What the server does with the next request, and what came of it. */
  let read: (request: IncomingMessage) => Promise<unknown>;
  let outcome: Promise<unknown>;
  let arrived: Promise<IncomingMessage>;

  beforeEach(async () => {
    let settle: (value: unknown) => void;
    let arrive: (request: IncomingMessage) => void;
    outcome = new Promise((resolve) => (settle = resolve));
    arrived = new Promise((resolve) => (arrive = resolve));
    server = createServer((request, response) => {
      arrive(request);
      read(request).then(
        (value) => {
          settle(value);
          response.end();
        },
        (error: unknown) => {
          settle(error);
          if (error instanceof HttpError) response.writeHead(error.status, error.headers).end();
          else response.destroy();
        },
      );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  /** What a body sent by fetch is read as. */
  async function send(
    form: BodyForm,
    body: BodyInit | null,
    type?: string,
    more: HeadersInit = {},
  ): Promise<unknown> {
    read = (request) => readBody(request, form, LIMIT);
    const headers = new Headers(more);
    if (type !== undefined) headers.set('content-type', type);
    const sent = typeof body === 'string' ? Buffer.from(body) : body; // fetch adds no content type to bytes
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: sent, headers });
    const value = await outcome;
    if (value instanceof HttpError) expect(response.status).to.equal(value.status);
    return value;
  }

  /** A connection on which the head and perhaps some of the body have been written. */
  async function raw(head: string[], body = ''): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(['POST / HTTP/1.1', 'Host: test', ...head, '', body].join('\r\n'));
    return socket;
  }

  describe('without a body', () => {
    const empty: [BodyForm, unknown][] = [
      ['text', ''],
      ['bytes', Buffer.alloc(0)],
      ['parsed', undefined],
    ];
    for (const [form, value] of empty) {
      it(`gives what is empty for ${form}`, async () => {
        expect(await send(form, null, 'application/json')).to.deep.equal(value);
      });
    }

    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
      it(`gives undefined where it was to come in chunks, as ${type}`, async () => {
        read = (request) => readBody(request, 'parsed', LIMIT);
        const socket = await raw([`Content-Type: ${type}`, 'Transfer-Encoding: chunked'], '0\r\n\r\n');
        expect(await outcome).to.equal(undefined);
        socket.destroy();
      });
    }

    it('gives undefined to a GET', async () => {
      read = (request) => readBody(request, 'parsed', LIMIT);
      await fetch(`http://127.0.0.1:${port}/`);
      expect(await outcome).to.equal(undefined);
    });
  });

  describe('by its content type', () => {
    for (const type of [
      'application/json',
      'application/merge-patch+json',
      'APPLICATION/JSON',
      'application/json\t;\tCharset="UTF-8"',
    ]) {
      it(`reads ${JSON.stringify(type)} as JSON`, async () => {
        expect(await send('parsed', '{"a":["ä"]}', type)).to.deep.equal({ a: ['ä'] });
      });
    }

    it('reads text of any kind as a string', async () => {
      expect(await send('parsed', 'a,ä', 'text/csv')).to.equal('a,ä');
    });

    it('reads a form as a record without a prototype', async () => {
      const body = 'a=1&b=x+y%20%C3%A4&a=2&a=3&&flag&=nameless&__proto__=p&__proto__=q&constructor=c&e=a=b';
      const fields = await send('parsed', body, 'application/x-www-form-urlencoded');
      expect(Object.getPrototypeOf(fields)).to.equal(null);
      expect(Object.entries(fields as object)).to.deep.equal([
        ['a', ['1', '2', '3']],
        ['b', 'x y ä'],
        ['flag', ''],
        ['', 'nameless'],
        ['__proto__', ['p', 'q']],
        ['constructor', 'c'],
        ['e', 'a=b'],
      ]);
    });

    it('refuses a form of more than a thousand fields', async () => {
      const form = (count: number): string => Array.from({ length: count }, () => 'a=1').join('&');
      const type = 'application/x-www-form-urlencoded';
      expect(await send('parsed', form(FORM_FIELDS + 1), type)).to.include({ status: 400 });
    });

    for (const body of ['a=%', 'a=%zz', '%C3%28=1']) {
      it(`refuses the form ${body}`, async () => {
        expect(await send('parsed', body, 'application/x-www-form-urlencoded')).to.include({ status: 400 });
      });
    }

    for (const type of [
      undefined,
      'application/octet-stream',
      'json',
      'application/json; charset',
      'text/',
    ]) {
      it(`refuses ${type ?? 'no content type'} with 415`, async () => {
        expect(await send('parsed', '{}', type)).to.include({ status: 415 });
      });
    }

    it('refuses a chunked body without a content type', async () => {
      read = (request) => readBody(request, 'parsed', LIMIT);
      const socket = await raw(['Transfer-Encoding: chunked'], '2\r\n{}\r\n0\r\n\r\n');
      expect(await outcome).to.include({ status: 415 });
      socket.destroy();
    });

    it('refuses malformed and forbidden JSON with 400', async () => {
      expect(await send('parsed', '{"__proto__":1}', 'application/json')).to.include({ status: 400 });
    });

    it('reads multipart/form-data as a Multipart, the same for each reader', async () => {
      const form = new FormData();
      form.append('a', '1');
      read = async (request) => {
        const [one, two] = await Promise.all([
          readBody(request, 'parsed', LIMIT),
          readBody(request, 'parsed', LIMIT),
        ]);
        expect(one).to.be.instanceOf(Multipart).and.to.equal(two);
        return (one as Multipart).fields();
      };
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: form });
      expect(await outcome).to.deep.equal(Object.assign(Object.create(null), { a: '1' }));
    });

    it('parses multipart/form-data from text that was read before, but not the other way', async () => {
      const form = new FormData();
      form.append('a', '1');
      read = async (request) => {
        expect(await readBody(request, 'text', LIMIT)).to.contain('form-data; name="a"');
        const parsed = (await readBody(request, 'parsed', LIMIT)) as Multipart;
        expect(await readBody(request, 'bytes', LIMIT)).to.be.instanceOf(Buffer);
        return { ...(await parsed.fields()) };
      };
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: form });
      expect(await outcome).to.deep.equal({ a: '1' });
    });

    it('says so when text is wanted of a body that a Multipart has taken', async () => {
      const form = new FormData();
      form.append('a', '1');
      read = async (request) => {
        await readBody(request, 'parsed', LIMIT);
        return readBody(request, 'text', LIMIT).catch((error: Error) => error.message);
      };
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: form });
      expect(await outcome).to.contain('already being read as multipart');
    });
  });

  describe('as text or bytes', () => {
    it('reads any body', async () => {
      expect(await send('bytes', new Uint8Array([0, 255]), 'application/octet-stream')).to.deep.equal(
        Buffer.from([0, 255]),
      );
    });

    it('takes text without a content type as UTF-8', async () => {
      expect(await send('text', 'ä')).to.equal('ä');
    });

    for (const name of ['latin1', 'ISO-8859-1', '"us-ascii"']) {
      it(`knows the charset ${name}`, async () => {
        expect(await send('text', new Uint8Array([0x61, 0xe4]), `text/plain; charset=${name}`)).to.equal(
          'aä',
        );
      });
    }

    it('refuses other charsets with 415', async () => {
      expect(await send('text', 'a', 'text/plain; charset=utf-16')).to.include({ status: 415 });
    });

    it('refuses an invalid content type of text with 415', async () => {
      expect(await send('text', 'a', 'text')).to.include({ status: 415 });
    });

    for (const [form, type] of [
      ['text', 'text/plain'],
      ['parsed', 'text/plain'],
      ['parsed', 'application/json'],
    ] as const) {
      it(`refuses what is not UTF-8 in ${type} read as ${form}`, async () => {
        expect(await send(form, new Uint8Array([0x22, 0xc3, 0x28, 0x22]), type)).to.include({ status: 400 });
      });
    }

    it('joins characters that were split between chunks', async () => {
      read = (request) => readBody(request, 'parsed', LIMIT);
      const socket = await raw(['Content-Type: application/json', 'Transfer-Encoding: chunked']);
      const [euro1, euro2] = [Buffer.from([0x22, 0xe2, 0x82]), Buffer.from([0xac, 0x22])];
      const request = await arrived;
      socket.write(Buffer.concat([Buffer.from('3\r\n'), euro1, Buffer.from('\r\n')]));
      await once(request, 'data');
      socket.write(Buffer.concat([Buffer.from('2\r\n'), euro2, Buffer.from('\r\n0\r\n\r\n')]));
      expect(await outcome).to.equal('€');
      socket.destroy();
    });

    it('waits for a client that expects 100-continue', async () => {
      read = (request) => readBody(request, 'text', LIMIT);
      const socket = await raw(['Content-Length: 2', 'Expect: 100-continue']);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).to.match(/^HTTP\/1\.1 100/);
      socket.write('ok');
      expect(await outcome).to.equal('ok');
      socket.destroy();
    });
  });

  describe('above the limit', () => {
    for (const type of ['text/plain', 'multipart/form-data; boundary=x']) {
      it(`refuses the length of ${type} at once, before any of it arrives`, async () => {
        read = (request) => readBody(request, 'parsed', 10);
        const socket = await raw(['Content-Length: 11', `Content-Type: ${type}`]);
        const [answer] = (await once(socket, 'data')) as [Buffer];
        expect(answer.toString())
          .to.match(/^HTTP\/1\.1 413/)
          .and.to.match(/\r\nconnection: close\r\n/i);
        expect((await arrived).readableDidRead).to.equal(false);
        socket.destroy();
      });
    }

    it('counts a chunked body as it streams, and refuses it before its end', async () => {
      read = (request) => readBody(request, 'text', 10);
      const socket = await raw(['Transfer-Encoding: chunked'], 'a\r\n0123456789\r\n');
      const request = await arrived;
      socket.write('1\r\n!\r\n');
      const error = await outcome;
      expect(error).to.be.instanceOf(HttpError).and.to.include({ status: 413 });
      expect((error as HttpError).headers).to.deep.equal({ connection: 'close' });
      expect(ours(request)).to.equal(0);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).to.match(/^HTTP\/1\.1 413/);
      socket.destroy();
    });

    it('takes a body of exactly the limit', async () => {
      read = (request) => readBody(request, 'text', 10);
      const socket = await raw(['Transfer-Encoding: chunked'], 'a\r\n0123456789\r\n0\r\n\r\n');
      expect(await outcome).to.equal('0123456789');
      socket.destroy();
    });

    it('holds a smaller limit of a second reader', async () => {
      read = async (request) => {
        await readBody(request, 'text', 10);
        return readBody(request, 'text', 9);
      };
      const socket = await raw(['Transfer-Encoding: chunked'], 'a\r\n0123456789\r\n0\r\n\r\n');
      expect(await outcome).to.include({ status: 413 });
      socket.destroy();
    });
  });

  for (const coding of ['gzip', 'identity, br']) {
    it(`refuses the content coding ${coding} with 415`, async () => {
      const error = await send('bytes', 'x', 'text/plain', { 'content-encoding': coding });
      expect(error).to.include({ status: 415 });
      expect((error as HttpError).headers).to.deep.equal({ 'accept-encoding': 'identity' });
    });
  }

  it('takes the content coding Identity', async () => {
    expect(await send('text', 'x', 'text/plain', { 'content-encoding': 'Identity' })).to.equal('x');
  });

  describe('of a client that leaves', () => {
    for (const form of ['text', 'bytes', 'parsed'] as const) {
      it(`rejects ${form} with Disconnected and leaves no listener`, async () => {
        read = (request) => readBody(request, form, LIMIT);
        const socket = await raw(['Content-Length: 10', 'Content-Type: application/json'], '{"a"');
        const request = await arrived;
        socket.resetAndDestroy();
        expect(await outcome).to.be.instanceOf(Disconnected);
        expect(ours(request)).to.equal(0);
      });
    }

    it('rejects when it had left before the reading began', async () => {
      read = async (request) => {
        await closed(request);
        return readBody(request, 'text', LIMIT);
      };
      const socket = await raw(['Content-Length: 10'], 'half');
      await arrived;
      socket.destroy();
      expect(await outcome).to.be.instanceOf(Disconnected);
    });
  });

  describe('after other middleware', () => {
    it('gives what a body parser has left', async () => {
      const body = { parsed: 'before' };
      read = (request) => readBody(Object.assign(request, { body }), 'parsed', LIMIT);
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' });
      expect(await outcome).to.equal(body);
    });

    for (const body of ['ä', Buffer.from('ä')]) {
      it(`gives ${typeof body === 'string' ? 'a string' : 'a Buffer'} that it left as text and as bytes`, async () => {
        read = (request) =>
          Promise.all([
            readBody(Object.assign(request, { body }), 'text', LIMIT),
            readBody(Object.assign(request, { body }), 'bytes', LIMIT),
          ]);
        await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' });
        expect(await outcome).to.deep.equal(['ä', Buffer.from('ä')]);
      });
    }

    it('reads a request that was paused', async () => {
      read = (request) => readBody(request.pause(), 'text', LIMIT);
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' });
      expect(await outcome).to.equal('x');
    });

    it('says so when the body is gone, and does not wait for ever', async () => {
      read = async (request) => {
        await once(request.resume(), 'end');
        return readBody(request, 'text', LIMIT).catch((error: Error) => error.message);
      };
      await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' });
      expect(await outcome).to.contain('already been read');
    });
  });

  it('gives each of several readers the same', async () => {
    read = async (request) => {
      const forms: BodyForm[] = ['parsed', 'text', 'bytes'];
      const together = await Promise.all(forms.map((form) => readBody(request, form, LIMIT)));
      return [...together, await readBody(request, 'parsed', LIMIT)];
    };
    const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
    await fetch(`http://127.0.0.1:${port}/`, init);
    expect(await outcome).to.deep.equal([{ a: 1 }, '{"a":1}', Buffer.from('{"a":1}'), { a: 1 }]);
  });

  it('fails each of several readers, with no rejection unhandled', async () => {
    read = (request) => Promise.allSettled([readBody(request, 'text', 1), readBody(request, 'bytes', 1)]);
    const socket = await raw(['Transfer-Encoding: chunked'], '2\r\nab\r\n0\r\n\r\n');
    const results = (await outcome) as PromiseSettledResult<unknown>[];
    expect(results.map((result) => result.status)).to.deep.equal(['rejected', 'rejected']);
    socket.destroy();
  });
});

/** Listeners that reading adds. Node has none of its own for these. */
function ours(request: IncomingMessage): number {
  return request.listenerCount('data') + request.listenerCount('error') + request.listenerCount('close');
}

/** Resolves when a request has closed, whatever the cause. */
function closed(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => request.once('close', resolve));
}
