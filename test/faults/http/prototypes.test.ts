import { expect } from 'chai';
import { Body, Controller, Cookies, Ctx, Get, Headers, Param, Post, Query, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { converse } from '../../support/raw-answers.js';

interface Seen {
  value: unknown;
  names: string[];
}

/** What a record has of its own, and what it would answer for a name that nobody has sent. */
function seen(record: Record<string, unknown>): Seen {
  return { value: record['isAdmin'] ?? null, names: Object.keys(record) };
}

@Controller()
class Records {
  @Get('/query') query(@Query() all: Record<string, unknown>) {
    return seen(all);
  }
  @Get('/cookies') cookies(@Cookies() all: Record<string, unknown>) {
    return seen(all);
  }
  @Get('/headers') headers(@Headers() all: Record<string, unknown>) {
    return seen({ ...all });
  }
  @Get('/params/:name') params(@Param('name') name: string, @Ctx() ctx: Context) {
    return { name, found: (ctx.params as Record<string, unknown>)[name] === undefined };
  }
  @Post('/body') body(@Body() body: unknown) {
    return { body, type: typeof (body as { constructor?: unknown }).constructor };
  }
  @Post('/form') form(@Body() body: Record<string, unknown>) {
    return seen(body);
  }
}

const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__'];

describe('HTTP', () => {
  describe('names of prototypes', () => {
    const { server, holds: case_ } = mistreated({ controllers: [Records] });
    const properties = Object.getOwnPropertyNames(Object.prototype).sort();

    const holds = (promise: string, work: () => Promise<void>): void =>
      case_(promise, async () => {
        await work();
        expect(Object.getOwnPropertyNames(Object.prototype).sort()).to.deep.equal(properties);
        expect(({} as Record<string, unknown>)['isAdmin']).to.equal(undefined);
      });

    for (const key of KEYS) {
      holds(`touch nothing as a key of the query (${key})`, async () => {
        for (const name of [key, `${key}[isAdmin]`, `${key}.isAdmin`, encodeURIComponent(key)]) {
          const { value, names } = (await (await server.fetch(`/query?${name}=yes`)).json()) as Seen;
          expect([value, names]).to.deep.equal([null, [decodeURIComponent(name)]]);
        }
      });

      holds(`touch nothing as a cookie (${key})`, async () => {
        const headers = { cookie: `${key}=yes; a=1` };
        const { value, names } = (await (await server.fetch('/cookies', { headers })).json()) as Seen;

        expect([value, names]).to.deep.equal([null, [key, 'a']]);
      });

      holds(`touch nothing as a field of the head, once or twice (${key})`, async () => {
        for (const lines of [`${key}: isAdmin\r\n`, `${key}: isAdmin\r\n`.repeat(2)]) {
          const head = `GET /headers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines}\r\n`;
          const [answer] = await converse(server, head);

          expect([answer?.status, (JSON.parse(answer?.body ?? '') as Seen).value]).to.deep.equal([200, null]);
        }
      });

      holds(`are text as a parameter of the path (${key})`, async () => {
        const answer = await server.fetch(`/params/${key}`);

        expect(await answer.json()).to.deep.equal({ name: key, found: true });
      });

      holds(`touch nothing as a field of a form (${key})`, async () => {
        for (const body of [`${key}=yes`, `${key}[isAdmin]=yes`]) {
          const headers = { 'content-type': 'application/x-www-form-urlencoded' };
          const answer = await server.fetch('/form', { method: 'POST', headers, body });

          expect(((await answer.json()) as Seen).value).to.equal(null);
        }
        const parts = new FormData();
        parts.append(key, 'yes');
        const answer = await server.fetch('/form', { method: 'POST', body: parts });

        expect(answer.status).to.be.oneOf([200, 400]);
      });
    }

    const refused: [name: string, text: string][] = [
      ['__proto__', '{"__proto__":{"isAdmin":true}}'],
      ['__proto__ at depth', '[{"a":[{"__proto__":{"isAdmin":true}}]}]'],
      ['__proto__ as null', '{"__proto__":null}'],
      ['\\u005f', '{"\\u005f\\u005fproto\\u005f\\u005f":{"isAdmin":true}}'],
      ['\\u005F and other letters', '{"_\\u005Fpr\\u006Fto__":{"isAdmin":true}}'],
      ['__proto__ behind spaces', '{"__proto__" \t\r\n:{"isAdmin":true}}'],
      ['__proto__ behind another', '{"a":1,"__proto__":{"isAdmin":true},"a":2}'],
      ['constructor.prototype', '{"constructor":{"prototype":{"isAdmin":true}}}'],
      ['constructor.prototype, escaped', '{"\\u0063onstructor":{"prototyp\\u0065":{"isAdmin":true}}}'],
      ['__proto__ behind a byte order mark', '\ufeff{"__proto__":{"isAdmin":true}}'],
    ];
    for (const [name, body] of refused) {
      holds(`are refused with 400 as a key of JSON (${name})`, async () => {
        for (const type of ['application/json', 'application/vnd.api+json; charset=utf-8']) {
          const headers = { 'content-type': type };
          const answer = await server.fetch('/body', { method: 'POST', headers, body });

          expect(answer.status).to.equal(400);
          expect(await answer.json()).to.include({ detail: 'JSON with a forbidden key' });
        }
      });
    }

    holds('are values and harmless keys where they reach for nothing', async () => {
      const value = { constructor: 'Brunel', prototype: 1, name: '__proto__' };
      const answer = await server.fetch('/body', { json: value });

      expect(await answer.json()).to.deep.equal({ body: value, type: 'string' });
    });

    holds(
      'are not needed for a byte order mark, which is ignored before JSON and refused within',
      async () => {
        const headers = { 'content-type': 'application/json' };
        const send = (body: string): Promise<Response> =>
          server.fetch('/body', { method: 'POST', headers, body });

        expect(await (await send('\ufeff{"a":1}')).json()).to.deep.equal({
          body: { a: 1 },
          type: 'function',
        });
        for (const body of ['\ufeff', '\ufeff\ufeff{"a":1}', '{"a":\ufeff1}', '{"a":1}\ufeff']) {
          expect((await send(body)).status, JSON.stringify(body)).to.equal(400);
        }
      },
    );
  });
});
