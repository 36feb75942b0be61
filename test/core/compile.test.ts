import { expect } from 'chai';
import {
  All,
  Attr,
  Controller,
  createApp,
  Get,
  HttpCode,
  Post,
  Rpc,
  Sse,
  Unguarded,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
} from 'coequal';
import { injectable, Lifecycle, scoped, singleton } from 'tsyringe';
import { refusal } from '../support/refusal.js';

const pass = (_ctx: Context, next: Next): unknown => next();

describe('an application refuses to start', () => {
  describe('for routes', () => {
    it('that two methods answer, and names both', () => {
      @Controller('/rooms')
      class Rooms {
        @Get('/:room')
        show() {}
      }
      @Controller()
      class Others {
        @Get('/rooms/:id')
        find() {}
      }
      expect(refusal([Rooms, Others])).to.equal(
        'Others.find and Rooms.show both answer GET /rooms/:id: change the path of one, or remove it',
      );
    });

    for (const [kind, decorate] of [
      ['SSE', Sse],
      ['WebSocket', WebSocket],
    ] as const) {
      it(`of the kind ${kind} that two methods answer`, () => {
        @Controller()
        class Twice {
          @decorate('/a')
          one() {}
          @decorate('/a')
          two() {}
        }
        expect(refusal([Twice])).to.contain(`Twice.two and Twice.one both answer ${kind} /a`);
      });
    }

    it('that one method has twice', () => {
      @Controller()
      class Twice {
        @Get('/a')
        @Get('//a/')
        one() {}
      }
      expect(refusal([Twice])).to.contain('Twice.one and Twice.one both answer GET /a');
    });

    it('of which one answers all methods and the other one of them', () => {
      @Controller()
      class Wide {
        @All('/a')
        all() {}
        @Get('/a')
        one() {}
      }
      expect(refusal([Wide])).to.contain('Wide.one and Wide.all both answer GET /a');
    });

    it('whose path the router cannot read', () => {
      @Controller('/files')
      class Files {
        @Get('/:name(')
        show() {}
      }
      expect(refusal([Files])).to.match(/^Files\.show: the router refuses GET \/files\/:name\(: ./);
    });

    it('on static methods and on symbols', () => {
      const key = Symbol('hidden');
      expect(() => {
        class Fixed {
          @Get()
          static show() {}
        }
        return Fixed;
      }).to.throw('Fixed.show is static: routes are methods of instances');
      expect(() => {
        class Hidden {
          @Get()
          [key]() {}
        }
        return Hidden;
      }).to.throw('Hidden: a route takes a method with a name, not a symbol');
    });

    it('whose kinds take the same path twice only where the kind is the same', () => {
      @Controller('/a')
      class Three {
        @Get()
        get() {}
        @Sse()
        sse() {}
        @WebSocket()
        socket() {}
        @Post()
        post() {}
      }
      expect(
        createApp({ controllers: [Three] })
          .explain()
          .split('\n'),
      ).to.have.lengthOf(5);
    });
  });

  describe('for middleware', () => {
    it('that is undefined, which a circular import often is', () => {
      const missing = undefined as unknown as typeof pass;
      expect(() => {
        @Controller()
        @UseMiddleware(pass, missing)
        class Rooms {}
        return Rooms;
      }).to.throw(
        'Rooms: argument 1 of @UseMiddleware is undefined; it takes functions (ctx, next) and classes with use(ctx, next). ' +
          'An import that is undefined here is often circular',
      );
      expect(() => {
        class Rooms {
          @UseMiddleware(missing)
          show() {}
        }
        return Rooms;
      }).to.throw('Rooms.show: argument 0 of @UseMiddleware is undefined');
    });

    it('of the application that is undefined', () => {
      const missing = undefined as unknown as typeof pass;
      expect(refusal({ controllers: [], middleware: [pass, missing] })).to.match(
        /^the application: undefined is not middleware: /,
      );
    });

    it('that is a class without use()', () => {
      class Guard {}
      @Controller()
      class Rooms {
        @UseMiddleware(Guard as never)
        @Get()
        show() {}
      }
      expect(refusal([Rooms])).to.equal(
        'Rooms.show: Guard is not middleware: a class needs a method use(ctx, next)',
      );
    });

    it('that is Express middleware without connect()', () => {
      const legacy = (_req: unknown, _res: unknown, next: () => void): void => next();
      @Controller()
      class Rooms {
        @UseMiddleware(legacy as never)
        @Get()
        show() {}
      }
      @Controller()
      @UseMiddleware(legacy as never)
      class Cats {}
      const said =
        'legacy takes 3 parameters, as Express middleware (req, res, next) does: write connect(legacy), or give functions (ctx, next)';
      expect(refusal([Rooms])).to.equal(`Rooms.show: ${said}`);
      expect(refusal([Cats])).to.equal(`Cats: ${said}`);
      expect(refusal({ controllers: [], middleware: [legacy as never] })).to.equal(
        `the application: ${said}`,
      );
    });

    it('and for a status or a reason on a method that no request reaches', () => {
      const decorators: MethodDecorator[] = [UseMiddleware(pass), HttpCode(201), Unguarded('open')];
      for (const decorate of decorators) {
        @Controller()
        class Lost {
          @decorate
          save() {}
        }
        expect(refusal([Lost])).to.equal(
          'Lost.save has middleware or a status but no route: add @Get(), @Sse(), @WebSocket() or @Rpc()',
        );
      }
    });

    for (const status of [0, 100, 600, 201.5, Number.NaN]) {
      it(`and for the status ${status}, which no answer can have`, () => {
        @Controller()
        class Odd {
          @HttpCode(status)
          @Get()
          show() {}
        }
        expect(refusal([Odd])).to.equal(
          `Odd.show: @HttpCode takes a whole number from 200 to 599, not ${status}`,
        );
      });
    }
  });

  describe('for calls', () => {
    it('without a socket', () => {
      @Controller()
      class Calls {
        @Post()
        @Rpc('say')
        say() {}
      }
      expect(refusal([Calls])).to.equal(
        "Calls answers calls (@Rpc, 'say') but opens no socket: add a @WebSocket method to the class",
      );
    });

    it('of one name', () => {
      @Controller()
      class Calls {
        @WebSocket()
        open() {}
        @Rpc('say')
        one() {}
        @Rpc('say')
        two() {}
      }
      expect(refusal([Calls])).to.equal(
        "Calls.two: another method of the class has @Rpc('say'): rename one of them",
      );
    });
  });

  describe('for classes', () => {
    it('that are no controllers', () => {
      class Plain {}
      const missing = undefined as unknown as typeof Plain;
      expect(refusal([Plain])).to.equal('Plain is not a controller: decorate the class with @Controller()');
      expect(refusal([Plain, missing])).to.match(/controllers\[1\] is undefined, .*circular/);
    });

    it('with routes that forgot @Controller()', () => {
      class Plain {
        @Get()
        show() {}
      }
      expect(refusal([Plain])).to.contain('Plain is not a controller');
    });

    it('whose constructor takes what nothing is known of', () => {
      class Mail {
        constructor(readonly host: string) {}
      }
      @Controller()
      class Rooms {
        constructor(readonly mail: Mail) {}
      }
      expect(refusal([Rooms])).to.match(
        /^Mail \(wanted by the application\) is an undecorated constructor with 1 parameter, .*parameter #0 "host" first: add @injectable\(\) to Mail/,
      );
    });

    it('that keep a scoped class in a singleton, and tell the chain', () => {
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      @injectable()
      class Store {
        constructor(readonly unit: Unit) {}
      }
      @singleton()
      class Rooms {
        constructor(readonly store: Store) {}
      }
      @Controller()
      class Rest {
        constructor(readonly rooms: Rooms) {}
      }
      expect(refusal([Rest])).to.equal(
        'Rooms -> Store -> Unit (wanted by the application): Rooms lives as long as the application and would keep the ' +
          'Unit of one scope for all others. Make Rooms transient or @scoped(Lifecycle.ContainerScoped), or Unit not scoped',
      );
    });

    it('that keep a scoped class in a singleton of their middleware', () => {
      @scoped(Lifecycle.ContainerScoped)
      class Unit {}
      @singleton()
      class Rooms {
        constructor(readonly unit: Unit) {}
      }
      @injectable()
      class Guard {
        constructor(readonly rooms: Rooms) {}
        use(_ctx: Context, next: Next) {
          return next();
        }
      }
      @Controller()
      class Rest {
        @UseMiddleware(Guard)
        @Get()
        show(@Attr('a') _a: unknown) {}
      }
      expect(refusal([Rest])).to.contain('Rooms -> Unit (wanted by the middleware of Rest.show)');
    });
  });
});
