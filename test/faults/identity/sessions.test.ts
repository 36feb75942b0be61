import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Connections, Controller, Post, Rpc, Session, sessions, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { doors } from '../../support/doors.js';
import { HANDSHAKE, RawClient, type RawAnswer } from '../../support/raw-client.js';
import { Shelf, Site, Visitor } from '../../support/site.js';

const NAME = '__Host-session';
const UNAUTHORIZED = { title: 'Unauthorized', status: 401, code: 'UNAUTHORIZED', detail: 'Sign in first' };

/** A socket that anybody may open. */
@Controller()
class Lobby {
  @WebSocket('/lobby') open(): void {}
  @Rpc('whose') @Post('/whose') whose(@Session() session: Session<{ user: unknown }>) {
    return session.get('user') ?? null;
  }
}

/** What a thief has: the token, and the key by which the store knows it. */
interface Loot {
  token: string;
  key: string;
}

/** Fields that are no proof of a session, though something in them once was. */
const useless: [name: string, lines: (loot: Loot) => string[]][] = [
  ['in no cookie', () => []],
  ['in another cookie', ({ token }) => [`Cookie: session=${token}`]],
  ['in a cookie of other letters', ({ token }) => [`Cookie: __host-session=${token}`]],
  ['in a cookie that has the name within', ({ token }) => [`Cookie: x${NAME}=${token}`]],
  ['in a value of another', ({ token }) => [`Cookie: a="${NAME}=${token}"`]],
  ['in quotes that do not end', ({ token }) => [`Cookie: ${NAME}="${token}`]],
  ['behind another of that name', ({ token }) => [`Cookie: ${NAME}=x; ${NAME}=${token}`]],
  ['behind an empty one of that name', ({ token }) => [`Cookie: ${NAME}=; ${NAME}=${token}`]],
  ['in a second field', ({ token }) => [`Cookie: ${NAME}=x`, `Cookie: ${NAME}=${token}`]],
  ['as the key of the store', ({ key }) => [`Cookie: ${NAME}=${key}`]],
  ['without its end', ({ token }) => [`Cookie: ${NAME}=${token.slice(0, -1)}`]],
  ['with more at its end', ({ token }) => [`Cookie: ${NAME}=${token}A`]],
  ['with padding', ({ token }) => [`Cookie: ${NAME}=${token}=`]],
  ['in other letters', ({ token }) => [`Cookie: ${NAME}=${swapped(token)}`]],
  ['the other way round', ({ token }) => [`Cookie: ${NAME}=${Array.from(token).reverse().join('')}`]],
  ['with a break behind it', ({ token }) => [`Cookie: ${NAME}=${token}%0d%0a`]],
  ['with a NUL behind it', ({ token }) => [`Cookie: ${NAME}=${token}%00`]],
  ['escaped twice', ({ token }) => [`Cookie: ${NAME}=%25${hex(token)}${token.slice(1)}`]],
  ['as JSON', ({ token }) => [`Cookie: ${NAME}=j:{"token":"${token}"}`]],
  ['as a list', ({ token }) => [`Cookie: ${NAME}[]=${token}`]],
  ['in Authorization', ({ token }) => [`Authorization: Bearer ${token}`]],
  ['in X-Session', ({ token }) => [`X-Session: ${token}`]],
  ['in Cookie2', ({ token }) => [`Cookie2: ${NAME}=${token}`]],
  ['in Set-Cookie', ({ token }) => [`Set-Cookie: ${NAME}=${token}`]],
  ['as a name that objects inherit', () => [`Cookie: ${NAME}=__proto__`]],
  ['as a path', () => [`Cookie: ${NAME}=../../../../../../etc/passwd`]],
  ['as a very long one', () => [`Cookie: ${NAME}=${'A'.repeat(8_000)}`]],
];

