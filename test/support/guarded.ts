import {
  Body,
  Channel,
  connect,
  Controller,
  defineChannel,
  Delete,
  HttpError,
  Post,
  Rpc,
  UseMiddleware,
  type Middleware,
} from 'coequal';
import type { ServeOptions } from 'coequal/testing';
import { Everywhere } from './doors.js';

export const SIGNED_IN = 'Authorization: Bearer operator';
export const GUEST = 'Authorization: Bearer guest';

/** How often the guarded methods were run. */
export const ran = { enter: 0, write: 0, remove: 0 };

/** What only operators may read; it keeps what was published, so that one may resume. */
export const Secrets = defineChannel<string>('secrets', { history: 10 });

function check(authorization: string | undefined): void {
  if (authorization === undefined) {
    throw new HttpError(401, 'Sign in first', { headers: { 'www-authenticate': 'Bearer' } });
  }
  if (`Authorization: ${authorization}` !== SIGNED_IN) throw new HttpError(403, 'Operators only');
}

const guard: Middleware = (ctx, next) => {
  check(ctx.headers.authorization);
  return next();
};

function isGuarded(path: string): boolean {
  return path === '/admin' || path.startsWith('/admin/');
}

interface Placement {
  /** Where the guard stands. */
  readonly name: string;
  /** Whether it stands before what no route answers, too. */
  readonly everywhere: boolean;
  options(): ServeOptions;
}

/** The same guard, wherever an author may put it; `/canary` is for everybody. */
export const placements: readonly Placement[] = [
  {
    name: 'the application',
    everywhere: true,
    options: () => ({
      controllers: [adminBehind([], [])],
      middleware: [
        (ctx, next) =>
          ctx.path === '/canary' || ctx.path.startsWith('/canary/') ? next() : guard(ctx, next),
      ],
    }),
  },
  {
    name: 'the application, by path',
    everywhere: false,
    options: () => ({
      controllers: [adminBehind([], [])],
      middleware: [(ctx, next) => (isGuarded(ctx.path) ? guard(ctx, next) : next())],
    }),
  },
  {
    name: 'the application, as Express middleware by path',
    everywhere: false,
    options: () => ({
      controllers: [adminBehind([], [])],
      middleware: [
        connect((request: ExpressRequest, _response: unknown, next: (error?: unknown) => void) => {
          try {
            if (isGuarded(request.path)) check(request.get('authorization'));
            next();
          } catch (error) {
            next(error);
          }
        }),
      ],
    }),
  },
  {
    name: 'the class',
    everywhere: false,
    options: () => ({ controllers: [adminBehind([guard], [])] }),
  },
  {
    name: 'each method',
    everywhere: false,
    options: () => ({ controllers: [adminBehind([], [guard])] }),
  },
];

interface ExpressRequest {
  readonly path: string;
  get(name: string): string | undefined;
}

function adminBehind(ofClass: Middleware[], ofMethod: Middleware[]): new () => object {
  @Controller('/admin')
  @UseMiddleware(...ofClass)
  class Admin {
    @Everywhere()
    @Everywhere('/:id')
    @UseMiddleware(...ofMethod)
    enter(@Channel(Secrets) secrets: Channel<string>) {
      ran.enter++;
      return secrets;
    }

    @Post()
    @Post('/:id')
    @Rpc()
    @UseMiddleware(...ofMethod)
    write(@Body() body: unknown) {
      ran.write++;
      return { wrote: body };
    }

    @Delete()
    @Delete('/:id')
    @UseMiddleware(...ofMethod)
    remove() {
      ran.remove++;
    }
  }
  return Admin;
}
