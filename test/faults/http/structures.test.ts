import { expect } from 'chai';
import { Body, Controller, Get, Post, Query } from 'coequal';
import { mistreated } from '../../support/canary.js';

const reached: string[] = [];

@Controller()
class Taking {
  @Post('/any') any(@Body() body: unknown) {
    reached.push('any');
    return { body };
  }
  @Get('/query') query(@Query() all: Record<string, unknown>) {
    reached.push('query');
    return { count: Object.keys(all).length };
  }
}

describe('HTTP', () => {
  describe('structures', () => {
    const { server, log, holds } = mistreated({
      controllers: [Taking],
      limits: { body: 8_388_608, head: 262_144 },
    });
    beforeEach(() => void reached.splice(0));

    async function refused(body: string): Promise<void> {
      const headers = { 'content-type': 'application/json' };
      const answer = await server.fetch('/any', { method: 'POST', headers, body });

      expect([answer.status, answer.headers.get('content-type')]).to.deep.equal([
        400,
        'application/problem+json',
      ]);
      expect([reached, log.at('error')]).to.deep.equal([[], []]);
    }

    const nested: [name: string, body: string][] = [
      ['arrays 65 deep', '['.repeat(65) + ']'.repeat(65)],
      ['objects 65 deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`],
      ['a million arrays', '['.repeat(1_000_000) + ']'.repeat(1_000_000)],
      ['a million arrays that are not closed', '['.repeat(1_000_000)],
      ['half a million objects', `${'{"a":'.repeat(500_000)}1${'}'.repeat(500_000)}`],
      ['both by turns', `${'[{"a":'.repeat(300_000)}1${'}]'.repeat(300_000)}`],
    ];
    for (const [name, body] of nested) {
      holds(`of JSON that are ${name} are refused with 400`, () => refused(body));
    }

    const keys = (count: number): string => Array.from({ length: count }, (_, at) => `"${at}":1`).join();
    holds('of JSON with 100,000 keys are refused with 400', () => refused(`{${keys(100_000)}}`));
    holds('of JSON with 100,000 keys in many objects are refused with 400', () =>
      refused(`[${'{"a":1},'.repeat(100_000)}1]`),
    );
    holds('of JSON with one key 100,000 times are refused with 400', () =>
      refused(`{${'"a":1,'.repeat(100_000)}"a":1}`),
    );

    holds('of JSON at the limits are taken', async () => {
      const deep = '['.repeat(63) + ']'.repeat(63);
      const answer = await server.fetch('/any', {
        json: { ...JSON.parse(`{${keys(9_999)}}`), deep: JSON.parse(deep) },
      });

      expect([answer.status, reached]).to.deep.equal([200, ['any']]);
    });

    holds('of a form with 10,000 fields are refused with 400', async () => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const answer = await server.fetch('/any', { method: 'POST', headers, body: 'a=1&'.repeat(10_000) });

      expect([answer.status, reached]).to.deep.equal([400, []]);
    });

    for (const [name, parameter] of Object.entries({ one: 'a=1', empty: '', nameless: '=' })) {
      holds(`of a query with 10,000 parameters are refused with 400 (${name})`, async () => {
        const answer = await server.fetch(`/query?${`${parameter}&`.repeat(10_000)}`);

        expect([answer.status, reached]).to.deep.equal([400, []]);
      });
    }

    holds('of a query with 1,000 parameters are taken', async () => {
      const query = Array.from({ length: 1_000 }, (_, at) => `k${at}=1`).join('&');

      expect(await (await server.fetch(`/query?${query}`)).json()).to.deep.equal({ count: 1_000 });
      expect((await server.fetch(`/query?${query}&more`)).status).to.equal(400);
    });

    holds('of a query that are malformed are text', async () => {
      for (const query of ['%', '%zz=%', 'a=%c0%ae', 'a=%00', 'a[b]=1', 'a%5B__proto__%5D=1']) {
        expect((await server.fetch(`/query?${query}`)).status).to.equal(200);
      }
    });
  });

  describe('queries by default', () => {
    const { server, holds } = mistreated({ controllers: [Taking] });

    holds('of 10,000 parameters are refused with 431 already', async () => {
      expect((await server.fetch(`/query?${'a=1&'.repeat(10_000)}`)).status).to.equal(431);
    });
  });
});
