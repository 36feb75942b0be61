import fastify from 'fastify';

const user = { type: 'object', properties: { name: { type: 'string' } } };
const message = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    kind: { type: 'string' },
    room: { type: 'string' },
    text: { type: 'string' },
    at: { type: 'integer' },
  },
};
const SCHEMAS = {
  json: { response: { 200: { type: 'object', properties: { message: { type: 'string' } } } } },
  params: {
    params: { type: 'object', properties: { id: { type: 'string' }, post: { type: 'string' } } },
    querystring: { type: 'object', properties: { limit: { type: 'integer' } } },
    response: {
      200: {
        type: 'object',
        properties: { id: { type: 'string' }, post: { type: 'string' }, limit: { type: 'integer' } },
      },
    },
  },
  echo: { body: message, response: { 200: message } },
  guarded: { response: { 200: { type: 'object', properties: { user } } } },
};

export async function start({ schemas = false }) {
  const app = fastify();
  const schema = (name) => (schemas ? { schema: SCHEMAS[name] } : {});
  app.decorateRequest('user', null);
  app.get('/plaintext', async () => 'Hello, World!');
  app.get('/json', schema('json'), async () => ({ message: 'Hello, World!' }));
  app.get('/users/:id/posts/:post', schema('params'), async ({ params, query }) => ({
    id: params.id,
    post: params.post,
    limit: Number(query.limit),
  }));
  app.post('/echo', schema('echo'), async ({ body }) => body);
  const one = async (request, reply) => void reply.header('x-one', '1');
  const two = async (request, reply) => void reply.header('x-two', '2');
  const three = async (request, reply) => void reply.header('x-three', '3');
  app.get('/guarded', { ...schema('guarded'), preHandler: [one, two, three, guard] }, async (request) => ({
    user: request.user,
  }));
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { port: app.server.address().port };
}

async function guard(request, reply) {
  if (request.headers.authorization !== 'Bearer alice')
    return reply.code(401).send({ error: 'Unauthorized' });
  request.user = { name: 'alice' };
}
