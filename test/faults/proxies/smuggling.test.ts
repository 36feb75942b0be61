import { expect } from 'chai';
import type { IncomingMessage } from 'node:http';
import { All, Body, Controller, Ctx, HttpError, UseMiddleware, WebSocket, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { ask } from '../../support/proxied-client.js';
import { PROXY, proxied } from '../../support/proxy-process.js';
import { HOST, proxies, type Told } from '../../support/proxies.js';
import { payloads } from './payloads.js';
import { sample } from '../../support/long.js';

/** What methods were asked: method, target and body of each request, in order. */
const served: string[] = [];

async function serve(ctx: Context): Promise<string> {
  let body = '';
  for await (const chunk of ctx.request.setEncoding('latin1')) body += chunk as string;
  const asked = `${ctx.method} ${ctx.url} ${body}`;
  served.push(asked);
  return answerTo(asked);
}

function answerTo(asked: string): string {
  return `<<${JSON.stringify(asked)}>>`;
}

function answers(bytes: Buffer): string[] {
  return [...bytes.toString('latin1').matchAll(/<<(".*?")>>/g)].map(
    ([, asked = '']) => JSON.parse(asked) as string,
  );
}

function headOf(asked: string): string {
  return asked.split(' ', 2).join(' ');
}

function requests(told: readonly Told[]): string[] {
  return told.map(({ request }) => request);
}

@Controller()
class Asked {
  @All('/front') front(@Ctx() ctx: Context) {
    return serve(ctx);
  }
  @All('/after') after(@Ctx() ctx: Context) {
    return serve(ctx);
  }
  @All('/other/:number') other(@Ctx() ctx: Context) {
    return serve(ctx);
  }
  @All('/smuggled') smuggled(@Ctx() ctx: Context) {
    return serve(ctx);
  }
  @WebSocket('/socket') socket(@Body() text: string) {
    return text;
  }
  @All('/guarded')
  @UseMiddleware(() => {
    throw new HttpError(401);
  })
  guarded() {}
}

describe('Proxies', function () {
  this.timeout(15_000);
  let cases = 0;

  // Without LONG, each proxy is sent a third of them.
  for (const [index, proxy] of proxies.entries()) {
    describe(`smuggling through ${proxy.name}`, () => {
      const { server, holds } = mistreated({ controllers: [Asked], trustProxy: PROXY });
      const through = proxied(proxy, () => server.url(), { 15: 1, 75: 2 });
      /** All that Node has read, whatever came of it. */
      const read: string[] = [];

      before(() => {
        // A listener for upgrades would be left what the application does not want.
        const { server: http } = server.app;
        const emit = http.emit.bind(http) as (event: string, ...args: unknown[]) => boolean;
        http.emit = (event: string, ...args: unknown[]) => {
          const [request] = args as [IncomingMessage];
          if (event === 'request' || event === 'upgrade') read.push(`${request.method} ${request.url}`);
          return emit(event, ...args);
        };
      });

      for (const { name, bytes, reads } of sample(payloads, 3, index)) {
        holds(`is ${reads.length > 0 ? 'read alike, or refused' : 'refused'}: ${name}`, async () => {
          const other = `/other/${++cases}`;
          const from = through.told.length;
          served.length = read.length = 0;

          const client = await through.raw();
          client.write(Buffer.from(bytes, 'latin1'));
          client.head('GET /after HTTP/1.1', `Host: ${HOST}`, 'Connection: close');
          await client.closed();
          // Whoever comes next by the same connection to the application.
          const next = await ask(through, other);
          await through.hasTold(`GET ${other}`);

          const told = through.told.slice(from).filter(({ forwarded }) => forwarded);
          const passed = told.filter(({ status }) => status > 0 && status < 400);
          expect([next.status, next.body], 'another client').to.deep.equal([200, answerTo(`GET ${other} `)]);
          expect(requests(told), 'what the proxy has asked for').to.include.members(read);
          expect(served.map(headOf), 'what was served').to.deep.equal(requests(passed));
          expect(answers(client.received), 'what was answered').to.deep.equal(served.slice(0, -1));
          const allowed = [...reads, ...(reads.length > 0 ? ['GET /smuggled '] : [])];
          expect([...allowed, 'GET /after ', `GET ${other} `], 'what may be served').to.include.members(
            served,
          );
        });
      }
    });
  }
});
