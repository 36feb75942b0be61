import fastify from 'fastify';
import websocket from '@fastify/websocket';

export async function start() {
  const app = fastify();
  await app.register(websocket);
  app.decorateRequest('user', null);
  app.decorateRequest('attributes', null);
  app.get('/text', { websocket: true }, (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  app.get('/json', { websocket: true }, (socket) => {
    socket.on('message', (data) => socket.send(JSON.stringify(JSON.parse(data.toString()))));
  });
  app.get('/ticks', { websocket: true }, () => {});
  app.get('/idle', { websocket: true, preValidation: guard }, (socket, request) => {
    socket.on('message', () => socket.send(request.user.name));
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    port: app.server.address().port,
    publish(text) {
      for (const socket of app.websocketServer.clients) socket.send(text);
    },
  };
}

async function guard(request, reply) {
  if (request.headers.authorization !== 'Bearer alice') return reply.code(401).send();
  request.user = { name: 'alice' };
  request.attributes = new Map([['room', 'lobby']]);
}
