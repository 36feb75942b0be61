import { expect } from 'chai';
import { ConfigurationError, Controller, Post, sessions } from 'coequal';
import { servers } from '../support/doors.js';
import { siteOf } from '../support/site.js';

describe('sessions', () => {
  const serve = servers();

  describe('unsafe methods', () => {
    const OWN = 'own';
    /** Fields, and whether the request passes; `OWN` stands for the origin of the site. */
    const table: [Record<string, string>, boolean][] = [
      [{}, true],
      [{ origin: OWN }, true],
      [{ origin: 'null' }, false],
      [{ origin: 'https://evil.example' }, false],
      [{ origin: `${OWN}.evil.example` }, false],
      [{ origin: `${OWN}0` }, false],
      [{ origin: `https://localhost` }, false],
      [{ 'sec-fetch-site': 'same-origin' }, true],
      [{ 'sec-fetch-site': 'same-site' }, false],
      [{ 'sec-fetch-site': 'cross-site' }, false],
      [{ 'sec-fetch-site': 'none' }, true],
      [{ 'sec-fetch-site': 'same-origin, cross-site' }, false],
      [{ 'sec-fetch-site': 'cross-site', origin: OWN }, false],
      [{ 'sec-fetch-site': 'same-origin', origin: OWN }, true],
    ];

    const ask = async (
      visitor: ReturnType<typeof siteOf>,
      fields: Record<string, string>,
      method = 'POST',
    ) => {
      const url = await visitor.server.url();
      const headers = Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name, value.replace(OWN, url)]),
      );
      if (visitor.cookie !== undefined) headers['cookie'] = visitor.cookie;
      const path = method === 'POST' ? '/count' : '/look';
      return (await visitor.server.fetch(path, { method, headers })).status;
    };

    it('are refused where the browser tells of another site', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      for (const [fields, passes] of table) {
        expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(passes ? 200 : 403);
        expect(await ask(visitor, fields, 'GET'), `GET ${JSON.stringify(fields)}`).to.equal(200);
      }
    });

    it('are refused, each of them, before anything runs', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        expect(await ask(visitor, { origin: 'https://evil.example' }, method), method).to.equal(403);
      }
      expect(await ask(visitor, { origin: OWN })).to.equal(200);
      expect(await (await visitor.post('/count')).json(), 'what was refused counted nothing').to.equal(2);
    });

    it('are refused without the cookie, too', async () => {
      const visitor = siteOf(serve);
      for (const [fields, passes] of table) {
        expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(passes ? 401 : 403);
      }
    });

    it('pass from everywhere where sameOrigin is false', async () => {
      const visitor = siteOf(serve, { sameOrigin: false });
      await visitor.post('/sign-in');
      for (const [fields] of table) expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(200);
    });

    it('pass from the origins that the application allows', async () => {
      const origins = ['https://app.example'];
      @Controller()
      class Cart {
        @Post('/cart') add() {
          return 'added';
        }
      }
      const server = serve({
        controllers: [Cart],
        middleware: [sessions({ sameOrigin: ['https://b.example'] })],
        origins,
      });
      const post = async (headers: Record<string, string>) =>
        (await server.fetch('/cart', { method: 'POST', headers })).status;
      for (const origin of ['https://app.example', 'https://b.example', 'https://B.example:443']) {
        expect(await post({ origin, 'sec-fetch-site': 'cross-site' }), origin).to.equal(200);
      }
      expect(await post({ origin: 'https://c.example' })).to.equal(403);
      expect(await post({ 'sec-fetch-site': 'cross-site' })).to.equal(403);
      expect(await post({ origin: await server.url() })).to.equal(200);
    });

    it('refuses a list of what are not origins', () => {
      expect(() => sessions({ sameOrigin: ['app.example'] })).to.throw(
        ConfigurationError,
        /^sessions: sameOrigin: origins takes .*not "app.example"$/,
      );
    });

    it('pass from the origins of the list sameOrigin', async () => {
      const visitor = siteOf(serve, { sameOrigin: ['https://app.example'] });
      await visitor.post('/sign-in');
      const listed = { origin: 'https://app.example' };
      expect(await ask(visitor, listed)).to.equal(200);
      expect(await ask(visitor, { ...listed, 'sec-fetch-site': 'cross-site' })).to.equal(200);
      for (const [fields, passes] of table) {
        expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(passes ? 200 : 403);
      }
    });
  });
});
