import { expect } from 'chai';
import {
  ConfigurationError,
  connect,
  Controller,
  createApp,
  defineChannel,
  param,
  Rpc,
  sessions,
  WebSocket,
  type AppOptions,
} from 'coequal';
import { classValidator } from 'coequal/class-validator';
import { files } from 'coequal/files';
import { refusal } from '../support/refusal.js';

describe('the options of an application', () => {
  it('have no misspelt names', () => {
    expect(refusal({ controllers: [], middlewares: [] } as AppOptions)).to.match(
      /^createApp: there is no option `middlewares`; there are controllers, middleware, /,
    );
    expect(refusal({ controllers: [], limits: { bodies: 1 } } as AppOptions)).to.match(
      /^createApp, limits: there is no option `bodies`; there are body, message, /,
    );
    expect(refusal({ controllers: [], timeouts: { handlers: 1 } } as AppOptions)).to.match(
      /^createApp, timeouts: there is no option `handlers`; there are headers, /,
    );
  });

  it('name the controllers', () => {
    expect(refusal({ controllers: undefined } as unknown as AppOptions)).to.equal(
      'createApp: `controllers` is missing: give the list of controller classes',
    );
    expect(() => createApp(undefined as unknown as AppOptions)).to.throw(ConfigurationError, 'createApp');
  });

  for (const value of [0, -1, Number.NaN, '64', null]) {
    it(`have limits and times above zero, and ${typeof value} ${String(value)} is none`, () => {
      const wrong = value as number;
      const told = `takes a positive number, not ${typeof value === 'string' ? `'${value}'` : String(value)}`;
      expect(refusal({ controllers: [], limits: { message: wrong } })).to.equal(
        `createApp, limits: message ${told}`,
      );
      expect(refusal({ controllers: [], timeouts: { close: wrong } })).to.equal(
        `createApp, timeouts: close ${told}`,
      );
      expect(refusal({ controllers: [], heartbeat: wrong })).to.equal(`createApp: heartbeat ${told}`);
    });
  }

  for (const origins of [
    'https://a.example',
    ['a.example'],
    ['https://a.example/'],
    ['https://A.example'],
    ['*'],
    7,
  ]) {
    it(`name origins as browsers send them, unlike ${JSON.stringify(origins)}`, () => {
      const wrong = origins as readonly string[];
      const told = `origins takes 'same-origin', '*', a function, or a list of origins such as 'https://example.com', not `;
      const shown = JSON.stringify(Array.isArray(origins) ? origins[0] : origins);
      expect(refusal({ controllers: [], origins: wrong })).to.equal(`createApp: ${told}${shown}`);
      @Controller()
      class Rest {
        @WebSocket('/', { origins: wrong })
        open() {}
      }
      expect(refusal([Rest])).to.equal(`Rest.open: ${told}${shown}`);
    });
  }

  it('take every form of origins that can be meant', () => {
    const forms: AppOptions['origins'][] = [
      'same-origin',
      '*',
      () => true,
      [],
      ['https://a.example', 'http://localhost:5173', 'capacitor://localhost', 'null'],
    ];
    for (const origins of forms) expect(() => createApp({ controllers: [], origins })).not.to.throw();
  });

  it('name proxies by addresses', () => {
    expect(refusal({ controllers: [], trustProxy: 'the proxy' })).to.match(
      /^createApp: trustProxy .*the proxy/,
    );
  });
});

