import { expect } from 'chai';
import {
  attribute,
  Attr,
  Controller,
  Cookies,
  Ctx,
  Get,
  Headers,
  Param,
  param,
  Post,
  Query,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
  type Problem,
} from 'coequal';
import { serve } from 'coequal/testing';
import { refusal } from '../support/refusal.js';

const Plan = attribute<'free' | 'paid'>('plan');
const OtherPlan = attribute<string>('plan');

const describePlan = (ctx: Context, next: Next): unknown => {
  ctx.attributes.set(Plan, 'paid').set('region', 'north');
  return next();
};

const show = (value: unknown): string => (value === undefined ? 'undefined' : JSON.stringify(value));

describe('a parameter', () => {
  const read = (ctx: Context, number: number, header: string, cookie: string): unknown => ({
    kind: ctx.kind,
    number,
    header,
    cookie,
  });

  @Controller('/:n')
  class Everywhere {
    @Get('/all')
    @Sse('/all')
    @WebSocket('/all')
    all(
      @Ctx() ctx: Context,
      @Param('n') n: number,
      @Headers('X-Place') place: string,
      @Cookies('a') a: string,
    ) {
      const seen = read(ctx, n, place, a);
      if (ctx.kind === 'http') return seen;
      ctx.send(seen);
    }

    @Get('/records')
    records(
      @Query() query: object,
      @Param() params: object,
      @Cookies() cookies: object,
      @Headers() headers: object,
    ) {
      const bare = [query, params, cookies].map((record) => !('toString' in record));
      return { query, params, cookies, bare, agent: 'host' in headers };
    }

    @Get('/own')
    own(
      @Query('constructor', Object) a: unknown,
      @Headers('__proto__', Object) b: unknown,
      @Cookies('toString', Object) c: unknown,
    ) {
      return { found: [a, b, c].some((value) => value !== undefined) };
    }

    @Get('/attributes')
    @UseMiddleware(describePlan)
    attributes(
      @Attr(Plan) plan: string,
      @Attr('region') region: string,
      @Attr(OtherPlan) other: unknown,
      @Attr('plan') name: unknown,
    ) {
      return { plan, region, other: show(other), name: show(name) };
    }
  }
  const server = serve({ controllers: [Everywhere], logger: false });
  const headers = { 'x-place': 'here', cookie: 'a=b%20c' };

  it('means the same in every kind', async () => {
    const seen = { number: 7, header: 'here', cookie: 'b c' };
    expect(await (await server.fetch('/7/all', { headers })).json()).to.deep.equal({ kind: 'http', ...seen });
    expect(await (await server.sse('/7/all', { headers })).json()).to.deep.equal({ kind: 'sse', ...seen });
    const own = { ...headers, origin: await server.url() };
    const socket = await server.socket('/7/all', { headers: own });
    expect(await socket.json()).to.deep.equal({ kind: 'websocket', ...seen });
  });

  it('that cannot be converted is a 400 before the head, in every kind', async () => {
    const seen: number[] = [(await server.fetch('/seven/all')).status];
    for (const open of [() => server.sse('/seven/all'), () => server.socket('/seven/all')]) {
      await open().then(
        () => seen.push(200),
        (error: { status: number; problem: Problem }) => {
          seen.push(error.status);
          expect(error.problem.detail).to.equal("@Param('n') is not a number");
        },
      );
    }
    expect(seen).to.deep.equal([400, 400, 400]);
  });

  it('without a name is the whole record, which has no prototype', async () => {
    const response = await server.fetch('/7/records?a=1&a=2&__proto__=x', { headers });
    const { query, params, cookies, bare, agent } = (await response.json()) as Record<string, unknown>;
    expect({ params, cookies, bare, agent }).to.deep.equal({
      params: { n: '7' },
      cookies: { a: 'b c' },
      bare: [true, true, true],
      agent: true,
    });
    expect(Object.entries(query as object)).to.deep.include(['a', ['1', '2']]);
  });

  it('never reads from a prototype', async () => {
    expect(await (await server.fetch('/7/own')).json()).to.deep.equal({ found: false });
  });

  it('reads attributes by typed keys and by names, and two keys of one name are two', async () => {
    expect(await (await server.fetch('/7/attributes')).json()).to.deep.equal({
      plan: 'paid',
      region: 'north',
      other: 'undefined',
      name: 'undefined',
    });
  });
});

describe("a parameter of one's own", () => {
  const Greeting = param('Greeting', (ctx, word: string, mark: string = '.') => `${word} ${ctx.path}${mark}`);
  const Later = param('Later', async (ctx) => Promise.resolve(ctx.method.toLowerCase()));
  const Page = param('Page', (ctx) => ctx.query.page, { input: true });
  const Failing = param('Failing', () => Promise.reject(new TypeError('hidden')));
  const Streamed = param('Streamed', (ctx) => ctx.kind, { kinds: ['sse'] });
  const Even = param('Even', (_ctx, n: number) => n, {
    check: ({ controller, method, index, kind, path }, n) =>
      n % 2 === 0 ? undefined : `${n} is odd (${controller.name} ${method} ${index} ${kind} ${path})`,
  });

  @Controller()
  class Own {
    @Post('/a')
    many(
      @Greeting('hello') a: string,
      @Later() b: string,
      @Greeting('bye', '!') c: string,
      @Even(2) d: number,
    ) {
      return [a, b, c, d];
    }
    @Get('/page')
    page(@Page() page: number) {
      return { page, type: typeof page };
    }
    @Get('/failing')
    failing(@Failing() _never: unknown) {
      return 'unreachable';
    }
  }
  const server = serve({ controllers: [Own], logger: false });

  it('takes arguments, and may be asynchronous', async () => {
    const answer = await (await server.fetch('/a', { method: 'POST' })).json();
    expect(answer).to.deep.equal(['hello /a.', 'post', 'bye /a!', 2]);
  });

  it('is converted to the declared type where it is input', async () => {
    expect(await (await server.fetch('/page?page=3')).json()).to.deep.equal({ page: 3, type: 'number' });
    const response = await server.fetch('/page?page=three');
    expect(response.status).to.equal(400);
    expect(((await response.json()) as Problem).detail).to.equal('@Page() is not a number');
  });

  it('that fails unexpectedly is a 500 which hides the cause', async () => {
    const response = await server.fetch('/failing');
    expect(response.status).to.equal(500);
    expect(await response.text()).not.to.contain('hidden');
  });

  it('has a meaning only in its kinds', () => {
    @Controller()
    class Elsewhere {
      @Get()
      show(@Streamed() _kind: string) {}
    }
    expect(refusal([Elsewhere])).to.equal(
      'Elsewhere.show, parameter 0, is @Streamed(), which has no meaning in an HTTP method: it works in an @Sse method',
    );
  });

  it('finds mistakes at start-up by its check', () => {
    @Controller('/e')
    class Odd {
      @Sse('/:id')
      show(@Ctx() _ctx: Context, @Even(3) _n: number) {}
    }
    expect(refusal([Odd])).to.equal(
      'Odd.show, parameter 1, is @Even(3), but 3 is odd (Odd show 1 sse /e/:id)',
    );
  });
});
