import { expect } from 'chai';
import { Controller, Get, Query, type Problem } from 'coequal';
import { serve } from 'coequal/testing';

const show = (value: unknown): string => (value === undefined ? 'undefined' : JSON.stringify(value));

@Controller('/declared')
class Declared {
  @Get('/string')
  string(@Query('v') v: string) {
    return show(v);
  }
  @Get('/number')
  number(@Query('v') v: number) {
    return show(v);
  }
  @Get('/boolean')
  boolean(@Query('v') v: boolean) {
    return show(v);
  }
  @Get('/date')
  date(@Query('v') v: Date) {
    return v instanceof Date ? v.toISOString() : show(v);
  }
  @Get('/array')
  array(@Query('v', [String]) v: string[]) {
    return show(v);
  }
  @Get('/any')
  any(@Query('v', Object) v: unknown) {
    return show(v);
  }
}

describe('a declared type', () => {
  const server = serve({ controllers: [Declared], logger: false });

  const taken: [string, string, string][] = [
    ['string', '', 'undefined'],
    ['string', '?v=', '""'],
    ['string', '?v=%20a%20', '" a "'],
    ['string', '?v=5', '"5"'],
    ['string', '?w=5', 'undefined'],
    ['number', '', 'undefined'],
    ['number', '?v=5', '5'],
    ['number', '?v=-0.5', '-0.5'],
    ['number', '?v=.5', '0.5'],
    ['number', '?v=1e3', '1000'],
    ['number', '?v=%2B5', '5'],
    ['number', '?v=+5', '5'],
    ['number', '?v=007', '7'],
    ['boolean', '', 'undefined'],
    ['boolean', '?v=true', 'true'],
    ['boolean', '?v=1', 'true'],
    ['boolean', '?v=false', 'false'],
    ['boolean', '?v=0', 'false'],
    ['date', '', 'undefined'],
    ['date', '?v=2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['date', '?v=2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['date', '?v=2026-01-31T12:00:00.5%2B02:00', '2026-01-31T10:00:00.500Z'],
    ['array', '', 'undefined'],
    ['array', '?v=a', '["a"]'],
    ['array', '?v=a&v=b', '["a","b"]'],
    ['array', '?v=', '[""]'],
    ['any', '?v=5', '"5"'],
    ['any', '?v=a&v=b', '["a","b"]'],
  ];
  for (const [type, query, given] of taken) {
    it(`${type} makes ${given} of ${query || 'nothing'}`, async () => {
      expect(await (await server.fetch(`/declared/${type}${query}`)).text()).to.equal(given);
    });
  }

  const refused: [string, string, string][] = [
    ['string', '?v=a&v=b', 'one text'],
    ['number', '?v=', 'a number'],
    ['number', '?v=%20', 'a number'],
    ['number', '?v=five', 'a number'],
    ['number', '?v=NaN', 'a number'],
    ['number', '?v=Infinity', 'a number'],
    ['number', '?v=1e999', 'a number'],
    ['number', '?v=0x10', 'a number'],
    ['number', '?v=0b1', 'a number'],
    ['number', '?v=1_000', 'a number'],
    ['number', '?v=5px', 'a number'],
    ['number', '?v=1,5', 'a number'],
    ['number', '?v=1&v=2', 'a number'],
    ['boolean', '?v=', 'true or false'],
    ['boolean', '?v=TRUE', 'true or false'],
    ['boolean', '?v=yes', 'true or false'],
    ['boolean', '?v=true&v=true', 'true or false'],
    ['date', '?v=', 'a date such as 2026-01-31T12:00:00Z'],
    ['date', '?v=2026', 'a date such as 2026-01-31T12:00:00Z'],
    ['date', '?v=1', 'a date such as 2026-01-31T12:00:00Z'],
    ['date', '?v=31.01.2026', 'a date such as 2026-01-31T12:00:00Z'],
    ['date', '?v=2026-13-01', 'a date such as 2026-01-31T12:00:00Z'],
    ['date', '?v=2026-02-30', 'a date such as 2026-01-31T12:00:00Z'],
    ['date', '?v=2026-01-31T12:00:00', 'a date such as 2026-01-31T12:00:00Z'],
  ];
  for (const [type, query, what] of refused) {
    it(`${type} refuses ${query} by a 400 that names the parameter`, async () => {
      const response = await server.fetch(`/declared/${type}${query}`);
      const { status, detail, errors } = (await response.json()) as Problem;
      expect({ status, detail, errors }).to.deep.equal({
        status: 400,
        detail: `@Query('v') is not ${what}`,
        errors: [{ path: 'v', message: `expected ${what}` }],
      });
    });
  }
});
