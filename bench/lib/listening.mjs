/** Longer than a load that has its turns later pauses: Node closes an idle connection after five seconds. */
export const KEEP_ALIVE = 72_000;

/** Listens on a free port of the loopback and gives its number. */
export function listening(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.keepAliveTimeout = KEEP_ALIVE;
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => resolve(server.address().port));
  });
}

/** A free port, for frameworks that cannot be asked which one they took. */
export async function freePort() {
  const { createServer } = await import('node:net');
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
