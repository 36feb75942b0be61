import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Controller, createApp, HttpError, ConfigurationError } from 'coequal';
import {
  CONFIGURATION_ERROR_CODES,
  HTTP_ERROR_CODES,
  STATUS_ERROR_CODES,
} from '../../src/core/base/error-codes.js';
import { problem } from '../../src/core/base/errors.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

describe('error codes', () => {
  const statusCodes = Object.values(STATUS_ERROR_CODES);

  it('are those that the source gives, and no others', () => {
    const files = readdirSync(`${ROOT}src`, { recursive: true, encoding: 'utf8' });
    const sources = files
      .filter((name) => name.endsWith('.ts') && !name.endsWith('error-codes.ts'))
      // Examples in comments have codes of their own.
      .map((name) => readFileSync(`${ROOT}src/${name}`, 'utf8').replaceAll(/^ *\*.*$/gm, ''));
    const given = [...sources.join('\n').matchAll(/\bcode(?:: | = )(?:.* \? )?'([A-Z]+_[A-Z_]+)'/g)];
    const codes = new Set(given.map(([, code]) => code));
    expect([...codes]).to.have.members([...HTTP_ERROR_CODES, ...CONFIGURATION_ERROR_CODES]);
  });

  it('are listed in docs/errors.md', () => {
    const page = readFileSync(`${ROOT}docs/errors.md`, 'utf8').split('## Error codes')[1] ?? '';
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
    expect(rows).to.deep.equal([...HTTP_ERROR_CODES, ...CONFIGURATION_ERROR_CODES]);
    for (const [status, code] of Object.entries(STATUS_ERROR_CODES)) {
      expect(page.replaceAll(/\s+/g, ' ')).to.contain(`${status} \`${code}\``);
    }
  });

  it('differ from one another', () => {
    const all = [...statusCodes, ...HTTP_ERROR_CODES, ...CONFIGURATION_ERROR_CODES];
    expect(new Set(all).size).to.equal(all.length);
  });

  it('of an HttpError are its own, or those of its status', () => {
    const codeOf = (...args: ConstructorParameters<typeof HttpError>): string => new HttpError(...args).code;
    expect(codeOf(409)).to.equal('CONFLICT');
    expect(codeOf(499)).to.equal('BAD_REQUEST');
    expect(codeOf(599)).to.equal('INTERNAL_SERVER_ERROR');
    expect(codeOf(409, 'Out of stock', { code: 'OUT_OF_STOCK' })).to.equal('OUT_OF_STOCK');
  });

  it('are in the problem document, unless its extensions have a code', () => {
    const document = problem(new HttpError(409, 'Out of stock', { code: 'OUT_OF_STOCK' }));
    expect(document).to.deep.equal({
      title: 'Conflict',
      status: 409,
      code: 'OUT_OF_STOCK',
      detail: 'Out of stock',
    });
    expect(problem(new HttpError(402, undefined, { extensions: { code: 7 } })).code).to.equal(7);
  });

  it('of a ConfigurationError say what kind of mistake it is', () => {
    const codeOf = (start: () => unknown): string | undefined => {
      try {
        start();
      } catch (error) {
        if (error instanceof ConfigurationError) return error.code;
      }
      return undefined;
    };
    class Bare {}
    expect(codeOf(() => createApp({ controllers: [], limits: { body: 0 } }))).to.equal('INVALID_OPTION');
    expect(codeOf(() => createApp({ controllers: [Bare] }))).to.equal('INVALID_CONTROLLER');
    expect(codeOf(() => Controller(Bare as never))).to.equal('INVALID_DECORATOR');
  });
});
