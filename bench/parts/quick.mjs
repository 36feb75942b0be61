import { broadcast } from './broadcast.mjs';
import { echo } from './echo.mjs';
import { http } from './http.mjs';
import { idle } from './idle.mjs';
import { realistic } from './realistic.mjs';

/**
 * The main ratios of coequal to what is written by hand, in under two minutes, or to another checkout of it. They are
 * printed, and not kept.
 */
export async function quick(options) {
  const short = {
    ...options,
    pick: options.before === undefined ? handWritten : against(options.before),
    rounds: options.rounds ?? 2,
    seconds: options.seconds ?? 0.5,
  };
  await realistic(short);
  await http(short);
  await echo(short);
  await broadcast(short);
  await idle({ ...short, rounds: 1, seconds: options.seconds ?? 1, connections: 2_000 });
}

function handWritten(entries) {
  const only = ['node', 'ws', 'coequal'];
  return entries.filter(({ name }, index) => index === 0 || only.includes(name));
}

/** The same application twice: that of the other checkout comes first, so that ratios are to it. */
function against(bench) {
  return (entries) => {
    const ours = entries.find(({ name }) => name === 'coequal');
    const { href } = new URL(ours.file, bench);
    return [{ ...ours, name: 'before', label: 'coequal before', file: href }, ours];
  };
}
