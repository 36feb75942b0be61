import { expect } from 'chai';
import {
  Attr,
  Body,
  Channel,
  ConfigurationError,
  Controller,
  Get,
  HttpCode,
  Multipart,
  Param,
  Post,
  Query,
  Rpc,
  Unguarded,
  UseMiddleware,
  WebSocket,
} from 'coequal';
import { refusal } from '../support/refusal.js';

/** What is said against `Rest.show` with these decorators. */
function toldOf(
  methods: () => MethodDecorator[],
  parameter?: () => ParameterDecorator[],
  type: unknown = Object,
): string {
  class Rest {
    show(value: unknown) {
      return value;
    }
  }
  if (parameter === undefined) Object.defineProperty(Rest.prototype, 'show', { value: () => 1 });
  try {
    for (const decorate of parameter?.() ?? []) decorate(Rest.prototype, 'show', 0);
    Reflect.defineMetadata('design:paramtypes', [type], Rest.prototype, 'show');
    for (const decorate of methods()) decorate(Rest.prototype, 'show', {});
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  Controller()(Rest);
  return refusal([Rest]);
}

describe('a mistake of the author', () => {
  const bare = (decorator: unknown): (() => MethodDecorator[]) => {
    const run = decorator as (prototype: object, method: unknown, descriptor: unknown) => undefined;
    return () => [(prototype, method, descriptor) => run(prototype, method, descriptor)];
  };
  const mistakes: [told: RegExp, ...Parameters<typeof toldOf>][] = [
    [/^Rest\.show: @Get lacks its parentheses: write @Get\(\)/, bare(Get)],
    [/^Rest\.show: @UseMiddleware lacks its parentheses/, bare(UseMiddleware)],
    [/^Rest: @Unguarded lacks its parentheses/, bare(Unguarded)],
    [/^Rest\.show: @Unguarded takes a reason/, () => [Get(), Unguarded('')]],
    [
      /^Rest\.show: @Get takes a path, not a list: write one decorator for each path/,
      () => [Get(['/a'] as never)],
    ],
    [/^Rest\.show: @HttpCode has no meaning on a socket or a call/, () => [WebSocket(), HttpCode(201)]],
    [/^Rest\.show: @Rpc takes a name that does not begin with rpc\./, () => [WebSocket(), Rpc('rpc.list')]],
    [
      /^Rest\.show, parameter 0, has @Param and @Query: .* remove one/,
      () => [Get()],
      () => [Query('a'), Param('b')],
    ],
    [
      /^Rest\.show, parameter 0, is @Attr\(undefined\), but it takes the key/,
      () => [Get()],
      () => [Attr(undefined as never)],
    ],
    [
      /^Rest\.show, parameter 0, is @Channel\(.*\), but it takes what defineChannel/,
      () => [Get()],
      () => [Channel('x' as never)],
    ],
    [
      /^Rest\.show, parameter 0, is @Query\('q', Buffer\), but it gives texts/,
      () => [Get()],
      () => [Query('q', Buffer as never)],
    ],
    [
      /^Rest\.show, parameter 0, .* the element of its list is undefined, .* circular/,
      () => [Post()],
      () => [Body([undefined] as never)],
    ],
    [
      /^Rest\.show, parameter 0, .* nothing validates or converts to its list/,
      () => [Post()],
      () => [Body([[Number]] as never)],
    ],
    [
      /^Rest\.show, parameter 0, is @Body\(\) of a Multipart, which only a request has/,
      () => [WebSocket()],
      () => [Body()],
      Multipart,
    ],
  ];
  for (const [told, ...decorators] of mistakes) {
    it(`is told with its place and remedy: ${told.source}`, () => {
      expect(toldOf(...decorators)).to.match(told);
    });
  }

  it('is told of a class that is decorated twice, or without parentheses', () => {
    class Rest {}
    expect(() => Controller(Rest as never)).to.throw(
      ConfigurationError,
      /^Rest: @Controller lacks its parentheses/,
    );
    Controller('/a')(Rest);
    expect(() => Controller('/b')(Rest)).to.throw(ConfigurationError, /^Rest has @Controller twice/);
  });
});
