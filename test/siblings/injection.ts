import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { Context, Controller, UseMiddleware, type Next } from 'coequal';
import { injectable, Lifecycle, scoped, singleton } from 'tsyringe';
import { Everywhere, servers, type Door } from '../support/doors.js';
import { Journal, Recorder } from '../support/journal.js';

export function injection(door: Door): void {
  const serve = servers();

  it('gives the method the services of its class, one instance for all exchanges', async () => {
    let made = 0;
    @singleton()
    class Clock {
      readonly id = ++made;
    }
    @injectable()
    class Rooms {
      constructor(readonly clock: Clock) {}
    }
    @Controller('/room')
    class Room {
      constructor(
        readonly rooms: Rooms,
        readonly clock: Clock,
      ) {}

      @Everywhere()
      enter() {
        return { id: this.clock.id, same: this.rooms.clock === this.clock };
      }
    }
    const server = serve({ controllers: [Room] });
    for (let visits = 0; visits < 2; visits++) {
      expect(await (await door.open(server, '/room')).value()).to.deep.equal({ id: 1, same: true });
    }
  });

  /** A unit of work that lives as long as the exchange: `/work` keeps it until the client leaves, `/done` ends. */
  function workplace() {
    const journal = new Journal();
    let made = 0;

    @scoped(Lifecycle.ContainerScoped)
    class Work {
      readonly id = ++made;

      constructor(readonly ctx: Context) {}

      async dispose(): Promise<void> {
        journal.note(`ending ${this.id}`);
        await turn();
        journal.note(`ended ${this.id}`);
      }
    }
    @scoped(Lifecycle.ContainerScoped)
    class Orders {
      constructor(readonly work: Work) {}

      dispose(): void {
        journal.note(`orders of ${this.work.id}`);
      }
    }
    @Controller()
    class Place {
      constructor(
        readonly orders: Orders,
        readonly work: Work,
      ) {}

      @Everywhere('/work')
      async *stay() {
        yield this.facts();
        const gone = new Journal();
        this.work.ctx.signal.addEventListener('abort', () => gone.note('gone'));
        await gone.until('gone');
      }

      @Everywhere('/done')
      async *leave() {
        yield this.facts();
      }

      @Everywhere('/thrown')
      fail() {
        throw new Error(`work ${this.work.id} failed`);
      }

      private facts() {
        return { id: this.work.id, shared: this.orders.work === this.work, path: this.work.ctx.path };
      }
    }
    return { journal, server: serve({ controllers: [Place] }) };
  }

  it('makes scoped services once for an exchange, and anew for the next', async () => {
    const { server } = workplace();
    const visits = [await door.open(server, '/work'), await door.open(server, '/work')];
    expect(await Promise.all(visits.map((visit) => visit.value()))).to.deep.equal([
      { id: 1, shared: true, path: '/work' },
      { id: 2, shared: true, path: '/work' },
    ]);
  });

  it('keeps scoped services until the client leaves, then disposes them in reverse order, awaited, once', async () => {
    const { server, journal } = workplace();
    const visit = await door.open(server, '/work');
    await visit.value();
    expect(journal.entries).to.deep.equal([]);
    visit.leave();
    await journal.until('ended 1');
    await server.close();
    expect(journal.entries).to.deep.equal(['orders of 1', 'ending 1', 'ended 1']);
  });

  it('disposes scoped services when the method is done', async () => {
    const { server, journal } = workplace();
    const visit = await door.open(server, '/done');
    expect(await visit.value()).to.include({ id: 1 });
    await visit.ended();
    await server.close();
    expect(journal.entries).to.deep.equal(['orders of 1', 'ending 1', 'ended 1']);
  });

  it('disposes scoped services when the method throws', async () => {
    const { server, journal } = workplace();
    const visit = await door.open(server, '/thrown');
    await visit.ended();
    await server.close();
    expect(journal.entries).to.deep.equal(['orders of 1', 'ending 1', 'ended 1']);
  });

  it('waits at the close for services that are still being disposed', async () => {
    const { server, journal } = workplace();
    const visit = await door.open(server, '/work');
    await visit.value();
    visit.leave();
    await server.close();
    expect(journal.count('ended 1')).to.equal(1);
  });

  it('logs what fails while it is disposed, and goes on', async () => {
    const journal = new Journal();
    @scoped(Lifecycle.ContainerScoped)
    class Sound {
      dispose(): void {
        journal.note('sound');
      }
    }
    @scoped(Lifecycle.ContainerScoped)
    class Broken {
      constructor(readonly sound: Sound) {}

      async dispose(): Promise<void> {
        await turn();
        throw new Error('stuck');
      }
    }
    @Controller('/room')
    class Room {
      constructor(readonly broken: Broken) {}

      @Everywhere()
      async *enter() {
        yield {};
      }
    }
    const logger = new Recorder();
    const server = serve({ controllers: [Room], logger });
    await (await door.open(server, '/room')).ended();
    await server.close();
    expect(journal.entries).to.deep.equal(['sound']);
    expect(logger.at('error').map(({ message }) => message)).to.deep.equal(['disposing Broken failed']);
  });

  it('shares scoped services among the middleware of an exchange, and ends them before what stays open', async () => {
    const journal = new Journal();
    let made = 0;
    @scoped(Lifecycle.ContainerScoped)
    class Transaction {
      readonly id = ++made;

      async dispose(): Promise<void> {
        await turn();
        journal.note(`ended ${this.id}`);
      }
    }
    @injectable()
    class Begin {
      constructor(readonly transaction: Transaction) {}

      use(ctx: Context, next: Next) {
        journal.note(`begin in ${this.transaction.id}`);
        ctx.defer(() => journal.note('the end'));
        return next();
      }
    }
    @injectable()
    class Check {
      constructor(readonly transaction: Transaction) {}

      async use(_ctx: Context, next: Next) {
        await next();
        journal.note(`checked in ${this.transaction.id}`);
      }
    }
    @Controller('/room')
    @UseMiddleware(Begin, Check)
    class Room {
      @Everywhere()
      async *enter() {
        yield { ended: journal.count(`ended ${made}`) === 1 };
      }
    }
    const server = serve({ controllers: [Room] });
    for (const id of [1, 2]) {
      journal.entries.length = 0;
      const visit = await door.open(server, '/room');
      await visit.ended();
      await journal.until('the end');
      expect(journal.entries).to.deep.equal([`begin in ${id}`, `checked in ${id}`, `ended ${id}`, 'the end']);
    }
  });
}
