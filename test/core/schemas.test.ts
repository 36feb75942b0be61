import { type } from 'arktype';
import { expect } from 'chai';
import {
  Body,
  Controller,
  Cookies,
  Get,
  Headers,
  Param,
  Post,
  Query,
  Rpc,
  Sse,
  WebSocket,
  type Problem,
} from 'coequal';
import { Refused, serve } from 'coequal/testing';
import * as v from 'valibot';
import { z } from 'zod';

interface Order {
  id: number;
  tags: string[];
}

/** One contract in the words of each library: `id` is a whole number in text, and the first tag is not taken. */
const free = (tag: string): boolean => tag !== 'taken';
const later = async (tag: string): Promise<boolean> => Promise.resolve(free(tag));

const schemas = {
  zod: z.object({ id: z.coerce.number().int(), tags: z.array(z.string().refine(free, 'is taken')) }),
  'zod, asynchronous': z.object({
    id: z.coerce.number().int(),
    tags: z.array(z.string().refine(later, 'is taken')),
  }),
  valibot: v.object({
    id: v.pipe(v.union([v.string(), v.number()]), v.transform(Number), v.integer()),
    tags: v.array(v.pipe(v.string(), v.check(free, 'is taken'))),
  }),
  'valibot, asynchronous': v.objectAsync({
    id: v.pipe(v.union([v.string(), v.number()]), v.transform(Number), v.integer()),
    tags: v.arrayAsync(v.pipeAsync(v.string(), v.checkAsync(later, 'is taken'))),
  }),
  arktype: type({
    id: type('number.integer').or('string.integer.parse'),
    tags: type('string')
      .narrow((tag, ctx) => free(tag) || ctx.mustBe('free'))
      .array(),
  }),
};

for (const [library, schema] of Object.entries(schemas)) {
  describe(`a body that ${library} validates`, () => {
    @Controller('/orders')
    class Orders {
      @Post()
      add(@Body(schema) order: Order) {
        return { ...order, door: 'http' };
      }
      @WebSocket()
      each(@Body(schema) order: Order) {
        return { ...order, door: 'socket' };
      }
      @Rpc('add')
      call(@Body(schema) order: Order) {
        return { ...order, door: 'call' };
      }
    }
    const server = serve({ controllers: [Orders], logger: false });
    const good = { id: '7', tags: ['a'] };
    const bad = { id: '7', tags: ['a', 'taken'] };
    const call = (params: unknown): object => ({ jsonrpc: '2.0', id: 1, method: 'add', params });

    it('arrives as the schema made it: by request, by message and by call', async () => {
      const made = { id: 7, tags: ['a'] };
      expect(await (await server.fetch('/orders', { json: good })).json()).to.deep.equal({
        ...made,
        door: 'http',
      });
      const socket = await server.socket('/orders');
      socket.send(good);
      expect(await socket.json()).to.deep.equal({ ...made, door: 'socket' });
      socket.send(call(good));
      expect(await socket.json()).to.deep.include({ id: 1, result: { ...made, door: 'call' } });
    });

    it('is refused with the place of each mistake, and the socket stays open', async () => {
      const check = ({ status, detail, errors = [] }: Problem): void => {
        expect({ status, detail }).to.deep.equal({ status: 400, detail: 'The body is not valid' });
        expect(errors.map(({ path }) => path)).to.deep.equal(['tags.1']);
        expect(errors[0]?.message).to.match(/taken|free/);
      };
      const response = await server.fetch('/orders', { json: bad });
      expect(response.status).to.equal(400);
      check((await response.json()) as Problem);
      const socket = await server.socket('/orders');
      socket.send(bad);
      check((await socket.json<{ error: Problem }>()).error);
      socket.send(call(bad));
      const { error } = await socket.json<{ error: { code: number; data: Problem } }>();
      expect(error.code).to.equal(-32602);
      check(error.data);
      socket.send(good);
      expect(await socket.json()).to.have.property('door', 'socket');
    });

    it('is refused where there is none', async () => {
      expect((await server.fetch('/orders', { method: 'POST' })).status).to.equal(400);
    });
  });
}

