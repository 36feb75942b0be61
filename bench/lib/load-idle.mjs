import { setTimeout as after } from 'node:timers/promises';
import { DIALECTS } from './dialects.mjs';
import { RawConnection, openMany } from './connection.mjs';
import { clientFrame } from './frames.mjs';

const AUTHORIZATION = { Authorization: 'Bearer alice' };

/** Opens `connections` and keeps them, idle, until the parent has looked. */
export async function hold({ port, dialect = 'plain', path, stream, connections }, held) {
  const target = stream ? { path, status: 200 } : { path: DIALECTS[dialect].path(path) };
  // What earlier connections left has time to go.
  await after(500);
  await held('before');
  const { opening } = DIALECTS[dialect];
  const all = await openMany(connections, port, { ...target, headers: AUTHORIZATION }, { opening });
  await after(300);
  const gone = all.filter((connection) => connection.ended !== undefined);
  if (gone.length > 0) throw new Error(`${gone.length} of ${connections} connections have ended`);
  await held('open');
  for (const connection of all) connection.destroy();
  return { connections };
}

/** Sockets opened, closed by the closing handshake and gone, per second, by 32 clients at once. */
export async function cycles({ port, dialect, path, seconds }, held) {
  const target = { path: DIALECTS[dialect].path(path), headers: AUTHORIZATION };
  const { opening } = DIALECTS[dialect];
  const close = clientFrame(Buffer.of(0x03, 0xe8), 8);
  let count = 0;
  let running = true;
  const client = async (index) => {
    // Each client has an address of its own on Linux, so that closed connections do not use up the ports.
    const address = process.platform === 'linux' ? `127.0.0.${index + 2}` : undefined;
    while (running) {
      const connection = await new RawConnection(port, address).open(target);
      for (const { send, expect } of opening) {
        if (send !== undefined) connection.sendText(send);
        if (!(await connection.message()).text.startsWith(expect)) throw new Error(`no ${expect}`);
      }
      const closed = new Promise((resolve) => connection.socket.once('close', resolve));
      connection.listen(() => connection.socket.end());
      connection.socket.write(close);
      await closed;
      count++;
    }
  };
  const clients = Promise.all(Array.from({ length: 32 }, (_, index) => client(index)));
  clients.catch(() => {});
  await Promise.race([after(seconds * 300), clients]);
  await held('begin');
  const [began, before, cpu] = [performance.now(), count, process.cpuUsage()];
  await Promise.race([after(seconds * 1000), clients]);
  const elapsed = (performance.now() - began) / 1000;
  const rate = (count - before) / elapsed;
  const used = process.cpuUsage(cpu);
  await held('end');
  running = false;
  await clients;
  return { rate, clientBusy: (used.user + used.system) / 1e6 / elapsed };
}
