import { Controller, createApp, Post, sessions, Sse, WebSocket } from 'coequal';
import { WebSocket as Client } from 'ws';

// How long it takes from the request that signs out until the sockets and streams of the session have ended.
const ROUNDS = Number(process.argv[2] ?? 200);
const EACH = 5;

class Site {
  async enter(ctx) {
    await ctx.session.regenerate();
    await ctx.session.set('user', 'ada');
  }
  leave(ctx) {
    return ctx.session.destroy();
  }
  open() {}
}
const method = (name, ...decorators) => {
  for (const decorate of decorators)
    decorate(Site.prototype, name, Object.getOwnPropertyDescriptor(Site.prototype, name));
};
const { Ctx } = await import('coequal');
for (const name of ['enter', 'leave']) Ctx()(Site.prototype, name, 0);
method('enter', Post('/enter'));
method('leave', Post('/leave'));
method('open', Sse('/open'), WebSocket('/open'));
Controller()(Site);

const app = createApp({
  controllers: [Site],
  middleware: [sessions({ cookie: { name: 's', secure: false } })],
});
const { url } = await app.listen();
const times = [];
for (let round = 0; round < ROUNDS; round++) {
  const entered = await fetch(`${url}/enter`, { method: 'POST' });
  const headers = { cookie: entered.headers.getSetCookie()[0].split(';')[0], origin: url };
  let begun = 0;
  const ended = [];
  for (let i = 0; i < EACH; i++) {
    const socket = new Client(`${url.replace('http', 'ws')}/open`, { headers });
    await new Promise((resolve) => socket.once('open', resolve));
    ended.push(
      new Promise((resolve) => socket.once('close', () => resolve(times.push(performance.now() - begun)))),
    );
    const stream = await fetch(`${url}/open`, { headers: { ...headers, accept: 'text/event-stream' } });
    ended.push(stream.text().then(() => times.push(performance.now() - begun)));
  }
  begun = performance.now();
  await fetch(`${url}/leave`, { method: 'POST', headers });
  await Promise.all(ended);
}
times.sort((a, b) => a - b);
const at = (share) => times[Math.floor(times.length * share)].toFixed(1);
console.log(
  `${times.length} connections ended: median ${at(0.5)} ms, 99th percentile ${at(0.99)} ms, last ${times.at(-1).toFixed(1)} ms`,
);
await app.close();
