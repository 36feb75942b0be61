import 'reflect-metadata';
import { expect } from 'chai';
import {
  container as globalContainer,
  delay,
  inject,
  injectable,
  injectAll,
  injectWithTransform,
  instanceCachingFactory,
  instancePerContainerCachingFactory,
  Lifecycle,
  predicateAwareClassFactory,
  scoped,
  singleton,
  type DependencyContainer,
} from 'tsyringe';
import { Context } from '../../src/core/exchange/context.js';
import { ConfigurationError } from '../../src/core/base/errors.js';
import { Injection, Scope, type Class } from '../../src/core/injection/injection.js';
import { silentLogger } from '../../src/core/base/logger.js';

describe('injection', () => {
  describe('a graph without scoped classes', () => {
    it('gives one instance to all who ask, and needs no scope', () => {
      @singleton()
      class Rooms {}
      @injectable()
      class Rest {
        constructor(readonly rooms: Rooms) {}
      }
      const injection = make();
      const provider = injection.provider(Rest, 'GET /');
      expect(provider.instance).to.be.instanceOf(Rest);
      expect(provider.instance?.rooms).to.be.instanceOf(Rooms);
      expect(provider.scoped).to.deep.equal([]);
      expect(provider.resolve(scope())).to.equal(provider.instance);
      expect(injection.provider(Rest, 'GET /other')).to.equal(provider);
    });

    it('lets registrations on the application container win', () => {
      class Mail {}
      class FakeMail {}
      @injectable()
      class Rest {
        constructor(readonly mail: Mail) {}
      }
      const injection = make();
      injection.container.register(Mail, { useClass: FakeMail });
      expect(injection.provider(Rest, 'GET /').instance?.mail).to.be.instanceOf(FakeMail);
    });

    it('constructs a class that some other decorator gave its metadata', () => {
      class Mail {}
      @mark
      class Rest {
        constructor(readonly mail: Mail) {}
      }
      expect(make().provider(Rest, 'GET /').instance?.mail).to.be.instanceOf(Mail);
    });

    it('follows values, tokens, optional tokens, factories, all of a token, transforms and delay()', () => {
      class Clock {}
      class Upper {
        transform(text: string, end: string) {
          return text.toUpperCase() + end;
        }
      }
      @injectable()
      class Rest {
        constructor(
          @inject('name') readonly name: string,
          @inject('alias') readonly alias: string,
          @inject('absent', { isOptional: true }) readonly absent: unknown,
          @inject('made') readonly made: unknown,
          @injectAll('each') readonly each: unknown[],
          @injectWithTransform('name', Upper, '!') readonly loud: string,
          @inject(delay(() => Clock)) readonly clock: Clock,
        ) {}
      }
      const injection = make();
      injection.container
        .register('name', { useValue: 'ann' })
        .register('alias', { useToken: 'name' })
        .register('made', { useFactory: () => 7 })
        .register('each', { useValue: 1 })
        .register('each', { useValue: 2 });
      const rest = injection.provider(Rest, 'GET /').instance;
      expect(rest).to.include({ name: 'ann', alias: 'ann', absent: undefined, made: 7, loud: 'ANN!' });
      expect(rest?.each).to.deep.equal([1, 2]);
      expect(rest?.clock).to.be.instanceOf(Clock);
    });

    it('gives a class without a constructor what its base asks for', () => {
      class Mail {}
      @injectable()
      class Base {
        constructor(readonly mail: Mail) {}
      }
      class Derived extends Base {
        /* the constructor (of the base) is used */
      }
      class Own extends Base {
        constructor() {
          super('mine');
        }
      }
      expect(make().provider(Derived, 'GET /').instance?.mail).to.be.instanceOf(Mail);
      expect(make().provider(Own, 'GET /').instance?.mail).to.equal('mine');
    });
  });

  describe('a graph with scoped classes', () => {
    it('shares one instance within a scope, between providers too, and none across scopes', () => {
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      @injectable()
      class Repository {
        constructor(readonly unit: Unit) {}
      }
      @injectable()
      class Rest {
        constructor(
          readonly unit: Unit,
          readonly repository: Repository,
        ) {}
      }
      @injectable()
      class Guard {
        constructor(readonly unit: Unit) {}
      }
      const injection = make();
      const rest = injection.provider(Rest, 'GET /');
      const guard = injection.provider(Guard, 'GET /');
      expect(rest.instance).to.equal(undefined);
      expect(rest.scoped).to.deep.equal(['Unit']);

      const [first, second] = [scope(), scope()];
      const one = rest.resolve(first);
      expect(one.unit).to.be.instanceOf(Unit);
      expect(one.repository.unit).to.equal(one.unit);
      expect(guard.resolve(first).unit).to.equal(one.unit);
      expect(rest.resolve(second).unit).not.to.equal(one.unit);
      expect(rest.resolve(first)).not.to.equal(one);
    });

    it('does not share a scoped class that was decorated after the application container was made', () => {
      const injection = make(globalContainer);
      @scoped(Lifecycle.ContainerScoped)
      class Late {}
      @injectable()
      class Rest {
        constructor(
          readonly late: Late,
          @inject(delay(() => Late)) readonly delayed: Late,
        ) {}
      }
      const provider = injection.provider(Rest, 'GET /');
      expect(provider.resolve(scope()).late).not.to.equal(provider.resolve(scope()).late);
      expect(injection.container.isRegistered(Late)).to.equal(true);
      const { late, delayed } = provider.resolve(scope());
      expect(Object.getPrototypeOf(delayed)).to.equal(Object.getPrototypeOf(late));
    });

    it('hoists singletons: one for all scopes, made once', () => {
      let made = 0;
      @singleton()
      class Pool {
        constructor() {
          made++;
        }
      }
      @scoped(Lifecycle.ContainerScoped)
      class Unit {
        constructor(readonly pool: Pool) {}
      }
      const provider = make().provider(Unit, 'GET /');
      expect(made).to.equal(1);
      expect(provider.resolve(scope()).pool).to.equal(provider.resolve(scope()).pool);
      expect(made).to.equal(1);
    });

    it('makes what is scoped to a resolution once per resolution, and what is transient each time', () => {
      @scoped(Lifecycle.ResolutionScoped)
      class Batch {}
      class Step {}
      @injectable()
      class Part {
        constructor(
          readonly batch: Batch,
          readonly step: Step,
        ) {}
      }
      @injectable()
      class Rest {
        constructor(
          readonly batch: Batch,
          readonly step: Step,
          readonly part: Part,
          readonly context: Context,
        ) {}
      }
      const provider = make().provider(Rest, 'GET /');
      const one = scope();
      const rest = provider.resolve(one);
      expect(rest.part.batch).to.equal(rest.batch);
      expect(rest.part.step).not.to.equal(rest.step);
      expect(provider.resolve(one).batch).not.to.equal(rest.batch);
    });

    it('injects the context of the scope', () => {
      @injectable()
      class Tenant {
        constructor(readonly context: Context) {}
      }
      const provider = make().provider(Tenant, 'GET /');
      const context = aContext();
      expect(provider.scoped).to.deep.equal(['Context']);
      expect(provider.resolve(new Scope(context)).context).to.equal(context);
    });

    it('follows more parameters than it has a short way for', () => {
      @injectable()
      class Wide {
        constructor(
          readonly a: Context,
          readonly b: Context,
          readonly c: Context,
          readonly d: Context,
        ) {}
      }
      const context = aContext();
      const { a, b, c, d } = make().provider(Wide, 'GET /').resolve(new Scope(context));
      expect([a, b, c, d]).to.deep.equal([context, context, context, context]);
    });
  });

  describe('what only tsyringe can resolve, in a scope', () => {
    it('gets the scope: its instances, its context, and the singletons of the application', () => {
      @singleton()
      class Pool {
        dispose() {
          disposed.push('pool');
        }
      }
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      class Job {
        constructor(
          readonly unit: Unit,
          readonly context: Context,
          readonly pool: Pool,
        ) {}
      }
      @injectable()
      class Rest {
        constructor(
          readonly unit: Unit,
          @inject('job') readonly job: Job,
          @injectAll('units') readonly units: Unit[],
        ) {}
      }
      const disposed: string[] = [];
      const injection = make();
      const job = (c: DependencyContainer) => new Job(c.resolve(Unit), c.resolve(Context), c.resolve(Pool));
      injection.container.register('job', { useFactory: job }).register('units', { useToken: Unit });
      const provider = injection.provider(Rest, 'GET /');

      const one = scope();
      const rest = provider.resolve(one);
      expect(rest.job.unit).to.equal(rest.unit);
      expect(rest.units).to.deep.equal([rest.unit]);
      expect(rest.units[0]).to.equal(rest.unit);
      expect(rest.job.context).to.equal(one.context);
      expect(one.dispose(silentLogger)).to.equal(undefined);
      expect(disposed).to.deep.equal([]);
      expect(provider.resolve(scope()).job.pool).to.equal(rest.job.pool);
    });

    it('makes a graph scoped where a factory is seen to reach for the scope', () => {
      @injectable()
      class Rest {
        constructor(@inject('context') readonly context: Context) {}
      }
      const injection = make();
      injection.container.register('context', { useFactory: (c) => c.resolve(Context) });
      const provider = injection.provider(Rest, 'GET /');
      expect(provider.scoped).to.deep.equal(['Context']);
      const one = scope();
      expect(provider.resolve(one).context).to.equal(one.context);
    });

    it('sees scoped classes behind delay(), transforms and all of a token', () => {
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      class Same {
        transform(value: unknown) {
          return value;
        }
      }
      @injectable()
      class Delayed {
        constructor(@inject(delay(() => Unit)) readonly unit: Unit) {}
      }
      @injectable()
      class All {
        constructor(@injectAll(Unit) readonly units: Unit[]) {}
      }
      @injectable()
      class Transformed {
        constructor(@injectWithTransform(Unit, Same) readonly unit: Unit) {}
      }
      const injection = make();
      for (const target of [Delayed, All, Transformed]) {
        expect(injection.provider<object>(target, 'GET /').scoped, target.name).to.deep.equal(['Unit']);
      }
      const one = scope();
      const { unit } = injection.provider(Transformed, 'GET /').resolve(one);
      expect(injection.provider(All, 'GET /').resolve(one).units[0]).to.equal(unit);
    });

    it('disposes what was constructed for the scope, in the order of all that is made in it', () => {
      const order: string[] = [];
      class Noted {
        [Symbol.dispose]() {
          order.push('noted');
        }
      }
      @scoped(Lifecycle.ContainerScoped)
      class Unit {
        dispose() {
          order.push('unit');
        }
      }
      @injectable()
      class Rest {
        constructor(
          readonly unit: Unit,
          @injectAll(Noted) readonly all: Noted[],
        ) {}
        dispose() {
          order.push('rest');
        }
      }
      const one = scope();
      make().provider(Rest, 'GET /').resolve(one);
      expect(one.dispose(silentLogger)).to.equal(undefined);
      expect(order).to.deep.equal(['rest', 'noted', 'unit']);
    });
  });

  describe('a scope', () => {
    it('disposes in reverse order of creation, awaits each, and does so once', async () => {
      const order: string[] = [];
      @scoped(Lifecycle.ContainerScoped)
      class First {
        dispose() {
          order.push('first');
        }
      }
      @scoped(Lifecycle.ContainerScoped)
      class Second {
        constructor(readonly first: First) {}
        async [Symbol.asyncDispose]() {
          order.push('second begins');
          await Promise.resolve();
          order.push('second ends');
        }
      }
      const one = scope();
      make().provider(Second, 'GET /').resolve(one);
      const disposal = one.dispose(silentLogger);
      expect(one.dispose(silentLogger)).to.equal(disposal);
      await disposal;
      await one.dispose(silentLogger);
      expect(order).to.deep.equal(['second begins', 'second ends', 'first']);
    });

    it('logs what disposal throws or rejects with, and disposes the others', async () => {
      const order: string[] = [];
      @scoped(Lifecycle.ContainerScoped)
      class Fine {
        dispose() {
          order.push('fine');
        }
      }
      @scoped(Lifecycle.ContainerScoped)
      class Throws {
        constructor(readonly fine: Fine) {}
        dispose() {
          throw new Error('thrown');
        }
      }
      @scoped(Lifecycle.ContainerScoped)
      class Rejects {
        constructor(readonly throws: Throws) {}
        dispose() {
          return Promise.reject(new Error('rejected'));
        }
      }
      const logged: string[] = [];
      const error = (fields: object, message: string) => {
        logged.push(`${message}: ${String((fields as { err?: unknown }).err)}`);
      };
      const one = scope();
      make().provider(Rejects, 'GET /').resolve(one);
      await one.dispose({ ...silentLogger, error });
      expect(order).to.deep.equal(['fine']);
      expect(logged).to.deep.equal([
        'disposing Rejects failed: Error: rejected',
        'disposing Throws failed: Error: thrown',
      ]);
    });

    it('disposes what had been made before a constructor threw', () => {
      let disposed = 0;
      @scoped(Lifecycle.ContainerScoped)
      class Unit {
        dispose() {
          disposed++;
        }
      }
      @injectable()
      class Rest {
        constructor(readonly unit: Unit) {
          throw new Error('no');
        }
      }
      const provider = make().provider(Rest, 'GET /');
      const one = scope();
      expect(() => provider.resolve(one)).to.throw('no');
      void one.dispose(silentLogger);
      expect(disposed).to.equal(1);
    });

    it('leaves nothing in the containers, ten thousand times', () => {
      let disposed = 0;
      @scoped(Lifecycle.ContainerScoped)
      class Unit {
        dispose() {
          disposed++;
        }
      }
      @injectable()
      class Rest {
        constructor(
          readonly unit: Unit,
          @inject(delay(() => Unit)) readonly delayed: Unit,
        ) {}
        dispose() {
          disposed++;
        }
      }
      const parent = globalContainer.createChildContainer();
      const injection = make(parent);
      const provider = injection.provider(Rest, 'GET /');
      const before = [held(parent), held(injection.container), held(globalContainer)];
      for (let count = 0; count < 10_000; count++) {
        const one = scope();
        provider.resolve(one);
        void one.dispose(silentLogger);
      }
      expect(disposed).to.equal(20_000);
      expect([held(parent), held(injection.container), held(globalContainer)]).to.deep.equal(before);
    });
  });

  describe('the application container', () => {
    it('disposes in reverse order of creation, awaited, once, and logs errors', async () => {
      const order: string[] = [];
      @singleton()
      class Pool {
        async dispose() {
          await Promise.resolve();
          order.push('pool');
        }
      }
      @singleton()
      class Store {
        constructor(readonly pool: Pool) {}
        [Symbol.dispose]() {
          order.push('store');
          throw new Error('broken');
        }
      }
      const logged: string[] = [];
      const injection = make();
      injection.provider(Store, 'GET /');
      await injection.dispose({ ...silentLogger, error: (_, message) => logged.push(message) });
      await injection.dispose();
      await injection.container.dispose();
      expect(order).to.deep.equal(['store', 'pool']);
      expect(logged).to.deep.equal(['disposing Store failed']);
      expect(() => injection.container.resolve(Pool)).to.throw('disposed');
    });

    it('leaves instances that it was given alone', async () => {
      let disposed = 0;
      const given = { dispose: () => disposed++ };
      @injectable()
      class Rest {
        constructor(@inject('given') readonly given: unknown) {}
      }
      const injection = make();
      injection.container.registerInstance('given', given);
      expect(injection.provider(Rest, 'GET /').instance?.given).to.equal(given);
      await injection.dispose();
      expect(disposed).to.equal(0);
    });

    it('does not hand its disposed singletons to the next application', async () => {
      @singleton()
      class Pool {
        open = true;
        dispose() {
          this.open = false;
        }
      }
      const first = make();
      const pool = first.provider(Pool, 'GET /').instance;
      await first.dispose();
      expect(pool?.open).to.equal(false);
      expect(make().provider(Pool, 'GET /').instance?.open).to.equal(true);
    });
  });

  describe('applications that share a container', () => {
    /** Singletons, one of them with a transient part and one that a factory gives, and the order of their ends. */
    function shared() {
      const ended: string[] = [];
      const container = globalContainer.createChildContainer();
      class Pool {
        dispose() {
          ended.push('pool');
        }
      }
      class Part {
        dispose() {
          ended.push('part');
        }
      }
      injectable()(Part);
      class Store {
        constructor(
          @inject('pool') readonly pool: Pool,
          readonly part: Part,
        ) {}
        async dispose() {
          await Promise.resolve();
          ended.push('store');
        }
      }
      injectable()(Store);
      container.registerSingleton(Pool);
      container.registerSingleton(Store);
      container.register('pool', { useFactory: (from) => from.resolve(Pool) });
      const application = () => new Injection(container);
      return { ended, application, Store, Pool };
    }

    it('have singletons of their own, and dispose them without the others', async () => {
      const { ended, application, Store, Pool } = shared();
      const [one, two] = [application(), application()];
      const [first, second] = [one.provider(Store, 'GET /').instance, two.provider(Store, 'GET /').instance];
      expect(first).not.to.equal(second);
      expect(one.provider(Pool, 'GET /').instance).to.equal(first?.pool);
      await one.dispose();
      expect(ended).to.deep.equal(['store', 'part', 'pool']);
      await two.dispose();
      expect(ended).to.have.lengthOf(6);
      expect(application().provider(Store, 'GET /').instance).to.not.equal(second);
    });

    it('take no singleton that was resolved from the container before, and leave none there', () => {
      const container = globalContainer.createChildContainer();
      class Clock {}
      class Watch {
        constructor(readonly clock: Clock) {}
      }
      inject(Clock)(Watch, undefined, 0);
      injectable()(Watch);
      container.registerSingleton(Clock).registerSingleton(Watch).register('alias', { useToken: Watch });
      container
        .register('each', { useToken: 'alias' })
        .register('late', { useFactory: (from) => from.resolve('alias') });
      const mine = container.resolve(Watch);
      @injectable()
      class Rest {
        constructor(
          readonly watch: Watch,
          @inject('alias') readonly alias: Watch,
          @injectAll('each') readonly each: Watch[],
          @inject('late') readonly late: Watch,
          @inject(delay(() => Watch)) readonly delayed: Watch,
        ) {}
      }
      const injection = new Injection(container);
      const fake = new Clock();
      injection.container.registerInstance(Clock, fake);
      const rest = injection.provider(Rest, 'GET /').instance;
      expect(rest?.watch).not.to.equal(mine);
      for (const one of [rest?.watch, rest?.alias, rest?.each[0], rest?.late, rest?.delayed]) {
        expect(one?.clock).to.equal(fake);
      }
      expect(injection.container.createChildContainer().resolve(Watch)).to.equal(rest?.watch);
      expect(container.resolve(Watch)).to.equal(mine);
    });

    it('share what was registered as an instance', () => {
      const container = globalContainer.createChildContainer();
      const given = {};
      container.registerInstance('given', given);
      @singleton()
      class Rest {
        constructor(@inject('given') readonly given: unknown) {}
      }
      for (const injection of [new Injection(container), new Injection(container)]) {
        expect(injection.provider(Rest, 'GET /').instance?.given).to.equal(given);
      }
    });
  });

  it('refuses a container of another copy of tsyringe', () => {
    class Copied {
      _registry = new Map();
      resolveRegistration(): void {}
      createChildContainer(): Copied {
        return new Copied();
      }
      register(): void {}
    }
    expect(() => new Injection(new Copied() as unknown as DependencyContainer))
      .to.throw(ConfigurationError)
      .with.property('message')
      .that.matches(/^the container given is of another copy of tsyringe/);
  });

  describe('what a factory has made', () => {
    class Pool {
      static ended = 0;
      dispose() {
        Pool.ended++;
      }
    }
    @injectable()
    class Rest {
      constructor(
        readonly context: Context,
        @inject('pool') readonly pool: Pool,
      ) {}
    }
    beforeEach(() => {
      Pool.ended = 0;
    });

    it('is disposed with the last application that holds it', async () => {
      const container = globalContainer.createChildContainer();
      container.register(Pool, { useFactory: instanceCachingFactory(() => new Pool()) });
      const [one, two] = [new Injection(container), new Injection(container)];
      expect(one.provider(Pool, 'GET /').instance).to.equal(two.provider(Pool, 'GET /').instance);
      await one.dispose();
      expect(Pool.ended).to.equal(0);
      await two.dispose();
      expect(Pool.ended).to.equal(1);
    });

    it('is refused to an application that is made after the last that held it has disposed it', async () => {
      const container = globalContainer.createChildContainer();
      container.register(Pool, { useFactory: instanceCachingFactory(() => new Pool()) });
      const one = new Injection(container);
      one.provider(Pool, 'GET /');
      await one.dispose();
      expect(() => new Injection(container).provider(Pool, 'GET /')).to.throw(
        ConfigurationError,
        /^a factory returns the Pool that another application has disposed .* instancePerContainerCachingFactory/,
      );
    });

    it('is one for each application where the factory resolves it, or caches by container', async () => {
      class Other extends Pool {}
      let isOther = false;
      const container = globalContainer.createChildContainer();
      container
        .register('pool', { useFactory: instanceCachingFactory((from) => from.resolve(Pool)) })
        .register('either', { useFactory: predicateAwareClassFactory(() => isOther, Other, Pool) })
        .register('each', { useFactory: instancePerContainerCachingFactory(() => new Pool()) });
      const applications = [new Injection(container), new Injection(container)];
      for (const token of ['pool', 'either', 'each']) {
        const [one, two] = applications.map((each) => each.container.resolve<Pool>(token));
        expect(one).to.be.instanceOf(Pool).and.not.equal(two);
        expect(applications.map((each) => each.container.resolve<Pool>(token))).to.have.ordered.members([
          one,
          two,
        ]);
      }
      isOther = true;
      const [one, two] = applications.map((each) => each.container.resolve<Pool>('either'));
      expect(one).to.be.instanceOf(Other).and.not.equal(two);
      expect(two).to.be.instanceOf(Other);
      await Promise.all(applications.map((each) => each.dispose()));
    });

    it("is the application's in its scopes, too, where the factory caches by container", async () => {
      const injection = make();
      injection.container.register('pool', {
        useFactory: instancePerContainerCachingFactory(() => new Pool()),
      });
      const provider = injection.provider(Rest, 'GET /');
      const pools = await Promise.all(
        [scope(), scope()].map(async (one) => {
          const { pool } = provider.resolve(one);
          await one.dispose(silentLogger);
          return pool;
        }),
      );
      expect(pools[0]).to.equal(pools[1]);
      expect(Pool.ended).to.equal(0);
      await injection.dispose();
      expect(Pool.ended).to.equal(1);
    });

    it('never holds what is of one scope for another', () => {
      const injection = make();
      injection.container.register('pool', {
        useFactory: instanceCachingFactory((from) =>
          Object.assign(new Pool(), { of: from.resolve(Context) }),
        ),
      });
      const provider = injection.provider(Rest, 'GET /');
      expect(() => provider.resolve(scope())).to.throw(ConfigurationError, /needs the Context of one scope/);
    });

    it('is disposed once, with its scope, where each scope has its own', async () => {
      const injection = make();
      injection.container.register('pool', { useFactory: (from) => (from.resolve(Context), new Pool()) });
      const provider = injection.provider(Rest, 'GET /');
      for (const ended of [1, 2]) {
        const one = scope();
        provider.resolve(one);
        await one.dispose(silentLogger);
        expect(Pool.ended).to.equal(ended);
      }
      await injection.dispose();
      expect(Pool.ended).to.equal(2);
    });

    it('outlives the scopes where the factory keeps it', async () => {
      const injection = make();
      let kept: Pool | undefined;
      injection.container.register('pool', { useFactory: () => (kept ??= new Pool()) });
      const provider = injection.provider(Rest, 'GET /');
      for (let count = 0; count < 2; count++) {
        const one = scope();
        expect(provider.resolve(one).pool).to.equal(kept);
        await one.dispose(silentLogger);
      }
      expect(Pool.ended).to.equal(0);
      await injection.dispose();
      expect(Pool.ended).to.equal(1);
    });

    it('is left alone where it was registered as an instance', async () => {
      const injection = make();
      injection.container.registerInstance('given', new Pool());
      injection.container.register('pool', { useFactory: (from) => from.resolve('given') });
      const one = scope();
      injection.provider(Rest, 'GET /').resolve(one);
      await one.dispose(silentLogger);
      await injection.dispose();
      expect(Pool.ended).to.equal(0);
    });
  });

  describe('what cannot be injected is refused at start-up', () => {
    it('a singleton that would capture a scoped class, with the chain', () => {
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      @injectable()
      class Audit {
        constructor(readonly unit: Unit) {}
      }
      @singleton()
      class Clock {
        constructor(readonly audit: Audit) {}
      }
      @injectable()
      class Rest {
        constructor(readonly clock: Clock) {}
      }
      expect(refusal(Rest)).to.equal(
        'Clock -> Audit -> Unit (wanted by GET /): Clock lives as long as the application and would keep the Unit ' +
          'of one scope for all others. Make Clock transient or @scoped(Lifecycle.ContainerScoped), or Unit not scoped',
      );
    });

    it('a singleton that would capture the context, by registration or through a factory', () => {
      @injectable()
      class Plain {
        constructor(readonly context: Context) {}
      }
      const direct = make();
      direct.container.registerSingleton(Plain);
      expect(refusal(Plain, direct)).to.match(
        /^Plain -> Context \(wanted by GET \/\): Plain lives as long as/,
      );

      @singleton()
      class Sly {
        constructor(@inject('context') readonly context: Context) {}
      }
      const behind = make();
      behind.container.register('context', { useFactory: (c) => c.resolve(Context) });
      expect(refusal(Sly, behind)).to.match(/^Sly -> Context /);
    });

    it('a singleton that captures a scoped class through delay()', () => {
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      @singleton()
      class Clock {
        constructor(@inject(delay(() => Unit)) readonly unit: Unit) {}
      }
      expect(refusal(Clock)).to.match(/^Clock -> delay\(\) -> Unit /);
    });

    it('a constructor of whose parameters nothing is known', () => {
      class Bare {
        constructor(readonly mail: object) {}
      }
      const message = refusal(Bare);
      expect(message).to.match(/^Bare \(wanted by GET \/\) is an undecorated constructor with 1 parameter/);
      expect(message).to.contain('parameter #0 "mail"').and.to.contain('add @injectable() to Bare');
      expect(message)
        .to.contain('emitDecoratorMetadata')
        .and.to.contain('tsx')
        .and.to.contain('@inject(token)');
    });

    it('but not one whose parameters all have tokens, where the compiler emits no metadata', () => {
      class Named {
        constructor(
          readonly name: string,
          readonly context: Context,
        ) {}
      }
      inject('name')(Named, undefined, 0);
      const half = refusal(Named);
      expect(half).to.contain('emitDecoratorMetadata');
      inject(Context)(Named, undefined, 1);
      const injection = make();
      injection.container.register('name', { useValue: 'ann' });
      expect(injection.provider(Named, 'GET /').resolve(scope()).name).to.equal('ann');
    });

    it('a parameter of a type that is gone at run time', () => {
      interface Mail {
        send(): void;
      }
      class Clock {}
      @injectable()
      class Post {
        constructor(
          readonly clock: Clock,
          readonly mail: Mail,
        ) {}
      }
      @injectable()
      class Rest {
        constructor(readonly post: Post) {}
      }
      const message = refusal(Rest);
      expect(message).to.match(
        /^parameter #1 "mail" of the constructor of Post \(Rest -> Post, wanted by GET \/\) has no type/,
      );
      expect(message).to.contain('@inject(token)').and.to.contain('import type').and.to.contain('delay(');
    });

    it('a circle, with the chain', () => {
      class Hen {
        constructor(readonly egg: unknown) {}
      }
      class Egg {
        constructor(readonly hen: unknown) {}
      }
      inject(Egg)(Hen, undefined, 0);
      inject(Hen)(Egg, undefined, 0);
      expect(refusal(Hen)).to.match(
        /^circular dependency Hen -> Egg -> Hen at parameter #0 "hen" of .* Egg /,
      );
    });

    it('but not a circle that delay() breaks', () => {
      class Hen {
        constructor(readonly egg: Egg) {}
      }
      class Egg {
        constructor(readonly hen: Hen) {}
      }
      inject(Egg)(Hen, undefined, 0);
      inject(delay(() => Hen))(Egg, undefined, 0);
      expect(make().provider(Hen, 'GET /').instance?.egg.hen.egg).to.be.instanceOf(Egg);
    });

    it('a token that is not registered', () => {
      @injectable()
      class Rest {
        constructor(@inject('mailer') readonly mailer: unknown) {}
      }
      expect(refusal(Rest)).to.match(
        /^parameter #0 "mailer" of the constructor of Rest \(wanted by GET \/\) asks for the token "mailer", which/,
      );
    });
  });
});

function make(parent: DependencyContainer = globalContainer.createChildContainer()): Injection {
  return new Injection(parent);
}

function aContext(): Context {
  return Object.create(Context.prototype) as Context;
}

function scope(): Scope {
  return new Scope(aContext());
}

function refusal(target: Class, injection = make()): string {
  try {
    injection.provider(target, 'GET /');
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigurationError);
    return (error as Error).message;
  }
  throw new Error(`${target.name} was not refused`);
}

function held(container: DependencyContainer): number {
  return (container as unknown as { disposables: Set<unknown> }).disposables.size;
}

function mark(_target: unknown): void {}
