import { once } from 'node:events';
import { expect } from 'chai';
import { Body, Controller, Ctx, HttpError, Post, UseMiddleware, type Context, Multipart } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { answersIn, problemOf, type WireAnswer } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

const reached: string[] = [];
/** How many listeners wait for the end of the connection, at each request. */
const listeners: number[] = [];

@Controller()
class Taking {
  @Post('/text') text(@Body() text: string) {
    return { length: text.length };
  }
  @Post('/parts') async parts(@Body() form: Multipart) {
    for await (const part of form) if ('stream' in part) await once(part.stream.resume(), 'end');
    return 'all';
  }
  @Post('/guarded')
  @UseMiddleware(() => {
    throw new HttpError(401);
  })
  guarded() {
    return 'never';
  }
  @Post('/by-hand') byHand(@Ctx() ctx: Context): void {
    ctx.response.writeHead(429, { 'content-type': 'text/plain', connection: 'close' }).end('slower');
  }
  @Post('/counted') counted(@Ctx() ctx: Context) {
    listeners.push(ctx.request.socket.listenerCount('close'));
    throw new HttpError(401);
  }
  @Post('/next') next() {
    reached.push('next');
  }
}

const MEGABYTE = Buffer.alloc(1_048_576, 'x');

/** Sends 20 MB and only then reads, as clients do that send a file. */
async function sendFirst(url: string, ...head: string[]): Promise<WireAnswer[]> {
  const client = await RawClient.connect(url);
  client.socket.pause();
  client.head(...head);
  for (let i = 0; i < 20; i++) {
    client
      .write(`${MEGABYTE.length.toString(16)}\r\n`)
      .write(MEGABYTE)
      .write('\r\n');
    if (client.socket.writableNeedDrain) await once(client.socket, 'drain');
  }
  client.socket.resume();
  await client.closed();
  return answersIn(client.received);
}

describe('HTTP', () => {
  describe('clients that are refused while they send', () => {
    const { server, holds } = mistreated({ controllers: [Taking], limits: { body: 100_000 } });

    const chunked = ['Host: localhost', 'Transfer-Encoding: chunked', 'Content-Type: text/plain'];
    const sized = ['Host: localhost', 'Content-Length: 30000000', 'Content-Type: text/plain'];

    for (const [name, fields] of Object.entries({ chunked, sized })) {
      holds(`read their 413 after 20 MB (${name})`, async () => {
        const answers = await sendFirst(await server.url(), 'POST /text HTTP/1.1', ...fields);

        expect(answers.map(({ status }) => status)).to.deep.equal([413]);
        expect(problemOf(answers[0]).status).to.equal(413);
      });

      holds(`read the guard's 401 after 20 MB (${name})`, async () => {
        const head = ['POST /guarded HTTP/1.1', ...fields, 'Connection: close'];
        const answers = await sendFirst(await server.url(), ...head);

        expect(answers.map(({ status }) => status)).to.deep.equal([401]);
      });

      holds(`read what Express middleware has answered after 20 MB (${name})`, async () => {
        const answers = await sendFirst(await server.url(), 'POST /by-hand HTTP/1.1', ...fields);

        expect(answers.map(({ status, body }) => [status, body])).to.deep.equal([[429, 'slower']]);
      });
    }

    holds('leave nothing on a connection that is kept, when their body has come', async () => {
      const client = await RawClient.connect(await server.url());
      for (let i = 1; i <= 20; i++) {
        client.head('POST /counted HTTP/1.1', 'Host: localhost', 'Content-Length: 5');
        await client.until((bytes) => bytes.toString('latin1').split('HTTP/1.1 401').length > i);
        client.write('hello');
      }
      client.socket.destroy();
      expect(Math.max(...listeners) - Math.min(...listeners)).to.be.below(3);
    });

    holds('read their 413 after 20 MB (parts of a form)', async () => {
      const client = await RawClient.connect(await server.url());
      client.socket.pause();
      client.head(
        'POST /parts HTTP/1.1',
        'Host: localhost',
        'Content-Length: 30000000',
        'Content-Type: multipart/form-data; boundary=b',
      );
      client.write('--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n');
      for (let i = 0; i < 20; i++) {
        client.write(MEGABYTE);
        if (client.socket.writableNeedDrain) await once(client.socket, 'drain');
      }
      client.socket.resume();
      await client.closed();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([413]);
    });

    holds('read their 431 after a head of 20 MB', async () => {
      const client = await RawClient.connect(await server.url());
      client.socket.pause();
      client.write('GET / HTTP/1.1\r\nHost: localhost\r\nX: ');
      for (let i = 0; i < 20; i++) {
        client.write(MEGABYTE);
        if (client.socket.writableNeedDrain) await once(client.socket, 'drain');
      }
      client.socket.resume();
      await client.closed();

      const answers = answersIn(client.received);
      expect([answers.length, problemOf(answers[0]).status]).to.deep.equal([1, 431]);
    });

    holds('are told at once, and their connection closes for them at once', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('POST /text HTTP/1.1', ...sized);
      await client.until(() => client.socket.readableEnded);

      expect(problemOf(answersIn(client.received)[0]).status).to.equal(413);
      client.reset();
    });

    holds('are cut off where they send without an end', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('POST /text HTTP/1.1', ...chunked);
      const cut = new Promise((resolve) => client.socket.once('close', resolve));
      const send = (): void => {
        while (!client.socket.destroyed && client.socket.write(MEGABYTE));
      };
      client.socket.on('drain', send);
      send();
      await cut;
    });

    holds('have no further request taken on the connection', async () => {
      const client = await RawClient.connect(await server.url());
      client.head(
        'POST /text HTTP/1.1',
        'Host: localhost',
        'Content-Type: text/plain',
        'Content-Length: 200000',
      );
      await client.opening();
      client.write(Buffer.alloc(200_000)).head('POST /next HTTP/1.1', 'Host: localhost', 'Content-Length: 0');
      await client.closed();

      expect([answersIn(client.received).length, reached]).to.deep.equal([1, []]);
    });
  });
});
