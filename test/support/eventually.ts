import { setImmediate as turn } from 'node:timers/promises';

/** Lets the event loop turn until the condition is met; a test that waits in vain is ended by its runner. */
export async function eventually(met: () => boolean): Promise<void> {
  while (!met()) await turn();
}
