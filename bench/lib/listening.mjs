/** Listens on a free port of the loopback and gives its number. */
export function listening(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
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
