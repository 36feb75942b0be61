import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { expect } from 'chai';
import type { ServeOptions } from 'coequal/testing';
import { mistreated, type Mistreated } from '../../support/canary.js';
import type { LogLine } from '../../support/journal.js';
import { field, readAnswers, type Answer, type Answers } from './http-answers.js';
import { SECRET } from './target.js';
import { allClosed, settles, Wire, within } from './wire.js';

const PROTOTYPES = [Object, Array, Function, String, Number, Boolean].map(
  ({ prototype }) => [prototype, Reflect.ownKeys(prototype)] as const,
);

/** Codes that a server may send for what a client did: none of them says that the server has failed. */
const CLOSE_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009, 3000, 3003, 3008]);

/** What the answer to a client's mistake never holds: where in the program it was found, or why. */
const INSIDE = /\n\s+at |\\n\s+at |node:internal|node_modules|file:\/\/|\.[jt]s:\d+/;

/** What Node answers before there is a request, and without a document. */
const BARE = new Set([400, 408, 413, 417, 431]);

/** An application that is given what nobody should send it. */
export interface Fuzzed extends Mistreated {
  port(): Promise<number>;
  /**
   * Sends each input on a connection of its own, all at once, and gives what came back. Where the server waits for
   * more, or goes on, we leave; not so if we are to `stay` until it closes.
   */
  send(inputs: readonly Buffer[], way?: { piece?: number; stay?: boolean }): Promise<Exchange[]>;
  /** What must hold after each batch: nothing is open, nothing logged as an error, no prototype changed. */
  unharmed(): Promise<void>;
}

/** What came of one input. */
export interface Exchange extends Answers {
  readonly input: Buffer;
  /** Whether we had to leave: the server waited for more, or goes on. */
  readonly left: boolean;
}

/** Serves an application to be fuzzed. Called in a `describe`. */
export function fuzzed(options: ServeOptions): Fuzzed {
  const base = mistreated({ limits: { body: 65_536, message: 4_096 }, ...options });
  const { server, log } = base;
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  before(() => process.on('warning', warned));
  after(() => process.off('warning', warned));

  const port = async (): Promise<number> => Number(new URL(await server.url()).port);

  return {
    ...base,
    port,
    holds(promise, work) {
      base.holds(promise, async function () {
        this.timeout(process.env['FUZZ'] === 'long' ? 0 : 60_000);
        await work.call(this);
      });
    },

    async send(inputs, { piece = 0, stay = false } = {}) {
      const at = await port();
      const wires = await Promise.all(inputs.map(() => Wire.open(at)));
      await Promise.all(wires.map((wire, index) => wire.write(inputs[index] ?? Buffer.alloc(0), piece)));
      await answersCome();
      if (!stay) for (const wire of wires) wire.leave();
      await allClosed(wires);
      return wires.map((wire, index) => exchange(wire, inputs[index] ?? Buffer.alloc(0)));
    },

    async unharmed() {
      await settles(quiet, () => `something stays open: ${JSON.stringify(server.app.stats())}`);
      // Forgotten in any case: a smaller input is to fail by itself.
      const errors = log.lines.splice(0).filter(isOurFault);
      if (errors.length > 0) throw new Error(`in the log: ${inspect(errors, { depth: 5 })}`);
      if (warnings.length > 0) throw new Error(`of the process: ${inspect(warnings.splice(0))}`);
      for (const [prototype, keys] of PROTOTYPES) {
        expect(Reflect.ownKeys(prototype), 'keys of a prototype').to.deep.equal(keys);
      }
    },
  };

  /** Whoever asks after us is answered after us, as far as nothing waits for anything. */
  async function answersCome(): Promise<void> {
    const answer = await within(server.fetch('/canary'), () => 'the canary route does not answer');
    expect(await answer.text(), 'the canary route').to.equal('alive');
    // What waits for a store or a parser has some turns more; what waits for the client would wait for ever.
    for (let turns = 0; turns < 20 && server.app.stats().inFlight.exchanges > 0; turns++) await turn();
  }

  /** The witness of the canary is open all the time. */
  function quiet(): boolean {
    const { connections, inFlight, buffered } = server.app.stats();
    const open = connections.sse + connections.websocket;
    return open === 1 && inFlight.exchanges + inFlight.handshakes + buffered === 0;
  }
}

/** What a client sends can be beyond what is implemented; that is no failure of the server. */
function isOurFault({ level, fields }: LogLine): boolean {
  return level === 'error' && fields['status'] !== 501 && fields['status'] !== 505;
}

function exchange(wire: Wire, input: Buffer): Exchange {
  const { answers, rest } = readAnswers(wire.received, { heads: input.includes('HEAD ') });
  for (const answer of answers) checkAnswer(answer, wire.left);
  return { input, answers, rest, left: wire.left };
}

/** What holds for each answer, whatever was asked. @throws AssertionError */
export function checkAnswer(answer: Answer, left: boolean): void {
  const { status, body } = answer;
  // Events have no end of their own: whatever ends their connection cuts them.
  const endless = field(answer, 'content-type') === 'text/event-stream';
  if (answer.cut && !left && !endless)
    throw new Error(`an answer with ${status} was cut, though its client stayed`);
  if (status >= 500) expect([501, 503, 505], 'a status that blames the server').to.include(status);
  if (status < 400 || answer.cut) return;
  const text = body.toString();
  expect(text).to.not.match(INSIDE);
  expect(text).to.not.include(SECRET);
  if (body.length === 0 && (BARE.has(status) || field(answer, 'content-length') !== undefined)) return;
  expect(field(answer, 'content-type')).to.equal('application/problem+json');
  const problem = JSON.parse(text) as Record<string, unknown>;
  expect(problem['status']).to.equal(status);
  for (const key of Object.keys(problem)) {
    expect(['title', 'status', 'code', 'detail', 'requestId', 'errors'], 'members of a problem').to.include(
      key,
    );
  }
}

/** @throws AssertionError for a close code that says that the server has failed, or that none may send. */
export function checkCloseCode(code: number): void {
  if (!CLOSE_CODES.has(code) && !(code >= 4400 && code < 4500)) expect.fail(`closed with ${code}`);
}
