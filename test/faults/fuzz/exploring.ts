import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { LONG as MANY } from '../../support/long.js';

/** Whether `npm run fuzz` runs it: as many inputs as it takes, and lines that tell how far it is. */
const LONG = process.env['FUZZ'] === 'long';

const given = process.env['FUZZ_SEED'];

/** What others try again and again, and what nobody has tried before; alone what is to be replayed. */
const FIXED = 20_260_101;
const FRESH = given === undefined ? randomInt(2 ** 31 - 100_000) : Number(given);
const SEEDS = given === undefined && !LONG ? [FIXED, FRESH] : [FRESH];

/** Of a short run, what one seed may take; a busy machine tries fewer inputs, and at least one round. */
const SHORT_MS = MANY ? 3_000 : 300;
const PROGRESS_MS = 15_000;
/** After which no smaller input is looked for: some that fail take long to do so. */
const SHRINKING_MS = LONG ? 600_000 : 30_000;

export interface Extent {
  /** What the inputs are, in the plural. */
  of: string;
  /** How many inputs are tried for each seed, of a long run and of others. */
  long: number;
  short: number;
}

/**
 * Tries generated inputs in rounds, each with a seed of its own, until there were enough of them. `property` gives
 * the number of inputs that one value stands for. @throws Error with seed and path of the smallest that fails.
 */
export async function explore<T>(
  { of, long, short }: Extent,
  values: fc.Arbitrary<T>,
  property: (value: T) => Promise<number>,
): Promise<void> {
  const goal = LONG ? long : short;
  for (const seed of SEEDS) {
    const began = Date.now();
    let told = began;
    let tried = 0;
    for (let round = 0; tried < goal; round++) {
      const test = fc.asyncProperty(values, async (value) => {
        tried += await property(value);
      });
      await fc.assert(test, {
        seed: seed + round,
        numRuns: LONG ? 100 : 5,
        path: process.env['FUZZ_PATH'],
        interruptAfterTimeLimit: SHRINKING_MS,
        markInterruptAsFailure: true,
      });
      const now = Date.now();
      if (LONG && now - told > PROGRESS_MS) {
        told = now;
        console.log(`      ${tried} of ${goal} ${of}, seed ${seed + round}`);
      }
      if (process.env['FUZZ_PATH'] !== undefined || (!LONG && now - began > SHORT_MS)) break;
    }
    console.log(
      `      ${tried} ${of} from seed ${seed} on, in ${((Date.now() - began) / 1000).toFixed(1)} s`,
    );
  }
}
