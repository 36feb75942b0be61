import { broadcast } from './load-broadcast.mjs';
import { cycles, hold } from './load-idle.mjs';
import { echo } from './load-echo.mjs';
import { publishTurns, requestTurns } from './load-turns.mjs';

// The client's process: one task, one result, counts checked. When its parent goes, so does it.
const tasks = { broadcast, cycles, echo, hold, publishTurns, requestTurns };
const task = JSON.parse(process.argv[2]);
process.on('disconnect', () => process.exit(0));

/** Tells the parent how far it is, waits until it has looked, and gives what it says. */
function held(facts) {
  return new Promise((resolve) => {
    process.once('message', ({ answer }) => resolve(answer));
    process.send({ held: facts });
  });
}

try {
  process.send({ result: await tasks[task.task](task, held) });
} catch (error) {
  process.send({ error: error.stack ?? String(error) });
}
