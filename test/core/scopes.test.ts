import { EventEmitter, once } from 'node:events';
import { expect } from 'chai';
import {
  Body,
  Context,
  Controller,
  Ctx,
  Get,
  HttpError,
  Rpc,
  Socket,
  Sse,
  UseMiddleware,
  WebSocket,
  type Logger,
  type Next,
} from 'coequal';
import { serve } from 'coequal/testing';
import { inject, injectable, Lifecycle, scoped } from 'tsyringe';

/** What happened, in order, and a way to wait for it. */
class Story {
  readonly lines: string[] = [];
  readonly #told = new EventEmitter();

  tell(line: string): void {
    this.lines.push(line);
    this.#told.emit('line');
  }

  async until(line: string): Promise<string[]> {
    while (!this.lines.includes(line)) await once(this.#told, 'line');
    return this.lines;
  }
}

let serial = 0;

@scoped(Lifecycle.ContainerScoped)
class Unit {
  readonly id = ++serial;
  constructor(
    readonly ctx: Context,
    @inject('story') readonly story: Story,
  ) {}
  async dispose() {
    await new Promise(setImmediate);
    this.story.tell(`unit of ${this.ctx.path} disposed`);
  }
}

@scoped(Lifecycle.ContainerScoped)
class Ledger {
  constructor(
    readonly unit: Unit,
    @inject('story') readonly story: Story,
  ) {}
  [Symbol.asyncDispose]() {
    this.story.tell('ledger disposed');
    return Promise.resolve();
  }
}

@injectable()
class Guard {
  constructor(readonly unit: Unit) {}
  use(ctx: Context, next: Next) {
    ctx.attributes.set('unit', this.unit);
    this.unit.story.tell('guard');
    return next();
  }
}

@injectable()
class Inner {
  constructor(readonly unit: Unit) {}
  use(ctx: Context, next: Next) {
    if (ctx.attributes.get('unit') === this.unit) this.unit.story.tell('the same unit');
    return next();
  }
}

@Controller('/guarded')
@UseMiddleware(Guard, Inner)
class Guarded {
  constructor(@inject('story') private readonly story: Story) {}

