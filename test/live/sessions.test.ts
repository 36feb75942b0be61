import { randomBytes, createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { Keyv } from 'keyv';
import { Connections, Session, sessions, type Middleware, type SessionStore } from 'coequal';
import { Refused } from 'coequal/testing';
import { doors, servers } from '../support/doors.js';
import { Journal } from '../support/journal.js';
import { Shelf, siteOf, type Held } from '../support/site.js';

describe('sessions', () => {
  const serve = servers();

  describe('the cookie', () => {
    it('is __Host-session, HttpOnly, Secure, SameSite=Lax and for all paths by default', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/visit');
      expect(visitor.given).to.have.length(1);
      const [pair, ...attributes] = (visitor.given[0] ?? '').split('; ');
      expect(pair).to.match(/^__Host-session=[\w-]{43}$/);
      expect(attributes).to.have.members(['Path=/', 'HttpOnly', 'Secure', 'SameSite=Lax']);
    });

    it('is set only when something is written', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf });
      expect(await (await visitor.get('/look')).json()).to.deep.equal({ exists: false, cart: null });
      await visitor.post('/sign-out');
      expect([visitor.given, shelf.records.size]).to.deep.equal([[], 0]);
      await visitor.post('/visit');
      await visitor.get('/look');
      expect([visitor.given, shelf.records.size], 'a read sets none either').to.deep.equal([[], 1]);
    });

    it('takes another name and other attributes', async () => {
      const cookie = { name: 'sid', secure: false, sameSite: 'strict', path: '/a', maxAge: 60 } as const;
      const visitor = siteOf(serve, { cookie });
      await visitor.post('/visit');
      const [pair, ...attributes] = (visitor.given[0] ?? '').split('; ');
      expect(pair).to.match(/^sid=/);
      expect(attributes).to.have.members(['Max-Age=60', 'Path=/a', 'HttpOnly', 'SameSite=Strict']);
    });

    it('is refused at start-up where browsers would drop it', () => {
      for (const cookie of [{ secure: false }, { path: '/app' }, { domain: 'example.org' }]) {
        expect(() => sessions({ cookie }), JSON.stringify(cookie)).to.throw(/__Host-session.*another name/);
      }
      sessions({ cookie: { name: 'sid', secure: false } });
    });

    it('is taken away at sign-out', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      expect(await (await visitor.post('/sign-out')).json()).to.include({ exists: false });
      expect(visitor.given).to.have.length(1);
      expect(visitor.given[0]).to.match(/^__Host-session=; Max-Age=0; /);
    });
  });

  describe('sign-in', () => {
    it('replaces an id that was planted, and keeps what the session holds', async () => {
      const shelf = new Shelf();
      const attacker = siteOf(serve, { store: shelf });
      await attacker.post('/visit');
      const planted = attacker.cookie;
      const victim = attacker.another(planted);
      const answer = (await (await victim.post('/sign-in')).json()) as { cart: unknown };
      expect(answer.cart).to.deep.equal(['tea']);
      expect(victim.given, 'one cookie').to.have.length(1);
      expect(victim.cookie)
        .to.match(/^__Host-session=/)
        .and.not.equal(planted);
      expect((await victim.get('/me')).status).to.equal(200);
      expect((await attacker.get('/me')).status, 'the planted id').to.equal(401);
      expect(shelf.records.size).to.equal(1);
    });

    it('takes no id that the client has made up', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf });
      const made = `__Host-session=${randomBytes(32).toString('base64url')}`;
      visitor.cookie = made;
      await visitor.post('/visit');
      expect(visitor.cookie)
        .to.match(/^__Host-session=/)
        .and.not.equal(made);
      expect(shelf.records.size).to.equal(1);
    });
  });

  for (const door of doors) {
    it(`opens ${door.kind} to who is signed in`, async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      const visit = await door.open(visitor.server, '/me', await visitor.headers());
      expect(visit.status).to.equal(door.opened);
      expect(await visit.value()).to.deep.equal({ user: 'ada' });
      visit.leave();
    });

    it(`answers ${door.kind} the same 401 for a session that is missing, tampered with, expired, destroyed or replayed`, async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000, absolute: 100_000 });
      const forms = new Map<string, string | undefined>([
        ['missing', undefined],
        ['empty', '__Host-session='],
        ['no token', '__Host-session=../../etc/passwd'],
        ['a key of the prototype', '__Host-session=__proto__'],
        ['made up', `__Host-session=${'A'.repeat(43)}`],
      ]);
      await visitor.post('/sign-in');
      const { cookie = '' } = visitor;
      forms.set('tampered with', cookie.slice(0, -1) + (cookie.endsWith('A') ? 'E' : 'A'));
      forms.set('the key of the store', `__Host-session=${[...shelf.records.keys()][0]}`);
      const signedOut = visitor.another();
      await signedOut.post('/sign-in');
      forms.set('replayed after sign-out', signedOut.cookie);
      await signedOut.post('/sign-out');
      const lost = visitor.another();
      await lost.post('/sign-in');
      forms.set('gone from the store', lost.cookie);
      shelf.records.delete(keyOf(lost.cookie ?? ''));
      const answers = new Map<string, unknown>();
      const tryAll = async () => {
        for (const [form, value] of forms) {
          const visit = await door.open(visitor.server, '/me', await visitor.another(value).headers());
          const { requestId, ...problem } = visit.problem;
          expect(requestId).to.be.a('string');
          answers.set(form, { problem, cookies: visit.headers.getSetCookie() });
        }
      };
      await tryAll();
      shelf.age({ seen: 10_000 });
      forms.clear();
      forms.set('expired', cookie);
      await tryAll();
      const problem = { title: 'Unauthorized', status: 401, detail: 'Sign in first' };
      for (const [form, answer] of answers) expect(answer, form).to.deep.equal({ problem, cookies: [] });
      expect(answers.size).to.equal(10);
    });
  }

  describe('time', () => {
    it('ends a session that is not used', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000, rolling: false });
      await visitor.post('/visit');
      shelf.age({ seen: 9_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: true });
      shelf.age({ seen: 1_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: false });
    });

    it('begins the idle time anew with each use, reads included', async () => {
      const written = new Journal();
      const shelf = new Shelf();
      const store: SessionStore = {
        get: (key) => shelf.get(key),
        set: async (key, record) => {
          await shelf.set(key, record);
          written.note('written');
        },
        delete: (key) => shelf.delete(key),
      };
      const visitor = siteOf(serve, { store, idle: 10_000 });
      await visitor.post('/visit');
      const writes = written.count('written');
      shelf.age({ seen: 6_000 });
      const { seen } = shelf.only();
      await visitor.get('/look');
      await written.until('written', writes + 1);
      expect(shelf.only().seen - seen).to.be.greaterThan(5_000);
    });

    it('does not begin it anew where it is not rolling', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000, rolling: false });
      await visitor.post('/visit');
      const { seen } = shelf.only();
      shelf.age({ seen: 6_000 });
      await visitor.post('/visit');
      expect(shelf.only().seen).to.equal(seen - 6_000);
      shelf.age({ seen: 4_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: false });
    });

    it('ends a session however much it is used', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, absolute: 10_000 });
      await visitor.post('/visit');
      shelf.age({ created: 9_000 });
      await visitor.post('/visit');
      shelf.age({ created: 1_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: false });
    });

    it('tells the store for how long a session is to be kept', async () => {
      const lifetimes: number[] = [];
      const shelf = new Shelf();
      const store: SessionStore = {
        get: (key) => shelf.get(key),
        set: (key, record, lifetime) => {
          lifetimes.push(lifetime);
          return shelf.set(key, record);
        },
        delete: (key) => shelf.delete(key),
      };
      const visitor = siteOf(serve, { store, idle: 10_000, absolute: 15_000 });
      await visitor.post('/visit');
      expect(Math.max(...lifetimes)).to.be.within(9_000, 10_000);
      shelf.age({ created: 10_000 });
      lifetimes.length = 0;
      await visitor.post('/visit');
      expect(Math.max(...lifetimes)).to.be.within(3_000, 5_000);
    });

    it('ends the connections of a session whose absolute time is over', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, absolute: 10_000 });
      await visitor.post('/sign-in');
      shelf.age({ created: 9_800 });
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      expect(await socket.closed()).to.include({ code: 3000 });
      await stream.next();
      expect(await stream.next()).to.include({ event: 'end' });
    });

    it('ends the connections of a session that is not used', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000 });
      await visitor.post('/sign-in');
      // Opening is a use; here it does not count, so that the end is near.
      const still = siteOf(serve, { store: shelf, idle: 10_000, rolling: false });
      still.cookie = visitor.cookie;
      shelf.age({ seen: 9_800 });
      const [socket, stream] = await Promise.all([still.socket('/me'), still.sse('/me')]);
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
      await stream.next();
      expect(await stream.next()).to.include({ event: 'end' });
      expect(shelf.records.size, 'and the session with them').to.equal(0);
    });

    it('keeps the connections of a session that another process uses', async () => {
      const shelf = new Shelf();
      const asked = new Journal();
      const store: SessionStore = {
        get: (key) => {
          asked.note('get');
          return shelf.get(key);
        },
        set: (key, record) => shelf.set(key, record),
        delete: (key) => shelf.delete(key),
      };
      const here = siteOf(serve, { store, idle: 10_000, rolling: false });
      await here.post('/sign-in');
      shelf.age({ seen: 9_800 });
      const socket = await here.socket('/count');
      shelf.age({ seen: -9_000 });
      // The end of the idle time that was known here has it looked up.
      await asked.until('get', asked.count('get') + 1);
      socket.send('"look"');
      expect(await socket.json()).to.deep.equal({ count: 0 });
      socket.close();
    });
  });

  describe('stores', () => {
    it('hold keys that are hashes: who reads the store can sign in as nobody', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf });
      const { id } = (await (await visitor.post('/sign-in')).json()) as { id: string };
      expect([...shelf.records.keys()]).to.deep.equal([keyOf(visitor.cookie ?? '')]);
      expect(id, 'the id that logs show').to.equal(keyOf(visitor.cookie ?? ''));
      expect(JSON.stringify([...shelf.records])).not.to.include(tokenOf(visitor.cookie ?? ''));
    });

    it('may be Keyv in memory', async () => {
      const visitor = siteOf(serve, { store: new Keyv() });
      await visitor.post('/visit');
      await visitor.post('/sign-in');
      expect(await (await visitor.get('/look')).json()).to.deep.equal({ exists: true, cart: ['tea'] });
      await visitor.post('/sign-out');
      expect((await visitor.get('/me')).status).to.equal(401);
    });

    it('may be Keyv on a file, which outlives the process', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'sessions-'));
      try {
        const file = join(folder, 'sessions.json');
        const before = siteOf(serve, { store: new Keyv({ store: new FileStore(file) }) });
        await before.post('/sign-in');
        await before.post('/count');
        await before.server.close();
        const afterwards = siteOf(serve, { store: new Keyv({ store: new FileStore(file) }) });
        afterwards.cookie = before.cookie;
        expect(await (await afterwards.post('/count')).json()).to.equal(2);
        await afterwards.post('/sign-out');
        expect(JSON.parse(await readFile(file, 'utf8'))).to.deep.equal({});
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('that fail are a 500, and open nothing', async () => {
      const fail = (): never => {
        throw new Error('the store is gone');
      };
      const visitor = siteOf(serve, { store: { get: fail, set: fail, delete: fail } });
      visitor.cookie = `__Host-session=${'A'.repeat(43)}`;
      for (const door of doors) {
        expect((await door.open(visitor.server, '/me', await visitor.headers())).status).to.equal(500);
      }
      expect((await visitor.post('/visit')).status).to.equal(500);
    });
  });

  describe('writes', () => {
    it('of two sockets and of requests do not lose one another', async () => {
      const visitor = siteOf(serve, { store: new Shelf() });
      await visitor.post('/sign-in');
      const sockets = await Promise.all([visitor.socket('/count'), visitor.socket('/count')]);
      for (const socket of sockets) for (let i = 0; i < 40; i++) socket.send('"add"');
      const requests = Array.from({ length: 20 }, () => visitor.post('/count'));
      for (const answer of await Promise.all(requests)) expect(answer.status).to.equal(200);
      for (const socket of sockets) for (let i = 0; i < 40; i++) await socket.next();
      expect(await (await visitor.post('/count')).json()).to.equal(101);
    });

    it('of a request are seen by an open socket, and those of a socket by requests', async () => {
      const visitor = siteOf(serve, { store: new Shelf() });
      await visitor.post('/sign-in');
      const socket = await visitor.socket('/count');
      await visitor.post('/count');
      socket.send('"look"');
      expect(await socket.json()).to.deep.equal({ count: 1 });
      socket.send('"add"');
      expect(await socket.json()).to.deep.equal({ count: 2 });
      expect(await (await visitor.post('/count')).json()).to.equal(3);
      socket.close();
    });

    it('stay visible while other requests read what the store held before them', async () => {
      const visitor = siteOf(serve, { store: new Shelf() });
      await visitor.post('/sign-in');
      const socket = await visitor.socket('/count');
      for (let i = 1; i <= 20; i++) {
        const reads = [visitor.get('/look'), visitor.get('/look')];
        socket.send('"add"');
        expect(await socket.json(), `write ${i}`).to.deep.equal({ count: i });
        await Promise.all(reads);
        socket.send('"look"');
        expect(await socket.json(), `read ${i}`).to.deep.equal({ count: i });
      }
      socket.close();
    });

    it('that come at once begin one session', async () => {
      const shelf = new Shelf();
      const both: Middleware = async (ctx, next) => {
        const session = ctx.session as Session<Held>;
        await Promise.all([session.set('count', 1), session.set('cart', ['jam'])]);
        await next();
      };
      const visitor = siteOf(serve, { store: shelf }, { middleware: [both] });
      expect(await (await visitor.get('/look')).json()).to.deep.equal({ exists: true, cart: ['jam'] });
      expect(visitor.given).to.have.length(1);
      expect(
        [...shelf.records.values()].map((text) => (JSON.parse(text) as { data: unknown }).data),
      ).to.deep.equal([{ count: 1, cart: ['jam'] }]);
    });

    it('after the head begin no session, and leave nothing in the store', async () => {
      const shelf = new Shelf();
      const errors: string[] = [];
      const journal = new Journal();
      const late: Middleware = async (ctx, next) => {
        ctx.defer(async () => {
          for (const write of [() => ctx.session.set('count', 1), () => ctx.session.regenerate()]) {
            await write().catch((error: Error) => errors.push(error.message));
          }
          journal.note('tried');
        });
        await next();
      };
      await siteOf(serve, { store: shelf }, { middleware: [late] }).get('/look');
      await journal.until('tried');
      expect(errors).to.deep.equal(Array(2).fill('a session can only begin before the head is sent'));
      expect(shelf.records.size).to.equal(0);
    });
  });

  it('have the type that they are given', () => {
    type Shop = Session<{ cart: string[]; visits: number }>;
    expectTypeOf<Shop['get']>().toBeCallableWith('cart');
    const typed = (session: Shop) => {
      expectTypeOf(session.get('cart')).toEqualTypeOf<string[] | undefined>();
      expectTypeOf(session.get('visits')).toEqualTypeOf<number | undefined>();
      // @ts-expect-error there is no such key
      session.get('card');
      // @ts-expect-error a number is no list
      void session.set('cart', 1);
      return session.update((data) => {
        expectTypeOf(data).toEqualTypeOf<Partial<{ cart: string[]; visits: number }>>();
      });
    };
    expect(typed).to.be.a('function');
  });

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

  describe('the end of a session', () => {
    it('ends its sockets and streams, and no others', async () => {
      const visitor = siteOf(serve);
      const other = visitor.another();
      await Promise.all([visitor.post('/sign-in'), other.post('/sign-in')]);
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      const [kept, keptStream] = await Promise.all([other.socket('/count'), other.sse('/me')]);
      await Promise.all([stream.next(), keptStream.next()]);
      await visitor.post('/sign-out');
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'signed out' });
      const end = await stream.next();
      expect([end.event, JSON.parse(end.data)]).to.deep.equal(['end', { code: 3000, reason: 'signed out' }]);
      await stream.closed();
      expect(await kept.next(), 'what is sent to the user still arrives').to.equal('late');
      expect(await keptStream.next()).to.include({ event: 'message', data: 'late' });
      kept.send('"add"');
      expect(await kept.json()).to.deep.equal({ count: 1 });
      kept.close();
      keptStream.close();
    });

    it('lets nothing through to them once destroy() has resolved', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      const open = [...visitor.server.app.container.resolve(Connections)];
      expect(open).to.have.length(2);
      await visitor.post('/sign-out');
      expect(open.map((connection) => connection.send('late'))).to.deep.equal([false, false]);
      await socket.closed();
      const messages: unknown[] = [];
      for await (const message of socket) messages.push(message);
      expect(messages).to.deep.equal(['{"user":"ada"}']);
      const events: string[] = [];
      for await (const { event } of stream) events.push(event);
      expect(events).to.deep.equal(['message', 'end']);
    });

    for (const door of doors.filter(({ kind }) => kind !== 'http')) {
      it(`while the guard of ${door.kind} awaits is a 401, and nothing opens`, async () => {
        const journal = new Journal();
        const gate: Middleware = async (ctx, next) => {
          if (ctx.path === '/me') {
            journal.note('waiting');
            await journal.until('signed out');
          }
          await next();
        };
        const visitor = siteOf(serve, { store: new Shelf() }, { middleware: [gate] });
        await visitor.post('/sign-in');
        const opening = door.open(visitor.server, '/me', await visitor.headers());
        await journal.until('waiting');
        await visitor.post('/sign-out');
        journal.note('signed out');
        expect((await opening).problem).to.include({ status: 401 });
        expect(visitor.server.app.stats().connections).to.include({ sse: 0, websocket: 0, opened: 0 });
      });

      it(`in another process while ${door.kind} opens is a 401`, async () => {
        const shelf = new Shelf();
        const journal = new Journal();
        const gate: Middleware = async (_ctx, next) => {
          await next();
          // All that this process knows of the session says that it lives: the store has the last word.
          if (journal.count('signed in') > 0) shelf.records.clear();
        };
        const visitor = siteOf(serve, { store: shelf }, { middleware: [gate] });
        await visitor.post('/sign-in');
        journal.note('signed in');
        expect((await door.open(visitor.server, '/me', await visitor.headers())).problem).to.include({
          status: 401,
        });
        expect(visitor.server.app.stats().connections.opened).to.equal(0);
      });
    }

    it('leaves nothing open in a race of 1,000 handshakes against sign-outs', async function () {
      this.timeout(30_000);
      const visitor = siteOf(serve, { store: new Shelf() });
      const outcomes = { refused: 0, opened: 0 };
      const knock = async (opening: Promise<{ closed(options: { timeout: number }): Promise<unknown> }>) => {
        try {
          await (await opening).closed({ timeout: 10_000 });
          outcomes.opened++;
        } catch (error) {
          if (!(error instanceof Refused) || error.status !== 401) throw error;
          outcomes.refused++;
        }
      };
      for (let batch = 0; batch < 20; batch++) {
        const users = await Promise.all(
          Array.from({ length: 5 }, async () => {
            const user = visitor.another();
            await user.post('/sign-in');
            // The sign-out forgets the cookie; those who race keep it.
            return { user, tabs: Array.from({ length: 10 }, () => user.another(user.cookie)) };
          }),
        );
        await Promise.all(
          users.map(async ({ user, tabs }, index) => {
            const knocks = tabs.map((tab, i) => knock(i % 2 === 0 ? tab.socket('/me') : tab.sse('/me')));
            // Each at another point of the handshakes.
            for (let requests = 0; requests < (batch + index) % 5; requests++) await user.get('/look');
            await user.post('/sign-out');
            await Promise.all(knocks);
          }),
        );
      }
      expect(outcomes.refused + outcomes.opened).to.equal(1_000);
      expect(visitor.server.app.stats().connections).to.include({ sse: 0, websocket: 0 });
    });
  });
});

/** A file with all that is kept, for Keyv. */
class FileStore {
  readonly opts = {};
  constructor(private readonly file: string) {}

  async get(key: string): Promise<unknown> {
    return (await this.#read())[key];
  }

  async set(key: string, value: unknown): Promise<void> {
    await writeFile(this.file, JSON.stringify({ ...(await this.#read()), [key]: value }));
  }

  async delete(key: string): Promise<boolean> {
    const { [key]: gone, ...rest } = await this.#read();
    await writeFile(this.file, JSON.stringify(rest));
    return gone !== undefined;
  }

  async clear(): Promise<void> {
    await writeFile(this.file, '{}');
  }

  async #read(): Promise<Record<string, unknown>> {
    const text = await readFile(this.file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '{}';
      throw error;
    });
    return JSON.parse(text) as Record<string, unknown>;
  }
}

function tokenOf(cookie: string): string {
  return cookie.slice(cookie.indexOf('=') + 1);
}

function keyOf(cookie: string): string {
  return createHash('sha256').update(tokenOf(cookie)).digest('base64url');
}
