import { once } from 'node:events';
import { expect } from 'chai';
import {
  Channel,
  Channels,
  Connection,
  Connections,
  Controller,
  defineChannel,
  HttpError,
  Signal,
  Sse,
  UseMiddleware,
  WebSocket,
  type Broker,
  type Middleware,
} from 'coequal';
import { Refused, type TestServer } from 'coequal/testing';
import { knock, doors, servers } from '../support/doors.js';
import { eventually } from '../support/eventually.js';
import { Recorder } from '../support/journal.js';
import { Lagging } from '../support/lagging-broker.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../support/reader.js';

interface Account {
  id: string;
  name: string;
}

const Room = defineChannel('rooms/:room', { presence: (user) => ({ name: (user as Account).name }) });

/** Says who a reader is by the query; `?fail` lets its opening fail after the method has run. */
const signIn: Middleware = async (ctx, next) => {
  const { name, fail } = ctx.query;
  if (typeof name === 'string') ctx.user = { id: `id-${name}`, name };
  await next();
  if (fail !== undefined) throw new HttpError(418);
};

@Controller('/rooms/:room')
@UseMiddleware(signIn)
class Rooms {
  @Sse()
  @WebSocket()
  read(@Channel(Room) room: Channel) {
    return room;
  }

  @Sse('/people')
  @WebSocket('/people')
  people(@Channel(Room) room: Channel, @Connection() connection: Connection) {
    room.presence.subscribe(connection);
  }
}

