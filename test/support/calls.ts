import { Body, Controller, HttpError, Post, Rpc, Socket, WebSocket } from 'coequal';
import { z } from 'zod';

/** Which methods were called, in order. */
export const called: string[] = [];

const Pair = z.object({ a: z.number(), b: z.number() });

/** Calls that succeed, are refused and fail, on each form of socket that takes them. */
@Controller('/calls')
export class Calls {
  @WebSocket() open(): void {}
  @WebSocket('/text') text(@Body() text: string) {
    return `heard ${text}`;
  }
  @WebSocket('/loop') async loop(@Socket(String) socket: Socket<string>) {
    for await (const text of socket) socket.send(`heard ${text}`);
  }

  @Rpc() @Post('/echo') echo(@Body() params: unknown) {
    called.push('echo');
    return params;
  }
  @Rpc() add(@Body(Pair) { a, b }: z.infer<typeof Pair>) {
    called.push('add');
    return a + b;
  }
  @Rpc() nothing(): void {
    called.push('nothing');
  }
  @Rpc() taken() {
    called.push('taken');
    throw new HttpError(409, 'taken', { extensions: { by: 'ada' }, cause: new Error('the password') });
  }
  @Rpc() fails() {
    called.push('fails');
    throw new Error('the password');
  }
  @Rpc('fails.later') async failsLater() {
    called.push('fails.later');
    await Promise.resolve();
    throw new TypeError('the password');
  }
  @Rpc('fails.beside', { concurrent: true }) async failsBeside() {
    called.push('fails.beside');
    await Promise.resolve();
    throw new Error('the password');
  }
  @Rpc() unsendable() {
    called.push('unsendable');
    return { big: 1n };
  }
}

/** The sockets on which calls are answered. */
export const callable: readonly { name: string; path: string }[] = [
  { name: 'a socket of calls', path: '/calls' },
  { name: 'a socket of messages', path: '/calls/text' },
  { name: 'a socket with a loop', path: '/calls/loop' },
];

/** Names that objects have without being given them, or that code likes to look up. */
export const INHERITED: readonly string[] = [
  '__proto__',
  '__defineGetter__',
  '__defineSetter__',
  '__lookupGetter__',
  'constructor',
  'hasOwnProperty',
  'isPrototypeOf',
  'propertyIsEnumerable',
  'prototype',
  'toLocaleString',
  'toString',
  'valueOf',
  'toJSON',
  'then',
  'catch',
  'error',
  'length',
  'name',
  'call',
  'apply',
  'default',
];