describe('an option at any level', () => {
  class Rest {
    show() {}
  }
  const of = (decorator: MethodDecorator): void => decorator(Rest.prototype, 'show', {}) as undefined;
  const wrong: [told: string, () => unknown][] = [
    ['sessions, cookie: there is no option `maxage`', () => sessions({ cookie: { maxage: 1 } as never })],
    ["sessions, cookie: sameSite takes 'lax', ", () => sessions({ cookie: { sameSite: 'Lax' as never } })],
    ['sessions, cookie: secure takes true or false', () => sessions({ cookie: { secure: 'no' as never } })],
    ['sessions: cookie takes the options of its cookie', () => sessions({ cookie: 'sid' as never })],
    ["sessions: idle takes a positive number, not '30m'", () => sessions({ idle: '30m' as never })],
    [
      'sessions: store takes a store, with get(), set(), delete()',
      () => sessions({ store: new Map([]).keys() as never }),
    ],
    [
      'sessions: sameOrigin takes true, false or a list',
      () => sessions({ sameOrigin: 'https://a.example' as never }),
    ],
    ['sessions takes an object of options', () => sessions(30 as never)],
    [
      "defineChannel('x'), history: there is no option `message`",
      () => defineChannel('x', { history: { message: 1 } as never }),
    ],
    [
      "defineChannel('x'), history: age takes a number from 0",
      () => defineChannel('x', { history: { age: '1h' as never } }),
    ],
    [
      "defineChannel('x'): overflow takes 'close', 'drop-oldest' or conflate(key)",
      () => defineChannel('x', { overflow: 'drop' as never }),
    ],
    [
      "defineChannel('x'): presence takes a function (user)",
      () => defineChannel('x', { presence: true as never }),
    ],
    ["defineChannel('x'): schema takes a Standard Schema", () => defineChannel('x', { schema: {} as never })],
    [
      "Rest.show: @WebSocket('/x'): rate takes a positive number, not '5'",
      () => of(WebSocket('/x', { rate: '5' as never })),
    ],
    [
      "Rest.show: @WebSocket('/x'): protocols takes a list of texts",
      () => of(WebSocket('/x', { protocols: 'chat' as never })),
    ],
    [
      "Rest.show: @WebSocket('/x'): codec takes a codec, with encode(), decode()",
      () => of(WebSocket('/x', { codec: JSON as never })),
    ],
    ["Rest.show: @Rpc('x'): concurrent takes true or false", () => of(Rpc('x', { concurrent: 2 as never }))],
    ["Rest: @Controller('/x'): host takes a host", () => Controller('/x', { host: ['a'] as never })(Rest)],
    ['files: there is no option `maxage`', () => files('.', { maxage: 1 } as never)],
    ["files: maxAge takes a number of seconds, not '1d'", () => files('.', { maxAge: '1d' as never })],
    ['classValidator: there is no option `whiteList`', () => classValidator({ whiteList: false } as never)],
    ["param('Plan'): there is no option `kind`", () => param('Plan', () => 1, { kind: ['http'] } as never)],
    [
      "param('Plan'): kinds takes a list of 'http', 'sse', 'websocket'",
      () => param('Plan', () => 1, { kinds: ['ws' as never] }),
    ],
    ["param('Plan') takes a function (ctx, …args), not 1", () => param('Plan', 1 as never)],
    [
      'createApp, perMessageDeflate: there is no option `treshold`',
      () => createApp({ controllers: [], perMessageDeflate: { treshold: 1 } as never }),
    ],
    ['createApp: broker takes a broker', () => createApp({ controllers: [], broker: {} as never })],
    ['connect takes Express middleware (req, res, next), not undefined', () => connect(undefined as never)],
    [
      'connect(failed): error middleware (err, req, res, next) is never called',
      () => connect(function failed(_err: never, _req: unknown, _res: never, _next: never) {} as never),
    ],
  ];
  for (const [told, make] of wrong) {
    it(`is refused where it is unknown or of another type: ${told}`, () => {
      expect(make).to.throw(ConfigurationError, told);
    });
  }

  it('is refused by close(), too', async () => {
    const app = createApp({ controllers: [] });
    const error = await app.close({ timeout: 5 } as never).catch((failed: unknown) => failed as Error);
    expect((error as Error).message).to.equal('close: there is no option `timeout`; there are grace');
    await app.close({ grace: 0 });
  });
});
