import { expect } from 'chai';
import { Connections, Controller, Ctx, event, Get, Headers, HttpCode, Sse, type Context } from 'coequal';
import { serve } from 'coequal/testing';
import { RawClient } from '../support/raw-client.js';

let runs = 0;

@Controller()
class Ending {
  @Sse('/count/:to') async *count(@Ctx() { params }: Context) {
    runs++;
    for (let n = 1; n <= Number(params['to']); n++) yield event(n, { id: String(n) });
    await Promise.resolve();
  }
  @Sse('/status') status(@Ctx() ctx: Context) {
    ctx.status = 204;
  }
  @Sse('/code') @HttpCode(204) code() {}
  @Sse('/source') async *source(@Ctx() ctx: Context) {
    ctx.status = 204;
    yield await Promise.resolve('never');
  }
  @Sse('/response') response() {
    return new Response(null, { status: 204 });
  }
  @Sse('/redirect') async redirect() {
    await Promise.resolve();
    return Response.redirect('http://localhost/elsewhere', 303);
  }
  @Sse('/by-hand') byHand() {
    return new Response('event: made\ndata: elsewhere\n\n', {
      headers: { 'content-type': 'text/event-stream', 'x-made': 'by hand' },
    });
  }
  @Sse('/cities') cities(@Headers('last-event-id') last: string = 'none') {
    return event({ last }, { id: 'Zürich…' });
  }
  @Get('/next') next() {
    return 'next';
  }
}

describe('an event stream that ends', () => {
  const server = serve({ controllers: [Ending], logger: false });
  const ask = (path: string, headers: Record<string, string> = {}) =>
    server.fetch(path, { headers: { accept: 'text/event-stream', ...headers }, redirect: 'manual' });
  const open = (): number => server.app.container.resolve(Connections).count;

  beforeEach(() => {
    runs = 0;
  });

  it('stays ended: its last event has an id, and who comes back with it gets a 204', async () => {
    const id = /event: end\nid: (.*)\n/.exec(await (await ask('/count/2')).text())?.[1] ?? '';
    const byField = await ask('/count/2', { 'last-event-id': id });
    const byQuery = await ask(`/count/2?lastEventId=${encodeURIComponent(id)}`);

    expect([byField.status, byQuery.status, byField.headers.get('content-type')]).to.deep.equal([
      204,
      204,
      null,
    ]);
    expect(runs).to.equal(1);
  });

  it('has not ended for another path, nor for the id of an ordinary event', async () => {
    const id = /event: end\nid: (.*)\n/.exec(await (await ask('/count/2')).text())?.[1] ?? '';

    expect((await ask('/count/3', { 'last-event-id': id })).status).to.equal(200);
    expect((await ask('/count/2', { 'last-event-id': '2' })).status).to.equal(200);
    expect(runs).to.equal(3);
  });

  for (const path of ['/status', '/code', '/source', '/response']) {
    it(`answers 204 and keeps the TCP connection for the next request: ${path}`, async () => {
      const client = await RawClient.connect((await server.fetch('/next')).url);
      client.head(`GET ${path} HTTP/1.1`, 'Host: localhost', 'Accept: text/event-stream');
      client.head('GET /next HTTP/1.1', 'Host: localhost', 'Connection: close');
      await client.closed();
      const text = client.received.toString();

      expect(text).to.match(/^HTTP\/1\.1 204 /);
      expect(text.split('HTTP/1.1 200')[0]).not.to.match(/content-type|transfer-encoding/i);
      expect(text.endsWith('next')).to.equal(true);
      expect(open()).to.equal(0);
    });
  }

  it('is not opened by a Response: that is the response', async () => {
    const redirect = await ask('/redirect');
    const byHand = await ask('/by-hand');

    expect([redirect.status, redirect.headers.get('location')]).to.deep.equal([
      303,
      'http://localhost/elsewhere',
    ]);
    expect(byHand.headers.get('x-made')).to.equal('by hand');
    expect(await byHand.text()).to.equal('event: made\ndata: elsewhere\n\n');
    expect(open()).to.equal(0);
  });

  it('gets ids beyond ASCII back as they were given', async () => {
    const client = await RawClient.connect((await server.fetch('/next')).url);
    client.head(
      'GET /cities HTTP/1.1',
      'Host: localhost',
      'Accept: text/event-stream',
      'Last-Event-ID: Zürich…',
    );
    const text = (await client.until((bytes) => bytes.includes('data: '))).toString();
    client.reset();

    expect(text).to.include('id: Zürich…').and.include('{"last":"Zürich…"}');
  });

  it('does not answer HEAD, and does not say that it would', async () => {
    const head = await server.fetch('/status', { method: 'HEAD' });
    const options = await server.fetch('/status', { method: 'OPTIONS' });

    expect([head.status, head.headers.get('allow')]).to.deep.equal([405, 'GET, OPTIONS']);
    expect(options.headers.get('allow')).to.equal('GET, OPTIONS');
    expect(open()).to.equal(0);
  });
});
