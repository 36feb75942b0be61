import { Body, Controller, Rpc, Socket, WebSocket, type Codec } from 'coequal';
import { z } from 'zod';

/** How often the methods of the conversations were run. */
export const handled = { count: 0 };

/** JSON behind a mark, so that a test can tell it from plain JSON. */
const marked: Codec = {
  encode: (value) => `~${JSON.stringify(value)}`,
  decode: (data) => {
    const text = data.toString();
    if (!text.startsWith('~')) throw new SyntaxError('no mark');
    return JSON.parse(text.slice(1)) as unknown;
  },
};

const Said = z.object({ text: z.string() });

/** One form of a socket's method: where it is, and a message that it answers. */
export interface Conversation {
  readonly name: string;
  readonly path: string;
  readonly message: string;
  readonly reply: string;
  /** Whether its messages are text and nothing else. */
  readonly text: boolean;
}

const call = '{"jsonrpc":"2.0","method":"hello","id":1}';
const answer = '{"jsonrpc":"2.0","id":1,"result":"hello"}';
const said = '{"text":"hello"}';

/** Every form in which a socket's method takes messages. */
export const conversations: readonly Conversation[] = [
  { name: '@Body() text', path: '/text', message: 'hello', reply: 'hello', text: true },
  { name: '@Body(schema)', path: '/schema', message: said, reply: said, text: true },
  { name: 'a loop over @Socket()', path: '/loop', message: 'hello', reply: 'hello', text: true },
  { name: '@Rpc()', path: '/calls', message: call, reply: answer, text: true },
  { name: '@Rpc() beside @Body()', path: '/beside/text', message: call, reply: answer, text: true },
  { name: '@Rpc() beside a loop', path: '/beside/loop', message: call, reply: answer, text: true },
  { name: 'a loop beside @Rpc()', path: '/beside/loop', message: 'hello', reply: 'hello', text: true },
  { name: 'a codec', path: '/codec', message: '~{"a":1}', reply: '~{"a":1}', text: false },
];

/** Controllers that hold them. @param rate messages a second that each socket may send */
export function conversationsWith(rate?: number): (new () => object)[] {
  @Controller()
  class Messages {
    @WebSocket('/text', { rate }) text(@Body() text: string) {
      return heard(text);
    }
    @WebSocket('/schema', { rate }) schema(@Body(Said) message: z.infer<typeof Said>) {
      return heard(message);
    }
    @WebSocket('/json', { rate }) json(@Body() message: unknown) {
      return heard(message);
    }
    @WebSocket('/number', { rate }) number(@Body() message: number) {
      return heard(message);
    }
    @WebSocket('/codec', { rate, codec: marked }) codec(@Body() message: unknown) {
      return heard(message);
    }
    @WebSocket('/loop', { rate }) async loop(@Socket(String) socket: Socket<string>) {
      for await (const text of socket) socket.send(heard(text));
    }
    @WebSocket('/nobody', { rate }) nobody(): void {}
  }

  @Controller('/calls')
  class Calls {
    @WebSocket('/', { rate }) open(): void {}
    @Rpc() hello() {
      return heard('hello');
    }
  }

  @Controller('/beside')
  class Beside {
    @WebSocket('/text', { rate }) text(@Body() text: string) {
      return heard(text);
    }
    @WebSocket('/loop', { rate }) async loop(@Socket(String) socket: Socket<string>) {
      for await (const text of socket) socket.send(heard(text));
    }
    @Rpc() hello() {
      return heard('hello');
    }
  }
  return [Messages, Calls, Beside];
}

function heard<T>(value: T): T {
  handled.count++;
  return value;
}
