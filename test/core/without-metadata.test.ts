import { expect } from 'chai';
import { Body, Controller, Get, Headers, Param, Post, Query, Rpc, User, WebSocket } from 'coequal';
import { serve } from 'coequal/testing';
import { inject, injectable } from 'tsyringe';
import { z } from 'zod';
import { refusal } from '../support/refusal.js';

type Method = (...args: never[]) => unknown;

/** Decorates as a compiler does that emits no metadata: esbuild, tsx. */
function decorate(
  target: new (...args: never[]) => object,
  methods: Record<string, [MethodDecorator[], ...ParameterDecorator[]]>,
  classDecorators: ClassDecorator[] = [Controller('/:n')],
  constructorParameters: ParameterDecorator[] = [],
): void {
  const prototype = target.prototype as Record<string, Method>;
  for (const [name, [decorators, ...parameters]] of Object.entries(methods)) {
    for (const [index, parameter] of parameters.entries()) parameter(prototype, name, index);
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name) ?? {};
    for (const decorator of decorators) decorator(prototype, name, descriptor);
  }
  for (const [index, parameter] of constructorParameters.entries()) parameter(target, undefined, index);
  for (const decorator of classDecorators) decorator(target);
}

describe('where the compiler emits no metadata', () => {
  const remedy =
    'but the compiler emitted no type for it. Compile with tsc and "emitDecoratorMetadata": true ' +
    '(tsx, esbuild and type stripping emit none), or give the type or a schema: ';

  for (const [told, parameter] of [
    [`is @Param('n'), ${remedy}@Param('n', String)`, Param('n')],
    [`is @Query('q'), ${remedy}@Query('q', String)`, Query('q')],
    [`is @Headers('h'), ${remedy}@Headers('h', String)`, Headers('h')],
    [`is @Body(), ${remedy}@Body(String)`, Body()],
  ] as const) {
    it(`an input without a type is refused: ${told.slice(3, told.indexOf(','))}`, () => {
      class Bare {
        show(n: unknown) {
          return n;
        }
      }
      decorate(Bare, { show: [[Post()], parameter] });
      expect(refusal([Bare])).to.equal(`Bare.show, parameter 0, ${told}`);
    });
  }

  it('a constructor whose parameters are unknown is refused, with both remedies', () => {
    class Rooms {}
    class Rest {
      constructor(readonly rooms: Rooms) {}
      show() {
        return 'unreachable';
      }
    }
    decorate(Rest, { show: [[Get()]] });
    expect(refusal([Rest])).to.match(
      /^Rest \(wanted by the application\) .*parameter #0 "rooms".*emits no decorator metadata.*put @inject\(token\) before each parameter/,
    );
  });

  it('constructors, schemas, @inject and what is no input work', async () => {
    class Rooms {
      readonly name = 'rooms';
    }
    class Guard {
      constructor(readonly rooms: Rooms) {}
    }
    inject(Rooms)(Guard, undefined, 0);
    injectable()(Guard);
    class Rest {
      constructor(
        readonly rooms: Rooms,
        readonly guard: Guard,
      ) {}
      show(n: number, q: boolean, at: Date, all: Record<string, unknown>, user: unknown) {
        return {
          n,
          q,
          at,
          all,
          user,
          name: this.rooms.name,
          same: this.rooms !== undefined && this.guard.rooms.name,
        };
      }
      add(body: { a: number }) {
        return body.a + 1;
      }
      text(text: string) {
        return `${text}!`;
      }
      double(body: { a: number }) {
        return body.a * 2;
      }
    }
    decorate(
      Rest,
      {
        show: [[Get()], Param('n', Number), Query('q', Boolean), Query('at', Date), Query(), User()],
        add: [[Post()], Body(z.object({ a: z.number() }))],
        text: [[WebSocket()], Body(String)],
        double: [[Rpc()], Body(z.object({ a: z.number() }))],
      },
      [Controller('/:n')],
      [inject(Rooms), inject(Guard)],
    );
    const server = serve({ controllers: [Rest], logger: false });
    const shown = await server.as({ id: 'ann', name: 'Ann' }).fetch('/7?q=true&at=2026-01-31');
    expect(await shown.json()).to.deep.equal({
      n: 7,
      q: true,
      at: '2026-01-31T00:00:00.000Z',
      all: { q: 'true', at: '2026-01-31' },
      user: { id: 'ann', name: 'Ann' },
      name: 'rooms',
      same: 'rooms',
    });
    expect((await server.fetch('/seven')).status).to.equal(400);
    expect(await (await server.fetch('/7', { json: { a: 1 } })).json()).to.equal(2);
    const socket = await server.socket('/7');
    socket.send('hello');
    expect(await socket.next()).to.equal('hello!');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'double', params: { a: 4 } });
    expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: 8 });
  });
});
