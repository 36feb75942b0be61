import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { expect } from 'chai';
import { Body, Controller, Get, Post } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { executable, unless } from '../../support/skip.js';
import { LONG } from '../../support/long.js';

/** More than the system keeps for a client that reads little; one for all, so that only the system's copies count. */
const PAGE = Buffer.alloc(1_048_576, 'x');
const [CONNECTIONS, SECONDS] = LONG ? [150, 5] : [60, 2];

@Controller('/slow')
class Slow {
  @Get()
  page() {
    return PAGE;
  }
  @Post()
  take(@Body() fields: unknown) {
    return typeof fields;
  }
}

const attacks: { name: string; options: string[] }[] = [
  { name: 'headers that never end (slowloris)', options: ['-H', '-i', '1', '-x', '24'] },
  { name: 'bodies that never end', options: ['-B', '-i', '1', '-s', '8192', '-x', '10'] },
  { name: 'thousands of overlapping ranges', options: ['-R', '-a', '10', '-b', '3000'] },
  {
    name: 'answers that are read by the byte',
    options: ['-X', '-w', '10', '-y', '20', '-n', '1', '-z', '32'],
  },
];

describe('Slow and stuck', () => {
  describe('hundreds of connections of slowhttptest', () => {
    const { server, log, holds } = mistreated({
      controllers: [Slow],
      timeouts: { headers: 1_000, request: 2_000, keepAlive: 1_000 },
    });
    const program = executable('slowhttptest');

    before(function () {
      unless(program === undefined && 'slowhttptest', 'apt-get install slowhttptest', this);
    });

    holds(
      'leave the service available in all of its modes at once, to it and to the canary',
      async function () {
        this.timeout(60_000);
        const url = `${await server.url()}/slow`.replace('localhost', '127.0.0.1');
        let over = false;
        const running = Promise.all(attacks.map(({ options }) => attack(url, options))).finally(
          () => (over = true),
        );
        let answered = 0;
        while (!over) {
          const answer = await server.fetch('/canary');
          expect(await answer.text()).to.equal('alive');
          answered++;
          await wait(100);
        }
        expect(answered).to.be.greaterThan(0);
        for (const [index, report] of (await running).entries()) {
          const { name } = attacks[index] ?? {};
          expect(report, name).to.match(/service available:\s+YES/);
          expect(report, name).to.not.match(/service available:\s+NO/);
        }
        // Who has left, or was cut, is nobody's any more.
        await until(() => server.app.stats().inFlight.exchanges === 0);
        expect(log.at('error')).to.deep.equal([]);
      },
    );

    async function attack(url: string, options: string[]): Promise<string> {
      const load = ['-c', `${CONNECTIONS}`, '-r', '200', '-l', `${SECONDS}`, '-p', '10', '-u', url];
      const child = spawn(program ?? '', [...options, ...load], { stdio: ['ignore', 'pipe', 'pipe'] });
      let report = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (report += text));
      await once(child, 'close');
      // Its colours stand between the words.
      return stripVTControlCharacters(report);
    }
  });
});
