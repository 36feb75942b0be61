import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  attribute,
  Channel,
  Channels,
  conflate,
  connect,
  Context,
  Controller,
  createApp,
  defineChannel,
  HttpError,
  param,
  Socket,
  UseMiddleware,
  WebSocket,
  type Attributes,
  type ChannelDefinition,
  type Conflate,
  type Connection,
  type Middleware,
  type MiddlewareLike,
  type Next,
  type Problem,
} from 'coequal';
import { Refused, type TestSocket, type TestStream } from 'coequal/testing';
import { expectTypeOf } from 'expect-type';

interface Price {
  symbol: string;
  value: number;
}

/** What must compile, and what must not. None of it runs. */
export const contracts = {
  attributes(attributes: Attributes, ctx: Context) {
    const Plan = attribute<'free' | 'paid'>('plan');
    expectTypeOf(attributes.get(Plan)).toEqualTypeOf<'free' | 'paid' | undefined>();
    expectTypeOf(ctx.attributes.get(Plan)).toEqualTypeOf<'free' | 'paid' | undefined>();
    expectTypeOf(attributes.get('plan')).toEqualTypeOf<unknown>();
    attributes.set(Plan, 'free').set('region', 7);
    // @ts-expect-error There is no such plan.
    attributes.set(Plan, 'gold');
    // @ts-expect-error Keys of other types are no attributes.
    attributes.set(Plan, undefined).set({}, 1);
  },

  async sockets(socket: Socket<Price, string>, any: Socket, raw: Connection) {
    for await (const message of socket) expectTypeOf(message).toEqualTypeOf<Price>();
    for await (const message of any) expectTypeOf(message).toEqualTypeOf<unknown>();
    expectTypeOf(socket.send('text')).toEqualTypeOf<boolean>();
    // @ts-expect-error The socket sends text.
    socket.send({ symbol: 'A', value: 1 });
    any.send({ symbol: 'A', value: 1 });
    expectTypeOf(raw.send).parameter(0).toEqualTypeOf<unknown>();
    expectTypeOf(socket.close).toEqualTypeOf<(code?: number, reason?: string) => void>();
  },

  async channels(channels: Channels, connection: Connection, socket: Socket<Price, string>) {
    const Prices = defineChannel<Price>('prices/:market', {
      history: 10,
      overflow: conflate((price) => price.symbol),
    });
    expectTypeOf(Prices).toEqualTypeOf<ChannelDefinition<Price>>();
    const channel = channels.of(Prices, { market: 'x' });
    expectTypeOf(channel).toEqualTypeOf<Channel<Price>>();
    channel.publish({ symbol: 'A', value: 1 });
    // @ts-expect-error A price has a value.
    channel.publish({ symbol: 'A' });
    expectTypeOf(await channel.history()).toEqualTypeOf<Price[]>();
    for await (const price of channel) expectTypeOf(price).toEqualTypeOf<Price>();
    channel.subscribe(connection);
    channel.subscribe(socket);
    expectTypeOf(conflate((price: Price) => price.symbol)).toEqualTypeOf<Conflate<Price>>();
    // @ts-expect-error A price has no such key.
    defineChannel<Price>('prices', { overflow: conflate((price) => price.name) });
    // @ts-expect-error There is no such policy.
    defineChannel<Price>('prices', { overflow: 'drop-newest' });
    expectTypeOf(defineChannel('any')).toEqualTypeOf<ChannelDefinition<unknown>>();
  },

  middleware() {
    expectTypeOf<Middleware>().parameters.toEqualTypeOf<[ctx: Context, next: Next]>();
    expectTypeOf<ReturnType<Next>>().toEqualTypeOf<Promise<void>>();
    class Guard {
      constructor(readonly name: string) {}
      use(_ctx: Context, next: Next) {
        return next();
      }
    }
    expectTypeOf(Guard).toExtend<MiddlewareLike>();
    UseMiddleware(Guard, async (ctx, next) => {
      expectTypeOf(ctx).toEqualTypeOf<Context>();
      await next();
    });
    // @ts-expect-error A class of middleware has use().
    UseMiddleware(class {});
    // @ts-expect-error A string is no middleware.
    UseMiddleware('guard');
    expectTypeOf(connect((_request, _response, next) => next())).toEqualTypeOf<Middleware>();
  },

  errors(error: HttpError, refused: Refused) {
    expectTypeOf(error.status).toEqualTypeOf<number>();
    expectTypeOf(error).toExtend<Error>();
    expectTypeOf(refused.problem).toEqualTypeOf<Problem>();
    // @ts-expect-error A status is a number.
    throw new HttpError('404');
  },

  parameters() {
    const Field = param('Field', (ctx, name: string, times?: number) => ctx.headers[name]?.slice(times));
    expectTypeOf(Field).parameters.toEqualTypeOf<[name: string, times?: number | undefined]>();
    Field('accept');
    // @ts-expect-error A name is needed.
    Field();
    // @ts-expect-error There is no such kind.
    param('Field', (ctx) => ctx.path, { kinds: ['ws'] });
  },

  decorators(socket: Socket<Price>) {
    class Rest {
      @WebSocket('/prices', { protocols: ['v1'] })
      open(@Socket() own: Socket<Price>) {
        return own === socket;
      }
    }
    Controller('/prices')(Rest);
    // @ts-expect-error There is no such option.
    WebSocket('/', { protocol: 'v1' });
    // @ts-expect-error Routes are methods.
    WebSocket('/')(Rest);
    // @ts-expect-error There is no such option.
    createApp({ controllers: [Rest], middlewares: [] });
  },

  async testing(stream: TestStream, socket: TestSocket) {
    expectTypeOf(await stream.json<Price>()).toEqualTypeOf<Price>();
    expectTypeOf(await socket.json()).toEqualTypeOf<unknown>();
    expectTypeOf(await socket.closed()).toEqualTypeOf<{ code: number; reason: string }>();
  },
};

describe('the public types', () => {
  it('hold, or this file would not have been compiled', () => {
    expect(Object.keys(contracts)).to.have.lengthOf(8);
  });

  it("give the registered user's type to contexts, connections and tests", async function () {
    this.timeout(30_000);
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const tsc = createRequire(import.meta.url)
      .resolve('typescript/package.json')
      .replace('package.json', 'bin/tsc');
    const told = await new Promise<string>((resolve) => {
      execFile(process.execPath, [tsc, '-p', 'test/types'], { cwd: root }, (error, out) => {
        resolve(error === null ? out : `${error.message}\n${out}`);
      });
    });
    expect(told).to.equal('');
  });
});