describe('a schema', () => {
  const Id = z.coerce.number().int('is not whole');
  const Search = type({ q: 'string > 0', 'page?': 'string.integer.parse' });
  const Agent = v.object({ 'x-agent': v.pipe(v.string(), v.minLength(3)) });
  const Later = z.string().refine(async (text) => Promise.resolve(text !== 'old'), 'is old');

  @Controller('/items/:id')
  class Items {
    @Get()
    @Sse()
    @WebSocket()
    show(
      @Param('id', Id) id: number,
      @Query(Search) search: { q: string; page?: number },
      @Cookies('c', Later) c: string,
    ) {
      return [{ id, search, c }][Symbol.iterator]().next().value;
    }

    @Get('/agent')
    agent(@Headers(Agent) agent: Record<string, string>, @Query('n', Number) n: unknown) {
      return { agent: agent['x-agent'], n };
    }

    @WebSocket('/text')
    text(@Body(z.string().max(3, 'is long')) text: string) {
      return `${text}!`;
    }

    @Post('/text')
    textOnce(@Body(z.string().max(3, 'is long')) text: string) {
      return `${text}!`;
    }
  }
  const server = serve({ controllers: [Items], logger: false, origins: '*' });
  const doors = {
    http: async (path: string, headers: Record<string, string>) => {
      const response = await server.fetch(path, { headers });
      if (!response.ok) throw new Refused(response.status, response.headers, await response.text(), path);
      return response.json();
    },
    sse: async (path: string, headers: Record<string, string>) =>
      (await server.sse(path, { headers })).json(),
    websocket: async (path: string, headers: Record<string, string>) =>
      (await server.socket(path, { headers })).json(),
  };

  for (const [kind, open] of Object.entries(doors)) {
    it(`validates path, whole query and cookies: ${kind}`, async () => {
      expect(await open('/items/7?q=a&page=2', { cookie: 'c=new' })).to.deep.equal({
        id: 7,
        search: { q: 'a', page: 2 },
        c: 'new',
      });
    });

    for (const [what, path, cookie, label, place] of [
      ['path', '/items/7.5?q=a', 'c=new', "@Param('id')", 'id'],
      ['query', '/items/7?q=', 'c=new', '@Query()', 'q'],
      ['cookie', '/items/7?q=a', 'c=old', "@Cookies('c')", 'c'],
    ] as const) {
      it(`refuses a bad ${what} before the head: ${kind}`, async () => {
        const error = await open(path, { cookie }).then(
          () => undefined,
          (refused: Refused) => refused,
        );
        expect(error).to.be.instanceOf(Refused);
        expect(error?.status).to.equal(400);
        expect(error?.problem.detail).to.equal(`${label} is not valid`);
        expect(error?.problem.errors?.map((one) => one.path)).to.deep.equal([place]);
      });
    }
  }

  it('validates all header fields, and a constructor stands for one', async () => {
    const response = await server.fetch('/items/7/agent?n=5', { headers: { 'x-agent': 'curl' } });
    expect(await response.json()).to.deep.equal({ agent: 'curl', n: 5 });
    expect((await server.fetch('/items/7/agent?n=x', { headers: { 'x-agent': 'curl' } })).status).to.equal(
      400,
    );
    expect((await server.fetch('/items/7/agent')).status).to.equal(400);
  });

  it('of a declared text is given the text, by request and by message', async () => {
    const socket = await server.socket('/items/7/text');
    socket.send('abc');
    expect(await socket.next()).to.equal('abc!');
    socket.send('abcd');
    expect((await socket.json<{ error: Problem }>()).error.errors).to.deep.equal([
      { path: '', message: 'is long' },
    ]);
    expect(await (await server.fetch('/items/7/text', { method: 'POST', body: 'abc' })).text()).to.equal(
      'abc!',
    );
  });

  it('that keeps a state of its own is called as a method', async () => {
    class Ticket {
      readonly word = 'open';
      readonly '~standard' = new Door();
    }
    class Door {
      readonly version = 1;
      readonly vendor = 'own';
      readonly word = 'open';
      validate(value: unknown) {
        return value === this.word ? { value: 'opened' } : { issues: [{ message: `say ${this.word}` }] };
      }
    }
    @Controller()
    class Doors {
      @Get('/door')
      open(@Query('word', new Ticket()) word: string) {
        return word;
      }
    }
    const own = serve({ controllers: [Doors], logger: false });
    expect(await (await own.fetch('/door?word=open')).text()).to.equal('opened');
    const refused = (await (await own.fetch('/door?word=shut')).json()) as Problem;
    expect(refused.errors).to.deep.equal([{ path: 'word', message: 'say open' }]);
  });
});