describe('presence', () => {
  const serve = servers();
  const start = (broker?: Broker) => serve({ controllers: [Rooms], ...(broker && { broker }) });
  const join = (server: TestServer, kind: ReaderKind, name: string) =>
    openReader(server, kind, `/rooms/lobby?name=${name}`);
  const room = (server: TestServer) => server.app.container.resolve(Channels).of(Room, { room: 'lobby' });

  /** What a watcher is told, in short: `present ada`, `join ada`. */
  function story({ data }: Reader): string[] {
    return (data as { type: string; id?: string; members?: { id: string }[] }[]).map(
      ({ type, id, members }) =>
        [type, ...(members?.map((member) => member.id) ?? [id])].join(' ').replaceAll('id-', ''),
    );
  }

  for (const kind of readerKinds) {
    describe(`told to ${kind}`, () => {
      it('lists who is there first, then who comes and who goes', async () => {
        const server = start();
        await join(server, kind, 'ada');
        const watcher = await openReader(server, kind, '/rooms/lobby/people');
        const bob = await join(server, kind, 'bob');
        bob.leave();
        await watcher.until(({ data }) => data.length === 3);
        expect(story(watcher)).to.deep.equal(['present ada', 'join bob', 'leave bob']);
        expect(watcher.data[0]).to.deep.equal({
          type: 'present',
          members: [{ id: 'id-ada', info: { name: 'ada' } }],
        });
        expect(watcher.data[1]).to.deep.equal({ type: 'join', id: 'id-bob', info: { name: 'bob' } });
      });

      it('knows a user once, however many tabs there are, until the last is closed', async () => {
        const server = start();
        const watcher = await openReader(server, kind, '/rooms/lobby/people');
        const tabs = [
          await join(server, 'sse', 'ada'),
          await join(server, 'websocket', 'ada'),
          await join(server, kind, 'ada'),
        ];
        expect(await room(server).members()).to.deep.equal([{ id: 'id-ada', info: { name: 'ada' } }]);
        for (const [left, tab] of tabs.entries()) {
          await join(server, kind, `other${left}`);
          tab.leave();
          await eventually(() => room(server).size === 3);
        }
        await watcher.until((reader) => story(reader).includes('leave ada'));
        expect(story(watcher).filter((line) => line.endsWith(' ada'))).to.deep.equal([
          'join ada',
          'leave ada',
        ]);
        expect(story(watcher).at(-1)).to.equal('leave ada');
      });

      it('counts neither those who have not signed in nor those of other rooms', async () => {
        const server = start();
        await openReader(server, kind, '/rooms/lobby');
        await openReader(server, kind, '/rooms/kitchen?name=ada');
        expect([room(server).size, await room(server).members()]).to.deep.equal([1, []]);
      });
    });

    describe(`of a reader by ${kind} leaves no ghost`, () => {
      const door = doors.find((one) => one.kind === kind);

      it('after its client has gone without a word', async () => {
        const server = start();
        (await join(server, kind, 'ada')).leave();
        await eventually(() => room(server).size === 0);
        expect(await room(server).members()).to.deep.equal([]);
      });

      it('after a reset of its connection', async () => {
        const server = start();
        if (door === undefined) throw new Error('no such door');
        const client = await knock(server, door, '/rooms/lobby?name=ada');
        client.on('error', () => client.destroy());
        await eventually(() => room(server).size === 1);
        client.resetAndDestroy();
        await eventually(() => room(server).size === 0);
        expect(await room(server).members()).to.deep.equal([]);
      });

      it('after the server has ended or cut it', async () => {
        const server = start();
        for (const end of ['close', 'terminate'] as const) {
          const reader = await join(server, kind, 'ada');
          for (const connection of server.app.container.resolve(Connections)) connection[end]();
          await reader.until(({ closed }) => closed !== undefined);
          await eventually(() => room(server).size === 0);
          expect(await room(server).members(), end).to.deep.equal([]);
        }
      });

      it('after an opening that has failed', async () => {
        const server = start();
        const path = '/rooms/lobby?name=ada&fail=1';
        const failure = await (kind === 'sse' ? server.sse(path) : server.socket(path)).catch(
          (error: unknown) => error,
        );
        expect((failure as Refused).status).to.equal(418);
        expect([room(server).size, await room(server).members()]).to.deep.equal([0, []]);
        expect(server.app.stats().channels).to.equal(0);
      });

      it('after it was refused because too many are open', async () => {
        const server = serve({ controllers: [Rooms], limits: { connections: 1 } });
        await join(server, kind, 'ada');
        await openReader(server, kind, '/rooms/lobby?name=bob').catch(() => undefined);
        expect(await room(server).members()).to.deep.equal([{ id: 'id-ada', info: { name: 'ada' } }]);
      });
    });
  }

  it('shows the information of a connection that is still there, and says it again at leave', async () => {
    const Tabs = defineChannel('tabs', { presence: (user) => ({ tab: (user as Account).name }) });
    const ada: Middleware = (ctx, next) => {
      ctx.user = { id: 'ada', name: ctx.query['name'] };
      return next();
    };
    @Controller('/tabs')
    @UseMiddleware(ada)
    class TabController {
      @WebSocket()
      read(@Channel(Tabs) tabs: Channel) {
        return tabs;
      }
      @WebSocket('/people')
      people(@Channel(Tabs) tabs: Channel, @Connection() connection: Connection) {
        tabs.presence.subscribe(connection);
      }
    }
    for (const leaving of [
      ['one', 'two', 'three'],
      ['three', 'two', 'one'],
      ['two', 'three', 'one'],
    ]) {
      const server = serve({ controllers: [TabController] });
      const tabs = server.app.container.resolve(Channels).of(Tabs);
      const watcher = await openReader(server, 'websocket', '/tabs/people');
      const open = new Map<string, Reader>();
      for (const name of ['one', 'two', 'three']) {
        open.set(name, await openReader(server, 'websocket', `/tabs?name=${name}`));
        await eventually(() => tabs.size === open.size);
      }
      expect(await tabs.members()).to.deep.equal([{ id: 'ada', info: { tab: 'three' } }]);
      for (const name of leaving) {
        const [shown] = await tabs.members();
        expect([...open.keys()]).to.include((shown?.info as { tab: string } | undefined)?.tab);
        open.get(name)?.leave();
        open.delete(name);
        await eventually(() => tabs.size === open.size);
      }
      await watcher.until(({ data }) => data.length === 3);
      expect(watcher.data.at(-1)).to.deep.equal({ type: 'leave', id: 'ada', info: { tab: leaving.at(-1) } });
    }
  });

  it('that fails closes the socket of a method that returns its channel later', async () => {
    const Broken = defineChannel<string>('broken', {
      presence: () => {
        throw new Error('no name');
      },
    });
    @Controller('/broken')
    @UseMiddleware(signIn)
    class BrokenRooms {
      @WebSocket() async read(@Channel(Broken) broken: Channel<string>) {
        return Promise.resolve(broken);
      }
    }
    const server = serve({ controllers: [BrokenRooms] });
    const socket = await server.socket('/broken?name=ada');
    expect(await socket.closed()).to.include({ code: 1011 });
  });

  it('lists who is there first with a broker that takes its time', async () => {
    const broker = new Lagging(Date.now);
    const server = start(broker);
    const pump = setInterval(() => {
      for (let lane = 0; lane < 40; lane++) broker.advance(lane);
    });
    try {
      await join(server, 'websocket', 'ada');
      await eventually(() => broker.lag === 0);
      const watching = openReader(server, 'websocket', '/rooms/lobby/people');
      const watcher = await watching;
      const bob = await join(server, 'sse', 'bob');
      await watcher.until((reader) => story(reader).includes('join bob'));
      bob.leave();
      await watcher.until((reader) => story(reader).includes('leave bob'));
      expect(story(watcher)[0]).to.match(/^present ada/);
    } finally {
      clearInterval(pump);
    }
  });

  describe('whose info a watcher cannot be sent', () => {
    const Hall = defineChannel('hall', {
      presence: (user) => ({ key: (user as { key?: bigint }).key ?? 1n }),
    });

    @Controller('/hall')
    @UseMiddleware(signIn)
    class Halls {
      @Sse() read(@Channel(Hall) hall: Channel) {
        return hall;
      }
      @Sse('/idle') async *idle(@Signal() signal: AbortSignal) {
        yield 'open';
        await once(signal, 'abort');
      }
      @Sse('/people') people(@Channel(Hall) hall: Channel, @Connection() connection: Connection) {
        hall.presence.subscribe(connection);
      }
    }

    it('opens and ends connections all the same, leaves no ghost, and is logged', async () => {
      const logger = new Recorder();
      const server = serve({ controllers: [Halls], logger });
      const watcher = await server.sse('/hall/people');
      const streams = [await server.sse('/hall/idle?name=ada'), await server.sse('/hall?name=ada')];
      streams.push(await server.sse('/hall/idle?name=ada'));
      const connections = server.app.container.resolve(Connections);
      const hall = server.app.container.resolve(Channels).of(Hall);
      await eventually(() => hall.size === 1);
      expect(await hall.members()).to.have.length(1);
      await connections.revoke({ user: 'id-ada' });
      await Promise.all(streams.map((stream) => stream.closed()));
      expect([connections.of('id-ada'), await hall.members()]).to.deep.equal([[], []]);
      expect(await watcher.next()).to.include({ event: 'present' });
      expect(connections.count, 'the watcher stays').to.equal(1);
      expect(logger.at('error').map(({ message }) => message)).to.deep.equal(
        Array(2).fill('a channel failed'),
      );
    });

    it('is logged, too, if it is in the list of members', async () => {
      const logger = new Recorder();
      const server = serve({ controllers: [Halls], logger });
      await server.sse('/hall?name=ada');
      const hall = server.app.container.resolve(Channels).of(Hall);
      await eventually(() => hall.size === 1);
      await server.sse('/hall/people');
      await eventually(() => logger.at('error').length > 0);
      expect(logger.at('error')[0]?.message).to.equal('a channel failed');
    });
  });
});
