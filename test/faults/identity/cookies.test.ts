import { expect } from 'chai';
import {
  Controller,
  HttpError,
  Post,
  sessions,
  Session,
  UseMiddleware,
  type Context,
  type Middleware,
} from 'coequal';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { asks, doors, Everywhere, type Door } from '../../support/doors.js';
import { RawClient } from '../../support/raw-client.js';

const state = { set: (_ctx: Context): unknown => undefined, thrown: undefined as unknown, ran: 0 };
const INJECTED = 'x-injected';

/** What an author must not be able to make of a cookie; the middleware hears of it as well. */
const attempt: Middleware = async (ctx, next) => {
  try {
    await state.set(ctx);
  } catch (error) {
    state.thrown = error;
    throw error;
  }
  await next();
};

@Controller()
class Baker {
  @Everywhere('/bake')
  @UseMiddleware(attempt)
  bake() {
    state.ran++;
    return { baked: true };
  }
  @Post('/bake')
  @UseMiddleware(attempt)
  post() {
    return { baked: true };
  }
  @Post('/keep')
  async keep(@Session() session: Session<{ a: string }>) {
    await session.set('a', `\r\n${INJECTED}: 1; Secure`.repeat(1_000));
  }
}

const BREAK = `\r\n${INJECTED}: 1\r\n\r\n<script>`;

const asIs = (value: string): string => value;

/** Cookies that are refused when they are set. */
const refused: [name: string, set: (ctx: Context) => unknown][] = [
  ['a name with CR and LF', (ctx) => ctx.setCookie(`a${BREAK}`, 'b')],
  ['a name with CR', (ctx) => ctx.setCookie('a\rb', 'c')],
  ['a name with LF', (ctx) => ctx.setCookie('a\nb', 'c')],
  ['a name with NUL', (ctx) => ctx.setCookie('a\0b', 'c')],
  ['a name with a semicolon', (ctx) => ctx.setCookie('a;b', 'c')],
  ['a name with an equals sign', (ctx) => ctx.setCookie('a=b', 'c')],
  ['a name with a space', (ctx) => ctx.setCookie('a b', 'c')],
  ['a name with a tab', (ctx) => ctx.setCookie('a\tb', 'c')],
  ['a name beyond ASCII', (ctx) => ctx.setCookie('\u0161', 'c')],
  ['an empty name', (ctx) => ctx.setCookie('', 'c')],
  ['a value with CR and LF, not encoded', (ctx) => ctx.setCookie('a', `b${BREAK}`, { encode: asIs })],
  ['a value with a semicolon, not encoded', (ctx) => ctx.setCookie('a', 'b; Domain=x', { encode: asIs })],
  ['a value beyond Latin-1, not encoded', (ctx) => ctx.setCookie('a', '\u010d\u010a', { encode: asIs })],
  ['a path with CR and LF', (ctx) => ctx.setCookie('a', 'b', { path: `/${BREAK}` })],
  ['a path with a semicolon', (ctx) => ctx.setCookie('a', 'b', { path: '/; Domain=evil.example' })],
  ['a domain with CR and LF', (ctx) => ctx.setCookie('a', 'b', { domain: `x${BREAK}` })],
  ['a domain with a semicolon', (ctx) => ctx.setCookie('a', 'b', { domain: 'x; Path=/' })],
  ['a domain beyond ASCII', (ctx) => ctx.setCookie('a', 'b', { domain: '\u010a.example' })],
  ['a lifetime that is no number', (ctx) => ctx.setCookie('a', 'b', { maxAge: Number.NaN })],
  ['a lifetime that is text', (ctx) => ctx.setCookie('a', 'b', { maxAge: BREAK as never })],
  ['a date that is none', (ctx) => ctx.setCookie('a', 'b', { expires: new Date(Number.NaN) })],
  ['a priority that is none', (ctx) => ctx.setCookie('a', 'b', { priority: BREAK as never })],
  ['a SameSite that is none', (ctx) => ctx.setCookie('a', 'b', { sameSite: BREAK as never })],
  ['4,097 bytes in all', (ctx) => ctx.setCookie('a', sized(4_097))],
  ['too many bytes once they are encoded', (ctx) => ctx.setCookie('a', '\u20ac'.repeat(500))],
  ['too many bytes of its path', (ctx) => ctx.setCookie('a', 'b', { path: `/${'x'.repeat(4_096)}` })],
  ['a field with CR and LF', (ctx) => ctx.setHeader('set-cookie', `a=b${BREAK}`)],
  ['a list of fields with CR and LF', (ctx) => ctx.setHeader('set-cookie', ['a=b', `c=d${BREAK}`])],
  ['a field with LF that is added', (ctx) => ctx.appendHeader('set-cookie', `a=b\n${INJECTED}: 1`)],
  ['a field with CR that is added', (ctx) => ctx.appendHeader('set-cookie', `a=b\r${INJECTED}: 1`)],
  [
    'a field beyond Latin-1, whose low bytes are CR and LF',
    (ctx) => ctx.setHeader('set-cookie', `a=b\u010d\u010a${INJECTED}: 1`),
  ],
  ['a header whose name has CR and LF', (ctx) => ctx.setHeader(`x${BREAK}`, 'b')],
];

