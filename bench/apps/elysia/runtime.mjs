import { freePort } from '../../lib/listening.mjs';

/** On Bun, Elysia uses `Bun.serve`; on Node it needs an adapter. */
export async function options() {
  if (process.versions.bun !== undefined) return { serve: { idleTimeout: 72 } };
  const { node } = await import('@elysiajs/node');
  return { adapter: node() };
}

/** Listens on a free port of the loopback and gives its number. */
export async function listen(app) {
  const port = await freePort();
  await new Promise((resolve) => app.listen({ port, hostname: '127.0.0.1' }, resolve));
  return port;
}
