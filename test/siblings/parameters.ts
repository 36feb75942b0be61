import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Controller,
  Cookies,
  Ctx,
  Headers,
  HttpError,
  param,
  Param,
  Query,
  Signal,
  type Context,
} from 'coequal';
import { z } from 'zod';
import { Everywhere, servers, type Door } from '../support/doors.js';

const Caller = param('Caller', (ctx, prefix: string) => `${prefix}${String(ctx.headers['x-caller'])}`);

const Balance = param('Balance', async (ctx) => {
  await turn();
  if (ctx.query['account'] === undefined) throw new HttpError(402, 'No account');
  return 12;
});

const Page = z.object({ size: z.coerce.number().max(100), order: z.enum(['up', 'down']) });

const Even = z.string().refine(async (text) => {
  await turn();
  return Number(text) % 2 === 0;
}, 'is odd');

@Controller('/rooms/:room')
class Rooms {
  @Everywhere('/named/:seat')
  named(
    @Param('room') room: string,
    @Param('seat') seat: string,
    @Query('q') q: string,
    @Headers('X-Caller') caller: string,
    @Cookies('theme') theme: string,
  ) {
    return { room, seat, q, caller, theme };
  }

  @Everywhere('/absent')
  absent(
    @Query('q') q: string,
    @Query('n') n: number,
    @Headers('x-caller') caller: string,
    @Cookies('theme') theme: string,
  ) {
    return { absent: [q, n, caller, theme].every((value) => value === undefined) };
  }

  @Everywhere('/whole/:seat')
  whole(
    @Param() path: object,
    @Query() query: object,
    @Headers() headers: { host: string },
    @Cookies() cookies: object,
  ) {
    return { path, query, host: headers.host, cookies };
  }

  @Everywhere('/converted')
  converted(
    @Param('room') room: number,
    @Query('on') on: boolean,
    @Query('at') at: Date,
    @Headers('x-count') count: number,
  ) {
    return { room, on, at: at instanceof Date && at.toISOString(), count };
  }

  @Everywhere('/typed')
  typed(@Query('n', Number) n: unknown, @Query('on', Boolean) on: unknown, @Cookies('at', Date) at: unknown) {
    return { n, on, at: at instanceof Date && at.toISOString() };
  }

  @Everywhere('/valid')
  valid(@Query(Page) page: z.infer<typeof Page>) {
    return page;
  }

  @Everywhere('/even')
  even(@Query('n', Even) n: string) {
    return { n };
  }

  @Everywhere('/own')
  own(
    @Caller('from ') caller: string,
    @Balance() balance: number,
    @Signal() signal: AbortSignal,
    @Ctx() ctx: Context,
  ) {
    return { caller, balance, same: signal === ctx.signal, kind: ctx.kind, path: ctx.path };
  }
}

export function parameters(door: Door): void {
  const serve = servers();

  async function valueOf(path: string, headers?: Record<string, string>): Promise<unknown> {
    const visit = await door.open(serve({ controllers: [Rooms] }), path, headers);
    expect(visit.status).to.equal(door.opened);
    return visit.value();
  }

  async function refusalOf(path: string, headers?: Record<string, string>): Promise<unknown> {
    const visit = await door.open(serve({ controllers: [Rooms] }), path, headers);
    expect(visit.status).to.equal(400);
    const { detail, errors } = visit.problem;
    return { detail, errors };
  }

  it('are taken by name from path, query, headers and cookies', async () => {
    const headers = { 'x-caller': 'ada', cookie: 'theme=dark%20blue; other=1' };
    expect(await valueOf('/rooms/caf%C3%A9/named/4%2F5?q=a%20b+c', headers)).to.deep.equal({
      room: 'café',
      seat: '4/5',
      q: 'a b c',
      caller: 'ada',
      theme: 'dark blue',
    });
  });

  it('are undefined where the request has none', async () => {
    expect(await valueOf('/rooms/1/absent')).to.deep.equal({ absent: true });
  });

  it('are taken whole', async () => {
    const headers = { host: 'example.test', cookie: 'a=1; b=2', origin: 'http://example.test' };
    expect(await valueOf('/rooms/1/whole/2?x=1&x=2&y=', headers)).to.deep.include({
      path: { room: '1', seat: '2' },
      query: { x: ['1', '2'], y: '' },
      cookies: { a: '1', b: '2' },
    });
  });

  it('are converted to the declared type', async () => {
    const path = '/rooms/7/converted?on=true&at=2026-01-31T12:00:00Z';
    expect(await valueOf(path, { 'x-count': '2.5' })).to.deep.equal({
      room: 7,
      on: true,
      at: '2026-01-31T12:00:00.000Z',
      count: 2.5,
    });
  });

  it('are converted to the type that the decorator is given', async () => {
    expect(await valueOf('/rooms/7/typed?n=-1&on=0', { cookie: 'at=2026-01-31' })).to.deep.equal({
      n: -1,
      on: false,
      at: '2026-01-31T00:00:00.000Z',
    });
  });

  const misfits: [what: string, path: string, detail: string, error: { path: string; message: string }][] = [
    [
      'a number',
      '/rooms/seven/converted',
      "@Param('room') is not a number",
      { path: 'room', message: 'expected a number' },
    ],
    [
      'true or false',
      '/rooms/7/converted?on=yes',
      "@Query('on') is not true or false",
      { path: 'on', message: 'expected true or false' },
    ],
    [
      'a date',
      '/rooms/7/converted?at=2026-02-31T99:00:00Z',
      "@Query('at') is not a date such as 2026-01-31T12:00:00Z",
      { path: 'at', message: 'expected a date such as 2026-01-31T12:00:00Z' },
    ],
    [
      'one text',
      '/rooms/7/named/1?q=1&q=2',
      "@Query('q') is not one text",
      { path: 'q', message: 'expected one text' },
    ],
    [
      'what a schema demands',
      '/rooms/7/even?n=3',
      "@Query('n') is not valid",
      { path: 'n', message: 'is odd' },
    ],
  ];
  for (const [what, path, detail, error] of misfits) {
    it(`that are not ${what} are a 400 that names the parameter`, async () => {
      expect(await refusalOf(path)).to.deep.equal({ detail, errors: [error] });
    });
  }

  it('are what a schema makes of them', async () => {
    expect(await valueOf('/rooms/1/valid?size=10&order=up&more=1')).to.deep.equal({ size: 10, order: 'up' });
    expect(await valueOf('/rooms/1/even?n=4')).to.deep.equal({ n: '4' });
  });

  it('that a schema refuses are a 400 that lists each error by its path', async () => {
    const { detail, errors } = (await refusalOf('/rooms/1/valid?size=101&order=left')) as {
      detail: string;
      errors: { path: string; message: string }[];
    };
    expect(detail).to.equal('@Query() is not valid');
    expect(errors.map(({ path }) => path)).to.deep.equal(['size', 'order']);
    expect(errors.every(({ message }) => message.length > 0)).to.equal(true);
  });

  it('of one’s own are read from the context, and may wait', async () => {
    expect(await valueOf('/rooms/1/own?account=9', { 'x-caller': 'ada' })).to.deep.equal({
      caller: 'from ada',
      balance: 12,
      same: true,
      kind: door.kind,
      path: '/rooms/1/own',
    });
  });
}
