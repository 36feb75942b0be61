import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * Answers that wait until those before them on their connection are out. When it closes, Node tells only the one whose
 * turn it is; the others would never end.
 */
export class Pipeline {
  readonly #waiting = new WeakMap<Socket, Set<ServerResponse>>();

  add(socket: Socket, response: ServerResponse): void {
    let waiting = this.#waiting.get(socket);
    if (waiting === undefined) {
      this.#waiting.set(socket, (waiting = new Set()));
      // One listener, however many wait.
      socket.once('close', () => this.#end(socket));
    }
    const behind = waiting.add(response);
    response.once('close', () => behind.delete(response));
  }

  #end(socket: Socket): void {
    for (const response of this.#waiting.get(socket) ?? []) {
      if (response.socket !== null) continue;
      response.destroy();
      response.emit('close');
    }
  }
}

/** The answer whose turn it is on a connection. Node's own handler of errors goes by the same. */
export function inFlightOn(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}