describe('Identity', () => {
  describe('sessions that prove nothing', () => {
    const shelf = new Shelf();
    const suite = mistreated({ controllers: [Site], middleware: [sessions({ store: shelf })] });

    const signIn = async (): Promise<Loot> => {
      shelf.records.clear();
      const visitor = new Visitor(suite.server);
      await visitor.post('/sign-in');
      const token = visitor.cookie?.slice(NAME.length + 1) ?? '';
      return { token, key: createHash('sha256').update(token).digest('base64url') };
    };

    /** The answer to each way of asking who one is. */
    const answers = async (lines: string[]): Promise<[string, RawAnswer][]> => {
      const url = await suite.server.url();
      const ways: [string, string[]][] = [
        ['GET', ['GET /me HTTP/1.1', 'Connection: close']],
        ['HEAD', ['HEAD /me HTTP/1.1', 'Connection: close']],
        ['SSE', ['GET /me HTTP/1.1', 'Connection: close', 'Accept: text/event-stream']],
        [
          'a resumed stream',
          ['GET /me HTTP/1.1', 'Connection: close', 'Accept: text/event-stream', 'Last-Event-ID: 1'],
        ],
        ['POST', ['POST /count HTTP/1.1', 'Connection: close', 'Content-Length: 0']],
        ['a socket', ['GET /me HTTP/1.1', ...HANDSHAKE.slice(1)]],
        ['another socket', ['GET /count?lastEventId=1 HTTP/1.1', ...HANDSHAKE.slice(1)]],
      ];
      return Promise.all(
        ways.map(async ([name, [line = '', ...fields]]): Promise<[string, RawAnswer]> => {
          const client = await RawClient.connect(url);
          client.head(line, `Host: ${new URL(url).host}`, `Origin: ${url}`, ...fields, ...lines);
          const opening = await client.opening();
          if (opening.status >= 400) return [name, await client.answer()];
          client.reset();
          return [name, opening];
        }),
      );
    };

    const isRefused = async (lines: string[]): Promise<void> => {
      for (const [name, { status, headers, body }] of await answers(lines)) {
        expect(status, name).to.equal(401);
        expect(headers, name).not.to.have.property('set-cookie');
        expect(headers['content-type'], name).to.equal('application/problem+json');
        if (name === 'HEAD') continue;
        const { requestId, ...problem } = JSON.parse(body) as Record<string, unknown>;
        expect(requestId, name).to.be.a('string');
        expect(problem, name).to.deep.equal(UNAUTHORIZED);
      }
      expect(suite.server.app.stats().connections).to.include({ sse: 0, websocket: 1 });
    };

    for (const [name, lines] of useless) {
      suite.holds(`are the same 401 for whatever asks, where the token comes ${name}`, async () => {
        await isRefused(lines(await signIn()));
      });
    }

    const ended: [name: string, end: (loot: Loot, visitor: Visitor) => unknown][] = [
      ['signed out', (_loot, visitor) => visitor.post('/sign-out')],
      ['replaced at sign-in', (_loot, visitor) => visitor.post('/sign-in')],
      ['gone from the store', ({ key }) => shelf.records.delete(key)],
      ['idle for too long', () => shelf.age({ seen: 1_800_000 })],
      ['too old, though it was used just now', () => shelf.age({ created: 43_200_000 })],
    ];
    for (const [name, end] of ended) {
      suite.holds(`are the same 401 for whatever asks, where the session is ${name}`, async () => {
        const loot = await signIn();
        const thief = new Visitor(suite.server);
        thief.cookie = `${NAME}=${loot.token}`;
        expect((await thief.post('/count')).status, 'until then').to.equal(200);
        await end(loot, thief.another(thief.cookie));
        await isRefused([`Cookie: ${NAME}=${loot.token}`]);
      });
    }

    suite.holds('are unlike those that do: the token in its cookie lets every way in', async () => {
      const { token } = await signIn();
      for (const value of [token, `%${hex(token)}${token.slice(1)}`]) {
        for (const [name, { status }] of await answers([`Cookie: a=b; ${NAME}=${value}`])) {
          expect([101, 200], `${name} ${value}`).to.include(status);
        }
      }
    });
  });

  describe('sessions that an attacker has planted', () => {
    const shelf = new Shelf();
    const suite = mistreated({ controllers: [Site, Lobby], middleware: [sessions({ store: shelf })] });

    beforeEach(() => shelf.records.clear());

    suite.holds('are replaced at sign-in, and open nothing of the victim', async () => {
      const attacker = new Visitor(suite.server);
      await attacker.post('/visit');
      const planted = attacker.cookie;
      const victim = attacker.another(planted);
      await victim.post('/sign-in');
      expect(victim.cookie).to.be.a('string').that.is.not.equal(planted);
      for (const door of doors) {
        const visit = await door.open(suite.server, '/me', await attacker.another(planted).headers());
        expect(visit.status, door.kind).to.equal(401);
      }
      expect(await (await attacker.another(planted).post('/whose')).json()).to.equal(null);
      expect(await (await victim.post('/whose')).json()).to.deep.equal({ id: 'ada' });
    });

    suite.holds('have their sockets closed at sign-in, so that none rides along', async () => {
      const attacker = new Visitor(suite.server);
      await attacker.post('/visit');
      const socket = await attacker.socket('/lobby');
      socket.send({ jsonrpc: '2.0', method: 'whose', id: 1 });
      expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: null });
      const victim = attacker.another(attacker.cookie);
      await victim.post('/sign-in');
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'signed in anew' });
      const open = [...suite.server.app.container.resolve(Connections)];
      expect(open.filter(({ context }) => context.path === '/lobby')).to.deep.equal([]);
    });

    for (const [name, made] of [
      ['of the right form', randomBytes(32).toString('base64url')],
      ['of zeros', 'A'.repeat(43)],
      ['of another form', 'planted'],
    ] as const) {
      suite.holds(`are no sessions where they are made up: an id ${name} is not taken over`, async () => {
        for (const path of ['/visit', '/sign-in']) {
          shelf.records.clear();
          const victim = new Visitor(suite.server);
          victim.cookie = `${NAME}=${made}`;
          expect((await victim.post(path)).ok).to.equal(true);
          expect(victim.cookie)
            .to.match(/^__Host-session=[\w-]{43}$/)
            .and.not.include(made);
          const key = createHash('sha256').update(made).digest('base64url');
          expect([...shelf.records.keys()])
            .to.have.length(1)
            .and.not.include(key);
        }
      });
    }
  });
});

function hex(token: string): string {
  return token.charCodeAt(0).toString(16);
}

function swapped(text: string): string {
  return text.replace(/[a-z]/gi, (letter) =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  );
}
