import { expect } from 'chai';
import { Body, Controller, Get, WebSocket, type Logger } from 'coequal';
import { serve, type ServeOptions, type TestServer, type TestSocket } from 'coequal/testing';
import { Recorder } from './journal.js';

@Controller('/canary')
class Canary {
  @Get() alive() {
    return 'alive';
  }
  @WebSocket() echo(@Body() text: string) {
    return text;
  }
}

/** A server that is mistreated, and that must not notice. */
export interface Mistreated {
  readonly server: TestServer;
  /** What it has logged in this case; tests of their own logger give it in the options. */
  readonly log: Recorder;
  /** One case: after it, a request is answered and a socket that was open before it still talks. */
  holds(promise: string, work: (this: Mocha.Context) => unknown): void;
}

/**
 * Serves an application to be mistreated. Called in a `describe`; an error that nobody has caught fails the case,
 * since mocha hears of it.
 */
export function mistreated(options: ServeOptions): Mistreated {
  const log = new Recorder();
  const logger: Logger = log;
  const server = serve({ logger, ...options, controllers: [...options.controllers, Canary] });
  let witness: TestSocket;
  before(async () => {
    witness = await server.socket('/canary');
  });
  return {
    server,
    log,
    holds(promise, work) {
      it(promise, async function () {
        log.lines.length = 0;
        await work.call(this);
        const answer = await server.fetch('/canary');
        expect([answer.status, await answer.text()], 'the canary route').to.deep.equal([200, 'alive']);
        witness.send('alive');
        expect(await witness.next(), 'the open socket').to.equal('alive');
      });
    },
  };
}
