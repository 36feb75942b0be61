import { request } from 'node:http';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { Controller, Get, Sse, type Logger } from 'coequal';
import { guardLogger, consoleLogger } from '../../src/core/base/logger.js';
import { servers } from '../support/doors.js';

const FORGED = 'x\r\nerror: forged\u001b[2J\u0007\u009b31m\u2028\u202eend\u0000';
const CONTROL = /[\p{Cc}\u2028\u202e]/u;

/** What the console is given while it is replaced. */
function printed(act: () => void): string[] {
  const lines: string[] = [];
  const { warn, error } = console;
  console.warn = console.error = (line: string) => void lines.push(line);
  try {
    act();
  } finally {
    Object.assign(console, { warn, error });
  }
  return lines;
}

describe('the log', () => {
  it('escapes control characters in messages and fields', () => {
    const [line = ''] = printed(() =>
      consoleLogger.warn({ path: FORGED, deep: { reason: [FORGED] } }, `GET ${FORGED}`),
    );
    expect(line).not.to.match(CONTROL);
    expect(line).to.contain('x\\u000d\\u000aerror: forged\\u001b[2J');
  });

  it('escapes them in what was thrown, and keeps the lines of its stack', () => {
    for (const err of [new Error(FORGED), FORGED, { toString: () => FORGED, FORGED }]) {
      const [line = ''] = printed(() => consoleLogger.error({ err }, 'failed'));
      const lines = line.split('\n');
      expect(lines.filter((one) => CONTROL.test(one))).to.deep.equal([]);
      expect(lines.filter((one) => one.startsWith('error: forged'))).to.deep.equal([]);
      if (err instanceof Error) expect(lines.slice(2).every((one) => /^\s+at /.test(one))).to.equal(true);
    }
    const disguised = [
      Object.assign(new Error('short'), { stack: `Error: short\n${FORGED}\nerror: forged` }),
      { [inspect.custom]: () => `\nerror: forged` },
      'error: forged',
    ];
    for (const err of disguised) {
      const [line = ''] = printed(() => consoleLogger.error({ err }, 'failed'));
      expect(line).to.contain('error: forged');
      expect(line.split('\n').filter((one) => one.startsWith('error: forged'))).to.deep.equal([]);
    }
    const cause = new Error('outer', { cause: new Error(FORGED) });
    const [line = ''] = printed(() => consoleLogger.error({ err: cause }, 'failed'));
    expect(line).to.contain('caused by: Error: x\\u000d\\u000aerror');
  });

  it('gives loggers of the application no control characters in messages and fields', () => {
    const given: unknown[] = [];
    const note = (fields: object, message: string): void => void given.push({ ...fields, message });
    const logger = guardLogger({ info: note, warn: note, error: note } as Logger);
    logger.info({ reason: FORGED, code: 1 }, FORGED);
    const [one] = given as { reason: string; message: string; code: number }[];
    expect(one?.reason).not.to.match(CONTROL);
    expect(one?.message).not.to.match(CONTROL);
    expect(one?.code).to.equal(1);
  });
});

describe('load that a limit refuses', () => {
  const serve = servers();

  @Controller()
  class Feed {
    @Sse('/feed')
    feed() {}

    @Get('/broken')
    broken() {
      throw new Error('a real failure');
    }
  }

  it('is a few warnings with their count, and a failure is still an error', async () => {
    const logged: { level: string; fields: Record<string, unknown>; message: string }[] = [];
    const at = (level: string) => (fields: object, message: string) =>
      void logged.push({ level, fields: fields as Record<string, unknown>, message });
    const logger = { info: at('info'), warn: at('warn'), error: at('error') };
    const server = serve({ controllers: [Feed], limits: { connections: 1 }, logger });
    const open = await server.sse('/feed');
    const url = await server.url();
    const refused = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { accept: 'text/event-stream' };
        request(`${url}/feed`, { headers }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        })
          .on('error', reject)
          .end();
      });
    for (let i = 0; i < 20; i++) {
      expect(await Promise.all(Array.from({ length: 10 }, refused))).to.deep.equal(Array(10).fill(503));
    }
    await server.fetch('/broken');
    open.close();
    await server.close();
    const warnings = logged.filter(({ message }) => message === 'limit reached');
    expect(warnings.length).to.be.within(2, 10);
    expect(warnings.reduce((sum, { fields }) => sum + (fields['count'] as number), 0)).to.equal(200);
    expect(warnings.every(({ level, fields }) => level === 'warn' && !('err' in fields))).to.equal(true);
    const errors = logged.filter(({ level }) => level === 'error');
    expect(errors.map(({ message }) => message)).to.deep.equal(['GET /broken failed']);
  });
});
