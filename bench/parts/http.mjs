import assert from 'node:assert/strict';
import { HTTP } from '../lib/catalogue.mjs';
import { OBJECT } from '../lib/dialects.mjs';
import { measure } from '../lib/rounds.mjs';
import { needWrk, wrkInTurns } from '../lib/wrk.mjs';

const AUTHORIZATION = { Authorization: 'Bearer alice' };

const ROUTES = {
  plaintext: { path: '/plaintext' },
  json: { path: '/json' },
  'params and query': { path: '/users/42/posts/hello-world?limit=10' },
  'POST echo': { path: '/echo', script: 'post.lua', args: [JSON.stringify(OBJECT)] },
  'middleware and guard': { path: '/guarded', headers: AUTHORIZATION },
};

export async function http(options) {
  needWrk();
  const measurements = {};
  for (const [name, route] of Object.entries(ROUTES)) {
    measurements[name] = (contestants) => {
      const apps = contestants.map(({ app }) => app);
      return wrkInTurns(
        apps,
        apps.map(() => route),
        options.seconds,
      );
    };
  }
  return measure({
    entries: options.pick(HTTP),
    measurements,
    check,
    warmUps: 1,
    options,
    log: options.log,
  });
}

/** The same answers from all, and each route warm. */
async function check(app, { label }) {
  const ask = (path, init) => fetch(`http://127.0.0.1:${app.port}${path}`, init);
  const text = await ask('/plaintext');
  assert.match(text.headers.get('content-type') ?? '', /^text\/plain/, `${label}: type of /plaintext`);
  assert.equal(await text.text(), 'Hello, World!');
  await json(await ask('/json'), { message: 'Hello, World!' });
  await json(await ask('/users/42/posts/hello-world?limit=10'), { id: '42', post: 'hello-world', limit: 10 });
  const post = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(OBJECT),
  };
  await json(await ask('/echo', post), OBJECT);
  const guarded = await ask('/guarded', { headers: AUTHORIZATION });
  for (const [name, value] of Object.entries({ 'x-one': '1', 'x-two': '2', 'x-three': '3' })) {
    assert.equal(guarded.headers.get(name), value, `${label}: ${name}`);
  }
  await json(guarded, { user: { name: 'alice' } });
  const refused = await ask('/guarded');
  assert.equal(refused.status, 401, `${label}: the guard refuses`);
  await refused.arrayBuffer();
  for (const route of Object.values(ROUTES)) {
    const [outcome] = await wrkInTurns([app], [route], 0.3);
    if (outcome instanceof Error) throw outcome;
  }

  async function json(response, expected) {
    assert.equal(response.status, 200, `${label}: status of ${response.url}`);
    assert.match(
      response.headers.get('content-type') ?? '',
      /^application\/json/,
      `${label}: ${response.url}`,
    );
    assert.deepEqual(await response.json(), expected, `${label}: body of ${response.url}`);
  }
}
