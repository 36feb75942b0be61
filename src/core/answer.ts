import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { hangUp } from './hang-up.js';

/** Node's response, which does not cut off a client that still sends: it could not read its answer. */
export class Answer<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {
  /** Node lets go of the socket when the answer is out, and before it closes the connection, if it does. */
  override detachSocket(socket: Socket): void {
    super.detachSocket(socket);
    const { req: request } = this;
    if (request.complete) return;
    // Node forgets the request with its answer, and would not tell those who still read it that the client has left.
    socket.once('close', () => request.destroy());
    socket.destroySoon = () => {
      // Nobody reads the body any more, and Node's parser may have stopped to take it from the network.
      request.resume();
      hangUp(socket);
    };
  }
}
