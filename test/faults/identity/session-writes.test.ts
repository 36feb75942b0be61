import { expect } from 'chai';
import {
  Body,
  Controller,
  Post,
  Rpc,
  Session,
  sessions,
  Socket,
  WebSocket,
  type SessionRecord,
  type SessionStore,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { Journal } from '../../support/journal.js';
import { Shelf, Visitor } from '../../support/site.js';

/** What the sessions hold: how often each door was used. */
type Counts = Record<string, number>;

const EACH = 25;

const journal = new Journal();

@Controller()
class Counters {
  @Post('/begin') async begin(@Session() session: Session<Counts>) {
    await session.set('begun', 1);
  }
  @Post('/sign-in') async signIn(@Session() session: Session<Counts>) {
    const done = session.regenerate({ keep: ['begun', 'request'] });
    journal.note('signing in');
    await done;
  }
  @Post('/add') add(@Session() session: Session<Counts>) {
    return add(session, 'request');
  }
  @WebSocket('/text') text(@Body() name: string, @Session() session: Session<Counts>) {
    return add(session, name);
  }
  @WebSocket('/loop') async loop(
    @Socket(String) socket: Socket<string>,
    @Session() session: Session<Counts>,
  ) {
    for await (const name of socket) {
      await add(session, name);
      socket.send(name);
    }
  }
  @Rpc('one.by.one') async one(@Session() session: Session<Counts>) {
    return add(session, 'call');
  }
  @Rpc('at.once', { concurrent: true }) async atOnce(@Session() session: Session<Counts>) {
    return add(session, 'concurrent call');
  }
}

/** A store that holds back a write until it is told to go on. */
class HeldBack implements SessionStore {
  constructor(private readonly shelf: Shelf) {}

  get(key: string): Promise<SessionRecord | undefined> {
    return this.shelf.get(key);
  }

  async set(key: string, record: SessionRecord): Promise<void> {
    if (journal.count('hold') > journal.count('held')) {
      journal.note('held');
      await journal.until('go');
    }
    await this.shelf.set(key, record);
  }

  delete(key: string): Promise<void> {
    return this.shelf.delete(key);
  }
}

describe('Identity', () => {
  describe('writes to one session', () => {
    const shelf = new Shelf();
    const suite = mistreated({ controllers: [Counters], middleware: [sessions({ store: shelf })] });
    const heldShelf = new Shelf();
    const store = new HeldBack(heldShelf);
    const held = mistreated({ controllers: [Counters], middleware: [sessions({ store })] });

    beforeEach(() => shelf.records.clear());

    suite.holds(
      'by two sockets of each form, calls, a batch and requests lose none of each other',
      async () => {
        const visitor = new Visitor(suite.server);
        await visitor.post('/begin');
        const sockets = await Promise.all(
          ['/text', '/text', '/loop', '/loop'].map((path) => visitor.socket(path)),
        );
        const names = ['a text', 'another text', 'a loop', 'another loop'];
        const [calls] = sockets;
        for (let i = 0; i < EACH; i++) {
          sockets.forEach((socket, at) => socket.send(names[at]));
          for (const method of ['one.by.one', 'at.once']) calls?.send({ jsonrpc: '2.0', method, id: method });
        }
        calls?.send(Array<unknown>(EACH).fill({ jsonrpc: '2.0', method: 'one.by.one', id: 'batch' }));
        const requests = Array.from({ length: EACH }, () => visitor.post('/add'));
        for (const answer of await Promise.all(requests)) expect(answer.status).to.equal(200);
        for (let i = 0; i < 3 * EACH + 1; i++) await calls?.next({ timeout: 5_000 });
        for (const socket of sockets.slice(1)) {
          for (let i = 0; i < EACH; i++) await socket.next({ timeout: 5_000 });
        }

        const counts = Object.fromEntries(names.map((name) => [name, EACH]));
        expect(shelf.only().data).to.deep.equal({
          ...counts,
          begun: 1,
          call: 2 * EACH,
          'concurrent call': EACH,
          request: EACH,
        });
        for (const socket of sockets) socket.close();
      },
    );

    held.holds('that are under way at sign-in are in the session that it makes', async () => {
      heldShelf.records.clear();
      journal.entries.length = 0;
      const visitor = new Visitor(held.server);
      await visitor.post('/begin');
      const tab = visitor.another(visitor.cookie);
      journal.note('hold');
      const adding = tab.post('/add');
      await journal.until('held');
      const signingIn = visitor.post('/sign-in');
      await journal.until('signing in');
      journal.note('go');
      expect([(await adding).status, (await signingIn).status]).to.deep.equal([200, 204]);
      expect(heldShelf.only().data).to.deep.equal({ begun: 1, request: 1 });
    });

    suite.holds('by requests at once with the sign-in are kept, or refused to who made them', async () => {
      const visitor = new Visitor(suite.server);
      await visitor.post('/begin');
      const tab = visitor.another(visitor.cookie);
      const headers = await tab.headers();
      let kept = 0;
      for (let round = 0; round < 10; round++) {
        const old = await visitor.headers();
        const adding = Array.from({ length: 5 }, () =>
          suite.server.fetch('/add', { method: 'POST', headers: old }),
        );
        await visitor.post('/sign-in');
        for (const answer of await Promise.all(adding)) {
          // Who came too late with the old id is given a new session, which is nobody's.
          if (answer.status === 200 && answer.headers.getSetCookie().length === 0) kept++;
        }
      }
      expect((await suite.server.fetch('/add', { method: 'POST', headers })).status).to.equal(200);
      const mine = [...shelf.records.values()].map((text) => (JSON.parse(text) as SessionRecord).data);
      expect(mine.filter(({ begun }) => begun === 1)).to.deep.equal([
        kept === 0 ? { begun: 1 } : { begun: 1, request: kept },
      ]);
    });
  });
});

async function add(session: Session<Counts>, name: string): Promise<string> {
  await session.update((data) => {
    data[name] = (data[name] ?? 0) + 1;
  });
  return name;
}
