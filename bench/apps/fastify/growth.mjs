import fastify from 'fastify';

export async function start({ routes = 1, middleware = 0 }) {
  const app = fastify();
  for (let i = 0; i < middleware; i++) app.addHook('preHandler', async () => {});
  for (let i = 0; i < routes; i++)
    app.get(`/area${i}/items/:id`, async ({ params }) => ({ area: i, id: params.id }));
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { port: app.server.address().port };
}
