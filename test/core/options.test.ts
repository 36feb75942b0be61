import { expect } from 'chai';
import { ConfigurationError, Controller, createApp, WebSocket, type AppOptions } from 'coequal';
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
      const told = `takes a positive number, not ${String(value)}`;
      expect(refusal({ controllers: [], limits: { message: wrong } })).to.equal(`createApp: message ${told}`);
      expect(refusal({ controllers: [], timeouts: { close: wrong } })).to.equal(`createApp: close ${told}`);
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
