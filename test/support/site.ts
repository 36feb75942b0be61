import { once } from 'node:events';
import {
  Connections,
  Controller,
  Get,
  HttpError,
  Post,
  Session,
  sessions,
  Signal,
  Socket,
  UseMiddleware,
  WebSocket,
  type Middleware,
  type SessionOptions,
  type SessionRecord,
  type SessionStore,
} from 'coequal';
import { setImmediate as turn } from 'node:timers/promises';
import type { ServeOptions, TestServer } from 'coequal/testing';
import { Everywhere } from './doors.js';

/** What the sessions of the site hold. */
export interface Held {
  user: { id: string };
  count: number;
  cart: string[];
}

/** A store that a test can look into, slow enough that what comes at once meets in it. */
export class Shelf implements SessionStore {
  readonly records = new Map<string, string>();

  async get(key: string): Promise<SessionRecord | undefined> {
    await turn();
    const text = this.records.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as SessionRecord);
  }

  async set(key: string, record: SessionRecord): Promise<void> {
    const text = JSON.stringify(record);
    await turn();
    this.records.set(key, text);
  }

  async delete(key: string): Promise<void> {
    await turn();
    this.records.delete(key);
  }

  /** What is kept, as it is: there is one session. */
  only(): SessionRecord {
    return JSON.parse(this.records.get(this.keys[0] ?? '') ?? '') as SessionRecord;
  }

  /** The keys of the sessions that have not ended: what ended has left a mark. */
  get keys(): string[] {
    return [...this.records.keys()].filter((key) => !key.endsWith('.ended'));
  }

  /** Makes all sessions older, as if the time had passed. */
  age({ created = 0, seen = 0 }: { created?: number; seen?: number }): void {
    for (const [key, text] of this.records) {
      const record = JSON.parse(text) as SessionRecord;
      record.created -= created;
      record.seen -= seen;
      this.records.set(key, JSON.stringify(record));
    }
  }
}

const signedIn: Middleware = async (ctx, next) => {
  const user = (ctx.session as Session<Held>).get('user');
  if (user === undefined) throw new HttpError(401, 'Sign in first');
  ctx.user = user;
  await next();
};

/** A site with a sign-in, whose pages, streams and sockets use the session. */
@Controller()
export class Site {
  constructor(private readonly connections: Connections) {}

  @Post('/visit')
  async visit(@Session() session: Session<Held>) {
    await session.set('cart', ['tea']);
  }

  @Post('/sign-in')
  async signIn(@Session() session: Session<Held>) {
    await session.regenerate({ keep: ['cart', 'count'] });
    await session.set('user', { id: 'ada' });
    return { id: session.id, cart: session.get('cart') };
  }

  @Post('/sign-out')
  async signOut(@Session() session: Session<Held>) {
    const { id } = session;
    await session.destroy();
    return { id, exists: session.exists, late: this.connections.send('ada', 'late') };
  }

  @Get('/look')
  look(@Session() session: Session<Held>) {
    return { exists: session.exists, cart: session.get('cart') ?? null };
  }

  @Post('/count')
  @UseMiddleware(signedIn)
  add(@Session() session: Session<Held>) {
    return count(session);
  }

  @WebSocket('/count')
  @UseMiddleware(signedIn)
  async counts(@Socket() socket: Socket<string>, @Session() session: Session<Held>) {
    for await (const message of socket) {
      if (message === 'add') await count(session);
      socket.send({ count: session.get('count') ?? 0 });
    }
  }

  @Everywhere('/me')
  @UseMiddleware(signedIn)
  async *me(@Session() session: Session<Held>, @Signal() signal: AbortSignal) {
    yield { user: session.get('user')?.id };
    await once(signal, 'abort');
  }
}

/** Serves a site with sessions, behind the middleware that `options` name. */
export function siteOf(
  serve: (options: ServeOptions) => TestServer,
  options: SessionOptions = {},
  more: Partial<ServeOptions> = {},
): Visitor {
  const { middleware = [], ...rest } = more;
  return new Visitor(serve({ controllers: [Site], middleware: [sessions(options), ...middleware], ...rest }));
}

/** A browser of one visitor, as far as cookies go. */
export class Visitor {
  cookie: string | undefined = undefined;
  /** The last `Set-Cookie` fields. */
  given: string[] = [];

  constructor(readonly server: TestServer) {}

  /** Another visitor of the same site. */
  another(cookie?: string): Visitor {
    const other = new Visitor(this.server);
    other.cookie = cookie;
    return other;
  }

  async headers(): Promise<Record<string, string>> {
    const origin = await this.server.url();
    return this.cookie === undefined ? { origin } : { origin, cookie: this.cookie };
  }

  async get(path: string): Promise<Response> {
    return this.#keep(await this.server.fetch(path, { headers: await this.headers() }));
  }

  async post(path: string): Promise<Response> {
    return this.#keep(await this.server.fetch(path, { method: 'POST', headers: await this.headers() }));
  }

  async socket(path: string) {
    return this.server.socket(path, { headers: await this.headers() });
  }

  async sse(path: string) {
    return this.server.sse(path, { headers: await this.headers() });
  }

  #keep(response: Response): Response {
    this.given = response.headers.getSetCookie();
    for (const field of this.given) {
      const [pair = ''] = field.split(';');
      this.cookie = pair.endsWith('=') ? undefined : pair;
    }
    return response;
  }
}

async function count(session: Session<Held>): Promise<number | undefined> {
  await session.update((data) => {
    data.count = (data.count ?? 0) + 1;
  });
  return session.get('count');
}