  @Get()
  async *body() {
    yield 'a';
    yield [...this.story.lines];
  }
  @Sse()
  async *events() {
    // The head waits a while for a first event.
    yield 'first';
    yield await this.story.until('unit of /guarded disposed');
  }
  @WebSocket()
  async open(@Ctx() ctx: Context) {
    ctx.send(await this.story.until('unit of /guarded disposed'));
  }
  @Get('/refused')
  refused() {
    throw new TypeError('refused');
  }
}

@Controller('/scoped')
class Scoped {
  readonly id = ++serial;
  constructor(
    private readonly ledger: Ledger,
    private readonly unit: Unit,
    private readonly ctx: Context,
    @inject('story') private readonly story: Story,
  ) {}
  @Get('/request')
  request(@Ctx() ctx: Context) {
    return {
      unit: this.unit.id,
      same: this.ledger.unit === this.unit && this.ctx === ctx && this.unit.ctx === ctx,
    };
  }
  @Get('/failing')
  failing() {
    throw new TypeError('failing');
  }
  @Sse('/stream')
  stream(@Ctx() ctx: Context) {
    ctx.send(this.unit.id);
  }
  @WebSocket('/connection')
  async connection(@Socket() socket: Socket) {
    for await (const _ of socket) socket.send(this.unit.id);
  }
  @WebSocket('/messages')
  async message(@Body() body: { wait?: string; fail?: boolean }) {
    if (body.wait !== undefined) await this.story.until(body.wait);
    if (body.fail) throw new TypeError('failing');
    return { unit: this.unit.id, controller: this.id, same: this.ledger.unit === this.unit };
  }
  @Rpc()
  call(@Ctx() ctx: Context) {
    return { unit: this.unit.id, same: this.unit.ctx === ctx && this.ledger.unit === this.unit };
  }
}

describe('a scope', () => {
  let story: Story;
  beforeEach(() => {
    story = new Story();
  });
  const start = (controllers: (new (...args: never[]) => object)[], logger: Logger | false = false) =>
    serve({ controllers, logger }).override('story', story);

  describe('of middleware', () => {
    const head = ['guard', 'the same unit', 'unit of /guarded disposed'];

    it('lasts as long as a body that is streamed', async () => {
      const response = await start([Guarded]).fetch('/guarded');
      expect(await response.text()).to.equal(`a${JSON.stringify(head.slice(0, 2))}\n`);
      await story.until('unit of /guarded disposed');
    });

    it('is over before the stream goes on', async () => {
      const stream = await start([Guarded]).sse('/guarded');
      expect((await stream.next()).data).to.equal('first');
      expect(await stream.json()).to.deep.equal(head);
    });

    it('is over before the conversation goes on', async () => {
      expect(await (await start([Guarded]).socket('/guarded')).json()).to.deep.equal(head);
    });

    it('is over where the method throws', async () => {
      expect((await start([Guarded]).fetch('/guarded/refused')).status).to.equal(500);
      expect(story.lines).to.deep.equal(['guard', 'the same unit', 'unit of /guarded/refused disposed']);
    });

    it('is one for each exchange', async () => {
      const server = start([Guarded]);
      const before = serial;
      await Promise.all(Array.from({ length: 5 }, () => server.fetch('/guarded/refused')));
      expect(serial - before).to.equal(5);
    });
  });

  describe('of a request', () => {
    it('shares its services with what they need, knows the context, and ends in reverse order', async () => {
      const server = start([Scoped]);
      const first = await (await server.fetch('/scoped/request')).json();
      expect(first).to.have.property('same', true);
      await story.until('unit of /scoped/request disposed');
      expect(story.lines).to.deep.equal(['ledger disposed', 'unit of /scoped/request disposed']);
      const second = await (await server.fetch('/scoped/request')).json();
      expect((second as { unit: number }).unit).to.be.greaterThan((first as { unit: number }).unit);
    });

    it('ends where the method throws', async () => {
      expect((await start([Scoped]).fetch('/scoped/failing')).status).to.equal(500);
      await story.until('unit of /scoped/failing disposed');
    });
  });

  describe('of a connection', () => {
    it('lives as long as the stream', async () => {
      const stream = await start([Scoped]).sse('/scoped/stream');
      await stream.json();
      expect(story.lines).to.deep.equal([]);
      stream.close();
      expect(await story.until('unit of /scoped/stream disposed')).to.have.lengthOf(2);
    });

    it('lives as long as the socket', async () => {
      const socket = await start([Scoped]).socket('/scoped/connection');
      socket.send('1');
      socket.send('2');
      expect(await socket.json()).to.equal(await socket.json());
      expect(story.lines).to.deep.equal([]);
      socket.close();
      expect(await story.until('unit of /scoped/connection disposed')).to.have.lengthOf(2);
    });
  });

  describe('of a message', () => {
    it('is one for each, and over when the reply is made, before the next message', async () => {
      const socket = await start([Scoped]).socket('/scoped/messages');
      socket.send({});
      const first = await socket.json<{ unit: number; controller: number; same: boolean }>();
      socket.send({ wait: 'unit of /scoped/messages disposed' });
      const second = await socket.json<{ unit: number; controller: number }>();
      expect(first.same).to.equal(true);
      expect(second.unit).not.to.equal(first.unit);
      expect(second.controller).not.to.equal(first.controller);
      expect(story.lines.slice(0, 2)).to.deep.equal(['ledger disposed', 'unit of /scoped/messages disposed']);
      expect(story.lines).to.have.lengthOf(4);
    });

    it('is over where the message fails, and the reply says so', async () => {
      const socket = await start([Scoped]).socket('/scoped/messages');
      socket.send({ fail: true });
      expect(await socket.json()).to.have.nested.property('error.status', 500);
      expect(story.lines).to.have.lengthOf(2);
    });

    it('is one for each call, and knows the context of the call', async () => {
      const socket = await start([Scoped]).socket('/scoped/messages');
      const units = new Set<number>();
      for (const id of [1, 2]) {
        socket.send({ jsonrpc: '2.0', id, method: 'call' });
        const { result } = await socket.json<{ result: { unit: number; same: boolean } }>();
        expect(result.same).to.equal(true);
        expect(story.lines).to.have.lengthOf(id * 2);
        units.add(result.unit);
      }
      expect(units.size).to.equal(2);
    });
  });

  describe('of a unit of work', () => {
    interface Outcome {
      ok: boolean;
      error?: unknown;
    }
    @scoped(Lifecycle.ContainerScoped)
    class Work {
      readonly id = ++serial;
      constructor(@inject('story') readonly story: Story) {}
      async dispose({ ok, error }: Outcome) {
        await new Promise(setImmediate);
        if (ok && this.story.lines.includes('conflict')) throw new HttpError(409, 'changed meanwhile');
        this.story.tell(ok ? 'committed' : `rolled back: ${(error as Error).message}`);
      }
    }
    @injectable()
    class Begin {
      constructor(readonly work: Work) {}
      async use(ctx: Context, next: Next) {
        ctx.attributes.set('work', this.work);
        await next();
        this.work.story.tell('decided');
      }
    }
    @Controller('/work')
    @UseMiddleware(Begin)
    class Works {
      constructor(
        private readonly work: Work,
        @inject('story') private readonly story: Story,
      ) {}
      @Get() show(@Ctx() ctx: Context) {
        return { shared: ctx.attributes.get('work') === this.work, told: [...this.story.lines] };
      }
      @Get('/failing') failing() {
        throw new HttpError(422, 'no');
      }
      @Get('/rows') async *rows() {
        yield 'a row';
        yield [...this.story.lines];
      }
      @Get('/broken') async *broken() {
        yield 'a row';
        throw new HttpError(500, 'broken off');
      }
      @Get('/forwarded') forwarded() {
        return new Response('text');
      }
    }
    @Controller('/calls')
    class WorkCalls {
      constructor(private readonly work: Work) {}
      @WebSocket() message(@Body() text: string) {
        if (text === 'fail') throw new HttpError(422, 'no');
        return text;
      }
      @Rpc('shared')
      @UseMiddleware(Begin)
      shared(@Ctx() ctx: Context) {
        return ctx.attributes.get('work') === this.work;
      }
      @Rpc('failing') failing() {
        throw new HttpError(422, 'no');
      }
    }

    it('is shared by middleware and method, and commits before the head is sent', async () => {
      const told = await (await start([Works]).fetch('/work')).json();
      expect(told).to.deep.equal({ shared: true, told: [] });
      expect(story.lines).to.deep.equal(['decided', 'committed']);
    });

    it('rolls back where the method throws', async () => {
      expect((await start([Works]).fetch('/work/failing')).status).to.equal(422);
      expect(story.lines).to.deep.equal(['rolled back: no']);
    });

    it('is the answer where it cannot commit', async () => {
      story.tell('conflict');
      const response = await start([Works]).fetch('/work');
      expect(response.status).to.equal(409);
      expect(await response.json()).to.have.property('detail', 'changed meanwhile');
    });

    it('commits when a reply of several values has been sent; rolls back when it breaks off', async () => {
      @Controller('/replies')
      class Replies {
        constructor(private readonly work: Work) {}
        @WebSocket() async *message(@Body() text: string) {
          this.work.story.tell(`reply to ${text}`);
          yield 'a value';
          if (text === 'fail') throw new HttpError(422, 'no');
          this.work.story.tell('sent');
        }
      }
      const socket = await start([Replies]).socket('/replies');
      socket.send('send');
      expect(await socket.next()).to.equal('a value');
      socket.send('fail');
      expect(await socket.next()).to.equal('a value');
      expect(await socket.json()).to.have.nested.property('error.status', 422);
      expect(story.lines).to.deep.equal([
        'reply to send',
        'sent',
        'committed',
        'reply to fail',
        'rolled back: no',
      ]);
    });

    it('commits when a streamed body has been sent, and rolls back when it breaks off', async () => {
      const server = start([Works]);
      expect(await (await server.fetch('/work/rows')).text()).to.equal('a row["decided"]\n');
      await story.until('committed');
      expect(await (await server.fetch('/work/forwarded')).text()).to.equal('text');
      await server
        .fetch('/work/broken')
        .then((broken) => broken.text())
        .catch(() => undefined);
      await story.until('rolled back: broken off');
      expect(story.lines.filter((line) => line === 'committed')).to.have.lengthOf(2);
    });

    it('is one for each request: a pool of one is enough for many', async () => {
      const server = start([Works]);
      const before = serial;
      await Promise.all(Array.from({ length: 10 }, () => server.fetch('/work')));
      expect(serial - before).to.equal(10);
    });

    it('is one for each call and each message, and its failure is theirs', async () => {
      const socket = await start([WorkCalls]).socket('/calls');
      const call = async (method: string) => {
        socket.send({ jsonrpc: '2.0', id: 1, method });
        return socket.json<{ result?: unknown; error?: { data: { status: number } } }>();
      };
      expect(await call('shared')).to.have.property('result', true);
      await call('failing');
      socket.send('fail');
      await socket.next();
      expect(story.lines).to.deep.equal(['decided', 'committed', 'rolled back: no', 'rolled back: no']);
      story.tell('conflict');
      expect(await call('shared')).to.have.nested.property('error.data.status', 409);
      socket.send('text');
      expect(await socket.json()).to.have.nested.property('error.status', 409);
    });

    it('of the application ends where no route answers, too', async () => {
      const server = serve({ controllers: [Works], middleware: [Begin], logger: false });
      server.override('story', story);
      expect((await server.fetch('/nowhere')).status).to.equal(404);
      expect(story.lines).to.deep.equal(['rolled back: Not Found']);
    });
  });

  it('that cannot be disposed of is logged, and the rest is disposed all the same', async () => {
    @scoped(Lifecycle.ContainerScoped)
    class Broken {
      constructor(readonly unit: Unit) {}
      dispose() {
        throw new TypeError('stuck');
      }
    }
    @Controller()
    class Rest {
      constructor(readonly broken: Broken) {}
      @Get('/broken')
      show() {
        return 'shown';
      }
    }
    const errors: unknown[] = [];
    const quiet = (): void => undefined;
    const logger = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (...line: unknown[]) => errors.push(line[1]),
    };
    const response = await start([Rest], logger as Logger).fetch('/broken');
    expect(await response.text()).to.equal('shown');
    await story.until('unit of /broken disposed');
    expect(errors).to.deep.equal(['disposing Broken failed']);
  });
});