describe('Identity', () => {
  beforeEach(() => void Object.assign(state, { thrown: undefined, ran: 0 }));

  describe('cookies', () => {
    const suite = mistreated({
      controllers: [Baker],
      middleware: [sessions({ sameOrigin: false, cookie: { name: 'sid', secure: false } })],
    });

    for (const [name, set] of refused) {
      for (const door of doors) {
        suite.holds(`with ${name} are a TypeError and a 500 (${door.kind})`, async () => {
          state.set = set;
          const { head, status } = await knock(suite, door);
          expect(state.thrown).to.be.instanceOf(TypeError);
          expect(status).to.equal(500);
          expect(head.toLowerCase()).not.to.include(INJECTED).and.not.include('set-cookie');
          expect(head).not.to.include('<script>');
          expect(state.ran).to.equal(0);
          expect(suite.log.at('error')).to.have.length(1);
        });
      }
    }

    for (const door of doors) {
      suite.holds(`have their values encoded, so that nothing breaks out (${door.kind})`, async () => {
        state.set = (ctx) => ctx.setCookie('a', `b${BREAK}; Domain=evil.example\0\u010d\u010a`);
        const { head, status } = await knock(suite, door);
        expect(status).to.equal(door.opened);
        const cookies = head.split('\r\n').filter((line) => /^set-cookie:/i.test(line));
        expect(cookies).to.have.length(1);
        expect(cookies[0]).to.match(/^set-cookie: a=b%0D%0A[^ ;]*; Path=\/; HttpOnly; SameSite=Lax$/i);
        expect(head.toLowerCase()).not.to.match(/^x-injected/m);
      });

      suite.holds(`of 4,096 bytes in all go out (${door.kind})`, async () => {
        state.set = (ctx) => ctx.setCookie('a', sized(4_096));
        const { head, status } = await knock(suite, door);
        expect(status).to.equal(door.opened);
        expect(head).to.include(sized(4_096));
      });

      suite.holds(`of a refusal with CR and LF inject nothing (${door.kind})`, async () => {
        state.set = () => {
          throw new HttpError(401, `no${BREAK}`, { headers: { 'set-cookie': `a=b${BREAK}` } });
        };
        const { head, status } = await knock(suite, door);
        expect(status, 'no status, where the connection is cut').to.be.oneOf([401, 500, 0]);
        expect(head.toLowerCase()).not.to.match(/^x-injected/m);
        expect(state.ran).to.equal(0);
      });
    }

    suite.holds('of a session hold its token alone, whatever it keeps', async () => {
      const answer = await suite.server.fetch('/keep', { method: 'POST' });
      expect(answer.headers.getSetCookie().map((one) => one.replace(/=[\w-]{43};/, '=…;'))).to.deep.equal([
        'sid=…; Path=/; HttpOnly; SameSite=Lax',
      ]);
    });

    const sent: [name: string, lines: string[], statuses: number[]][] = [
      ['a CR', ['Cookie: a=b\rc'], [400]],
      ['a NUL', ['Cookie: a=b\0c'], [400]],
      ['a line that is folded', ['Cookie: a=b', ' c=d'], [400, 200]],
      ['more bytes than a head may have', [`Cookie: a=${'x'.repeat(17_000)}`], [431]],
      ['4,097 bytes', [`Cookie: sid=${'x'.repeat(4_097)}`], [200]],
      ['3,000 pairs', [`Cookie: ${'a=b;'.repeat(3_000)}`], [200]],
      ['nothing but separators', [`Cookie: ${';='.repeat(1_000)}`], [200]],
      [
        'names that objects inherit',
        ['Cookie: __proto__=1; constructor=2; toString=3; sid=__proto__'],
        [200],
      ],
      ['bad escapes', ['Cookie: sid=%; a=%zz; b=%c0%ae'], [200]],
      ['bytes beyond ASCII', ['Cookie: sid=\xff\xfe; \xe9=\xe9'], [200]],
      ['two fields', ['Cookie: sid=a', 'Cookie: sid=b'], [200]],
    ];
    for (const [name, lines, statuses] of sent) {
      suite.holds(`that are sent with ${name} are answered by ${statuses.join(' or ')}`, async () => {
        state.set = () => undefined;
        const { status, head } = await knock(suite, doors[0] as Door, lines);
        expect(statuses).to.include(status);
        expect(head.toLowerCase()).not.to.include('set-cookie');
      });
    }
  });
});

/** A value with which the whole field takes so many bytes. */
function sized(bytes: number): string {
  return 'x'.repeat(bytes - 'a=; Path=/; HttpOnly; SameSite=Lax'.length);
}

/** All that is sent in answer, as it is: a client library would take an injected field for a real one. */
async function knock(
  { server }: Mistreated,
  { kind }: Door,
  lines: readonly string[] = [],
): Promise<{ status: number; head: string }> {
  const client = await RawClient.connect(await server.url());
  const close = kind === 'websocket' ? [] : ['Connection: close'];
  const head = ['GET /bake HTTP/1.1', 'Host: localhost', ...asks[kind], ...close, ...lines, '', ''];
  client.write(Buffer.from(head.join('\r\n'), 'latin1'));
  await client.until((received) => received.includes('\r\n\r\n')).catch(() => undefined);
  const received = client.received.toString('latin1');
  client.reset();
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1] ?? 0);
  return { status, head: received };
}
