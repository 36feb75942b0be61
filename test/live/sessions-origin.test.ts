import { expect } from 'chai';
import { servers } from '../support/doors.js';
import { siteOf } from '../support/site.js';

describe('sessions', () => {
  const serve = servers();

  describe('unsafe methods with the cookie', () => {
    const OWN = 'own';
    /** Fields, and whether the request passes; `OWN` stands for the origin of the site. */
    const table: [Record<string, string>, boolean][] = [
      [{}, false],
      [{ origin: OWN }, true],
      [{ origin: 'null' }, false],
      [{ origin: 'https://evil.example' }, false],
      [{ origin: `${OWN}.evil.example` }, false],
      [{ origin: `${OWN}0` }, false],
      [{ origin: `https://localhost` }, false],
      [{ 'sec-fetch-site': 'same-origin' }, true],
      [{ 'sec-fetch-site': 'same-site' }, false],
      [{ 'sec-fetch-site': 'cross-site' }, false],
      [{ 'sec-fetch-site': 'none' }, false],
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

    it('prove that a page of the site has sent them', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      for (const [fields, passes] of table) {
        expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(passes ? 200 : 403);
        expect(await ask(visitor, fields, 'GET'), `GET ${JSON.stringify(fields)}`).to.equal(200);
      }
    });

    it('prove it for each of them, and before anything runs', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        expect(await ask(visitor, { origin: 'https://evil.example' }, method), method).to.equal(403);
      }
      expect(await ask(visitor, { origin: OWN })).to.equal(200);
      expect(await (await visitor.post('/count')).json(), 'what was refused counted nothing').to.equal(2);
    });

    it('need no proof without the cookie', async () => {
      const visitor = siteOf(serve);
      for (const [fields] of table) expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(401);
    });

    it('need none where sameOrigin is false', async () => {
      const visitor = siteOf(serve, { sameOrigin: false });
      await visitor.post('/sign-in');
      for (const [fields] of table) expect(await ask(visitor, fields), JSON.stringify(fields)).to.equal(200);
    });

    it('pass from the origins of a list, too', async () => {
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
