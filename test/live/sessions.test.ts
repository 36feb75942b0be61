import { randomBytes, createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { Keyv } from 'keyv';
import { Session, sessions, type Middleware, type SessionStore } from 'coequal';
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
      expect(() => sessions({ cookie: { name: '__Secure-sid', secure: false } })).to.throw(
        /drop the cookie __Secure-sid/,
      );
      expect(() => sessions({ cookie: { name: 'sid', sameSite: 'none', secure: false } })).to.throw(
        /drop the cookie sid/,
      );
      sessions({ cookie: { name: 'sid', secure: false } });
    });

    it('is refused at start-up where it cannot be written', () => {
      expect(() => sessions({ cookie: { name: 'my session' } })).to.throw(
        /cookie my session cannot be written/,
      );
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
      expect(shelf.keys).to.have.length(1);
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
      const problem = { title: 'Unauthorized', status: 401, code: 'UNAUTHORIZED', detail: 'Sign in first' };
      for (const [form, answer] of answers) expect(answer, form).to.deep.equal({ problem, cookies: [] });
      expect(answers.size).to.equal(10);
    });
  }

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
        const left = Object.keys(JSON.parse(await readFile(file, 'utf8')) as object);
        expect(left, 'the mark of its end').to.have.length(1);
        expect(left[0]).to.match(/\.ended$/);
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

    it('stay visible where a request has read the store before them and hears of it later', async () => {
      const shelf = new Shelf();
      const journal = new Journal();
      const store: SessionStore = {
        get: async (key) => {
          const record = await shelf.get(key);
          if (journal.count('hold') > journal.count('held')) {
            journal.note('held');
            await journal.until('go');
          }
          return record;
        },
        set: (key, record) => shelf.set(key, record),
        delete: (key) => shelf.delete(key),
      };
      const visitor = siteOf(serve, { store });
      await visitor.post('/sign-in');
      const socket = await visitor.socket('/count');
      journal.note('hold');
      const read = visitor.get('/look');
      await journal.until('held');
      socket.send('"add"');
      expect(await socket.json()).to.deep.equal({ count: 1 });
      journal.note('go');
      await read;
      socket.send('"look"');
      expect(await socket.json()).to.deep.equal({ count: 1 });
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
