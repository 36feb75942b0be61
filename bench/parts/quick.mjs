import { broadcast } from './broadcast.mjs';
import { echo } from './echo.mjs';
import { http } from './http.mjs';
import { idle } from './idle.mjs';

/** The main ratios of coequal to what is written by hand, in under two minutes. They are printed, and not kept. */
export async function quick(options) {
  const only = ['node', 'ws', 'coequal'];
  const pick = (entries) => entries.filter(({ name }) => only.includes(name));
  const short = { ...options, pick, rounds: options.rounds ?? 2, seconds: options.seconds ?? 0.5 };
  await http(short);
  await echo(short);
  await broadcast(short);
  await idle({ ...short, rounds: 1, seconds: options.seconds ?? 1, connections: 2_000 });
}
