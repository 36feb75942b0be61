import { expect } from 'chai';
import { basename } from 'node:path';
import { executable, unless, type Skippable } from './skip.js';

const SKIPPED = new Error('skipped');

describe('unless', () => {
  it('lets the suite run when nothing is missing', function () {
    unless(undefined, 'nothing to do', this);
    unless(false, 'nothing to do', this);
  });

  it('prints one line with the remedy and skips when something is missing', function () {
    const lines: string[] = [];
    const print = (line: string) => void lines.push(line);

    expect(() => unless('tea', 'boil water', skippable(this), { ci: false, print })).to.throw(
      SKIPPED.message,
    );

    expect(lines).to.deep.equal([
      `skipped: ${this.test?.fullTitle()}: tea is missing; to get it: boil water`,
    ]);
  });

  it('fails under CI when something is missing', function () {
    expect(() => unless('tea', 'boil water', skippable(this), { ci: true })).to.throw(
      Error,
      'tea is missing; to get it: boil water',
    );
  });

  describe('in a hook', () => {
    let line = '';

    before(function () {
      const print = (printed: string) => void (line = printed);
      expect(() => unless('tea', 'boil water', skippable(this), { ci: false, print })).to.throw(
        SKIPPED.message,
      );
    });

    it('names the suite, not the hook', () => {
      expect(line).to.equal('skipped: unless in a hook: tea is missing; to get it: boil water');
    });
  });
});

describe('executable', () => {
  it('finds a program on the path', () => {
    expect(basename(executable('sh') ?? '')).to.equal('sh');
  });

  it('finds neither an absent program nor a folder', () => {
    expect(executable('no-such-program')).to.equal(undefined);
    expect(executable('.')).to.equal(undefined);
  });
});

/** The context, with a `skip` that can be told from a skip of the test itself. */
function skippable({ test }: Mocha.Context): Skippable {
  return {
    test,
    skip() {
      throw SKIPPED;
    },
  };
}
