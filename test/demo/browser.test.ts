import { expect } from 'chai';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { serve, type TestServer } from 'coequal/testing';
import { floor } from '../../src/demo/floor.js';
import { startChromium } from '../support/chromium.js';

describe('the page of the trading floor, in Chromium', function () {
  this.timeout(30_000);
  let browser: Browser | undefined;
  let server: TestServer;
  let url: string;
  const contexts: BrowserContext[] = [];
  const complaints: string[] = [];

  before(async function () {
    browser = await startChromium(this);
    server = serve({ ...floor, logger: false });
    url = await server.url();
  });

  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    expect(complaints.splice(0)).to.deep.equal([]);
  });

  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** A browser of its own: cookies are shared by its tabs, and by no other's. */
  async function visitor(): Promise<Page> {
    const context = await (browser as Browser).newContext({ viewport: { width: 1_360, height: 900 } });
    contexts.push(context);
    return tab(context);
  }

  async function tab(context: BrowserContext): Promise<Page> {
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // The browser itself tells of every answer above 399 and of every connection that is lost.
      if (
        message.type() === 'error' &&
        !/Failed to load resource|WebSocket connection/.test(message.text())
      ) {
        complaints.push(message.text());
      }
    });
    await page.goto(url);
    return page;
  }

  async function signIn(page: Page, name: string): Promise<void> {
    await page.getByTestId('name').fill(name);
    await page.getByTestId('password').fill('floor');
    await page.getByTestId('enter').click();
    await page.getByTestId('floor').waitFor();
  }

  async function live(page: Page, kind: string): Promise<void> {
    await page.locator(`#status[data-state=open][data-kind=${kind}]`).waitFor();
  }

  /** Waits until the number that an element shows is larger than it was. */
  async function grows(page: Page, id: string): Promise<void> {
    const before = await page.getByTestId(id).innerText();
    await page.waitForFunction(
      ([testId, old]) => document.querySelector(`[data-testid=${testId}]`)?.textContent !== old,
      [id, before] as const,
    );
  }

  it('keeps those out who do not know the password, and says so', async () => {
    const page = await visitor();
    await page.getByTestId('name').fill('Ada');
    await page.getByTestId('password').fill('guess');
    await page.getByTestId('enter').click();
    await page.getByTestId('sign-in-error').filter({ hasText: 'wrong' }).waitFor();
    expect(await page.getByTestId('floor').isVisible()).to.equal(false);
  });

  it('refuses a socket to those who have not signed in, by 401 before the upgrade', async () => {
    const page = await visitor();
    // Chromium's words for a 401 in answer to a handshake: a page is not told the status.
    const refused = page.waitForEvent('console', (message) =>
      /HTTP Authentication failed/.test(message.text()),
    );
    const opened = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const socket = new WebSocket(`ws://${location.host}/market/prices`);
          socket.onopen = () => resolve(true);
          socket.onclose = () => resolve(false);
        }),
    );
    expect(opened).to.equal(false);
    await refused;
  });

  it('moves the prices by a socket, and by an event stream when that is chosen', async () => {
    const page = await visitor();
    await signIn(page, 'Ada');
    await live(page, 'websocket');
    await grows(page, 'received');
    await grows(page, 'month');
    await page.getByTestId('kind-sse').check();
    await live(page, 'sse');
    await grows(page, 'month');
  });

  it('lets two browsers talk in a room, one by a call and one by POST', async () => {
    const [ada, grace] = [await visitor(), await visitor()];
    await signIn(ada, 'Ada');
    await signIn(grace, 'Grace');
    await grace.getByTestId('kind-sse').check();
    await live(ada, 'websocket');
    await live(grace, 'sse');
    for (const [from, text] of [
      [ada, 'good morning'],
      [grace, 'and to you'],
    ] as const) {
      await say(from, text);
      for (const page of [ada, grace]) await page.getByTestId('messages').filter({ hasText: text }).waitFor();
    }
    await ada.getByTestId('present').filter({ hasText: 'Grace' }).waitFor();
  });

  it('takes an order over the socket and over HTTP', async () => {
    const page = await visitor();
    await signIn(page, 'Hedy');
    await live(page, 'websocket');
    await grows(page, 'month');
    for (const [door, by] of [
      ['order-socket', 'the socket'],
      ['order-http', 'HTTP'],
    ] as const) {
      await page.getByTestId('quantity').fill('3');
      await page.getByTestId(door).click();
      await page
        .getByTestId('order-result')
        .filter({ hasText: `Bought 3 AAPL` })
        .filter({ hasText: by })
        .waitFor();
    }
    await page.getByTestId('positions').filter({ hasText: 'AAPL' }).waitFor();
  });

  for (const kind of ['websocket', 'sse']) {
    it(`comes back by itself when the network of its ${kind} is lost, and misses nothing`, async () => {
      const [ada, grace] = [await visitor(), await visitor()];
      await signIn(ada, 'Ada');
      await signIn(grace, 'Grace');
      await ada.getByTestId(`kind-${kind}`).check();
      await live(ada, kind);
      await live(grace, 'websocket');
      await say(ada, `before, by ${kind}`);
      await ada.getByTestId('messages').getByText(`before, by ${kind}`).waitFor();

      await ada.getByTestId('cut').click();
      await ada.locator('#status[data-state=waiting]').waitFor();
      await say(grace, `did you hear, by ${kind}?`);
      await live(ada, kind);

      await ada.getByTestId('messages').getByText(`did you hear, by ${kind}?`).waitFor();
      expect(await ada.getByTestId('messages').getByText(`before, by ${kind}`).count()).to.equal(1);
      await grows(ada, 'month');
      expect(await ada.getByTestId('skipped').innerText()).to.equal('0');
    });
  }

  it('cuts the other tabs of a visitor who signs out in one', async () => {
    const first = await visitor();
    await signIn(first, 'Alan');
    const second = await tab(first.context());
    await second.getByTestId('floor').waitFor();
    await live(second, 'websocket');
    await first.getByTestId('sign-out').click();
    await second.getByTestId('sign-in').waitFor();
    expect(await second.getByTestId('floor').isVisible()).to.equal(false);
  });

  it('shows an operator who is connected, live, and lets the operator end it', async () => {
    const [grace, alan] = [await visitor(), await visitor()];
    await signIn(grace, 'Grace');
    await signIn(alan, 'Alan');
    await live(alan, 'websocket');
    await grace.getByTestId('operator').click();
    await grace.getByTestId('state').filter({ hasText: 'Live' }).waitFor();
    const row = grace
      .getByTestId('connections')
      .locator('tr')
      .filter({ hasText: 'Alan' })
      .filter({ hasText: '/desk' });
    await row.waitFor();
    await grace.getByTestId('stats').filter({ hasText: 'Conflated' }).waitFor();
    await row.getByRole('button').click();
    await alan.getByTestId('log').filter({ hasText: 'lost, back in' }).waitFor();
  });

  it('fits a narrow screen', async () => {
    const page = await visitor();
    await signIn(page, 'Ada');
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).to.equal(390);
  });

  if (process.env['SCREENSHOT'] === '1') {
    it('looks as docs/demo.png shows', async () => {
      const [ada, grace] = [await visitor(), await visitor()];
      await ada.setViewportSize({ width: 1_360, height: 850 });
      await signIn(ada, 'Ada');
      await signIn(grace, 'Grace');
      await grace.getByTestId('pace').selectOption('8');
      for (const symbol of ['GOOG', 'IBM', 'AMZN']) {
        await ada.getByTestId(`tile-${symbol}`).click();
        await ada.getByTestId(`price-${symbol}`).filter({ hasText: '$' }).waitFor();
        await ada.getByTestId(symbol === 'IBM' ? 'order-socket' : 'order-http').click();
        await ada.getByTestId('order-result').filter({ hasText: symbol }).waitFor();
      }
      await grace.getByTestId('tile-AMZN').click();
      await say(ada, 'Books over the internet. Will that last?');
      await grace.getByTestId('messages').getByText('Will that last?').waitFor();
      await say(grace, 'Watch it for ten years and tell me.');
      await ada.getByTestId('messages').getByText('tell me').waitFor();
      await ada.waitForFunction(() => document.querySelector('#month')?.textContent?.endsWith('2009'));
      await ada.screenshot({ path: 'docs/demo.png' });
    });
  }
});

async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId('say').fill(text);
  await page.getByTestId('say-button').click();
}
