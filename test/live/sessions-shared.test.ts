import { expect } from 'chai';
import { Controller, Get, Post, Session, sessions, type SessionRecord, type SessionStore } from 'coequal';
import { deferred } from '../support/deferred.js';
import { servers } from '../support/doors.js';
import { Shelf } from '../support/site.js';

interface Held {
  user: string;
  cart: number;
  secondFactor: boolean;
}

@Controller()
class Site {
  @Post('/in') async in(@Session() session: Session<Held>) {
    await session.set('user', 'ada');
  }
  @Post('/out') async out(@Session() session: Session<Held>) {
    await session.destroy();
  }
  @Post('/cart') async cart(@Session() session: Session<Held>) {
    await session.update((data) => void (data.cart = (data.cart ?? 0) + 1));
  }
  @Post('/prove') async prove(@Session() session: Session<Held>) {
    await session.set('secondFactor', true);
  }
  @Post('/again') async again(@Session() session: Session<Held>) {
    await session.regenerate();
  }
  @Post('/keeping') async keeping(@Session() session: Session<Held>) {
    await session.regenerate({ keep: ['cart', 'user'] });
  }
  @Get('/me') me(@Session() session: Session<Held>) {
    return { user: session.get('user'), cart: session.get('cart'), proven: session.get('secondFactor') };
  }
}

describe('sessions in one store of two processes', () => {
  const serve = servers();

  /** What both share, and a write of the second that waits, if it is to. */
  function shared(compares: boolean) {
    const records = new Map<string, SessionRecord>();
    const held = { writing: deferred(), go: deferred(), next: false };
    const storeOf = (slow: boolean): SessionStore => {
      const pause = async (): Promise<void> => {
        if (!slow || !held.next) return;
        held.next = false;
        held.writing.resolve();
        await held.go.promise;
      };
      return {
        get: async (key) => Promise.resolve(structuredClone(records.get(key))),
        set: async (key, record) => {
          const copy = structuredClone(record);
          await pause();
          records.set(key, copy);
        },
        delete: (key) => records.delete(key),
        ...(compares && {
          update: async (key: string, version: number, record: SessionRecord) => {
            const copy = structuredClone(record);
            await pause();
            if (records.get(key)?.version !== version) return false;
            records.set(key, copy);
            return true;
          },
        }),
      };
    };
    const [one, two] = [false, true].map((slow) =>
      serve({ controllers: [Site], middleware: [sessions({ store: storeOf(slow) })] }),
    ) as [ReturnType<typeof serve>, ReturnType<typeof serve>];
    return { one, two, held };
  }

  for (const compares of [false, true]) {
    const store = compares ? 'compare-and-set' : 'get, set and delete';

    it(`never come back after a sign-out that met a write, with ${store}`, async () => {
      const { one, two, held } = shared(compares);
      const signedIn = await one.fetch('/in', { method: 'POST' });
      const headers = { cookie: signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
      const me = async (server: typeof one) =>
        (await (await server.fetch('/me', { headers })).json()) as object;
      expect([await me(one), await me(two)]).to.deep.equal([{ user: 'ada' }, { user: 'ada' }]);

      held.next = true;
      const writing = two.fetch('/cart', { method: 'POST', headers });
      await held.writing.promise;
      await one.fetch('/out', { method: 'POST', headers });
      held.go.resolve();
      expect((await writing).status).to.equal(401);
      expect([await me(one), await me(two)]).to.deep.equal([{}, {}]);
    });
  }

  it('keep what both have written at once, where the store compares', async () => {
    const { one, two, held } = shared(true);
    const signedIn = await one.fetch('/in', { method: 'POST' });
    const headers = { cookie: signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
    held.next = true;
    const writing = two.fetch('/cart', { method: 'POST', headers });
    await held.writing.promise;
    await one.fetch('/cart', { method: 'POST', headers });
    held.go.resolve();
    expect((await writing).status).to.equal(204);
    expect(await (await one.fetch('/me', { headers })).json()).to.deep.equal({ user: 'ada', cart: 2 });
  });
});

describe('a session that another exchange ends', () => {
  const serve = servers();

  it('does not begin anew by a write that comes later', async () => {
    const [reading, go] = [deferred(), deferred()];

    @Controller()
    class Profile {
      @Post('/rename') async rename(@Session() session: Session<Held>) {
        const user = session.get('user') ?? '';
        reading.resolve();
        await go.promise;
        await session.set('user', `${user} the second`);
      }
    }
    const server = serve({ controllers: [Site, Profile], middleware: [sessions()] });
    const signedIn = await server.fetch('/in', { method: 'POST' });
    const headers = { cookie: signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
    const renaming = server.fetch('/rename', { method: 'POST', headers });
    await reading.promise;
    await server.fetch('/out', { method: 'POST', headers });
    go.resolve();

    const { status, headers: fields } = await renaming;
    expect([status, fields.getSetCookie()]).to.deep.equal([401, []]);
  });
});

describe('the options of sessions', () => {
  it('take no time by which a session would never end', () => {
    for (const time of [0, -1, NaN, '30m' as never]) {
      expect(() => sessions({ idle: time })).to.throw(/^sessions: .*idle takes/);
      expect(() => sessions({ absolute: time })).to.throw(/^sessions: .*absolute takes/);
    }
  });
});

describe('regenerate()', () => {
  const serve = servers();

  for (const [path, left] of [
    ['/again', {}],
    ['/keeping', { user: 'ada', cart: 1 }],
  ] as const) {
    it(`begins a session that holds ${JSON.stringify(left)} by ${path}`, async () => {
      const server = serve({ controllers: [Site], middleware: [sessions()] });
      let cookie = '';
      for (const step of ['/in', '/cart', '/prove', path]) {
        const answer = await server.fetch(step, { method: 'POST', headers: { cookie } });
        cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
      }
      expect(await (await server.fetch('/me', { headers: { cookie } })).json()).to.deep.equal(left);
    });
  }

  for (const [path, methods] of [
    ['/once', ['regenerate', 'set']],
    ['/twice', ['regenerate', 'regenerate', 'set']],
  ] as const) {
    for (const signedIn of [true, false]) {
      it(`keeps what is written at once with it: ${methods.join(', ')}, ${signedIn ? 'with' : 'without'} a session`, async () => {
        @Controller()
        class Racing {
          @Post(path) async race(@Session() session: Session<Held>) {
            const change = {
              regenerate: () => session.regenerate({ keep: ['user'] }),
              set: () => session.set('user', 'eve'),
            };
            await Promise.all(methods.map((method) => change[method]()));
            return { user: session.get('user') };
          }
        }
        const store = new Shelf();
        const server = serve({ controllers: [Site, Racing], middleware: [sessions({ store })] });
        let cookie = '';
        for (const step of signedIn ? ['/in', path] : [path]) {
          const response = await server.fetch(step, { method: 'POST', headers: { cookie } });
          expect(response.ok).to.equal(true);
          const cookies = response.headers.getSetCookie();
          expect(cookies).to.have.length(1);
          cookie = cookies[0]?.split(';')[0] ?? cookie;
        }
        expect(await (await server.fetch('/me', { headers: { cookie } })).json()).to.deep.equal({
          user: 'eve',
        });
        expect(store.keys).to.have.length(1);
      });
    }
  }

  it('takes no names that the session does not have', () => {
    // @ts-expect-error `crat` is no name of what the session holds.
    const misspelt = (session: Session<Held>): Promise<void> => session.regenerate({ keep: ['crat'] });
    expect(misspelt).to.be.a('function');
  });
});
