import { expect } from 'chai';
import { Body, Controller, Socket, WebSocket } from 'coequal';
import type { ServeOptions } from 'coequal/testing';
import { mistreated, type Mistreated } from './canary.js';
import { exchange, says, Wire } from './ws-wire.js';

/** A heartbeat that is never due: its pings would stand between what is expected. */
export const QUIET = 3_600_000;

@Controller()
export class Echoes {
  @WebSocket('/text') text(@Body() message: string) {
    return message;
  }
  @WebSocket('/bytes') bytes(@Body() message: Buffer) {
    return message;
  }
  @WebSocket('/text-loop') async textLoop(@Socket(String) socket: Socket<string>) {
    for await (const message of socket) socket.send(message);
  }
  @WebSocket('/bytes-loop') async bytesLoop(@Socket(Buffer) socket: Socket<Buffer>) {
    for await (const message of socket) socket.send(message);
  }
}

/** The two ways in which a method takes messages: it is run for each, or loops over them. */
export const TEXT_PATHS = ['/text', '/text-loop'] as const;
export const BINARY_PATHS = ['/bytes', '/bytes-loop'] as const;

export interface Conversing extends Mistreated {
  /** Sends bytes on a new socket and compares all that comes back, up to the end of the connection. */
  talks(path: string, sent: readonly Uint8Array[], expected: readonly string[], chop?: number): Promise<void>;
  /** As `talks`, for what breaks the protocol: one line of the log says so. */
  fails(path: string, sent: readonly Uint8Array[], expected: readonly string[], chop?: number): Promise<void>;
}

/** Serves echoes to be mistreated. Called in a `describe`. */
export function echoes(options: Partial<ServeOptions> = {}): Conversing {
  const served = mistreated({ controllers: [Echoes], heartbeat: QUIET, ...options });
  const { server, log } = served;
  const talks: Conversing['talks'] = async (path, sent, expected, chop) => {
    const heard = await exchange(await Wire.open(server, path), sent, expected, chop);
    const ends = expected.at(-1)?.startsWith('close') === true;
    expect(heard).to.deep.equal(ends ? expected : [...expected, says.close(1000)]);
  };
  return {
    ...served,
    talks: async (...how) => {
      await talks(...how);
      expect(log.lines, 'the log').to.deep.equal([]);
    },
    fails: async (...how) => {
      await talks(...how);
      expect(
        log.lines.map(({ level, message }) => `${level}: ${message}`),
        'the log',
      ).to.deep.equal(['info: the socket failed']);
    },
  };
}
