import { expect } from 'chai';
import { Controller, Ctx, Get, HttpError, UseMiddleware, type Context, type Middleware } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { turns, until } from '../../support/deferred.js';
import { answersIn } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

const late: Promise<unknown>[] = [];

const answersAndGoesOn: Middleware = async (ctx, next) => {
  ctx.response.end('by middleware');
  await next();
};

/** What is thrown here is no error, as callers of other libraries meet it. */
function reject(reason: unknown): Promise<never> {
  return Promise.reject(reason as Error);
}

@Controller()
class Misbehaving {
  @Get('/head/line-break') lineBreak(@Ctx() ctx: Context) {
    ctx.setHeader('x-bad', 'a\r\nset-cookie: b=1');
  }
  @Get('/head/nul') nul(@Ctx() ctx: Context) {
    ctx.setHeader('x-bad', 'a\0');
  }
  @Get('/head/wide') wide(@Ctx() ctx: Context) {
    ctx.setHeader('x-bad', '\u2028');
  }
  @Get('/head/name') name(@Ctx() ctx: Context) {
    ctx.setHeader('x bad', '1');
  }
  @Get('/head/undefined') undefinedField(@Ctx() ctx: Context) {
    ctx.setHeader('x-bad', undefined as never);
  }
  @Get('/head/cookie') cookie(@Ctx() ctx: Context) {
    ctx.setCookie('a', 'b', { domain: 'x;\r\n' });
  }
  @Get('/head/large-cookie') largeCookie(@Ctx() ctx: Context) {
    ctx.setCookie('a', 'b'.repeat(5_000));
  }
  @Get('/status/text') statusText(@Ctx() ctx: Context) {
    ctx.status = '200' as never;
  }
  @Get('/status/99') tooLow(@Ctx() ctx: Context) {
    ctx.status = 99;
  }
  @Get('/status/1000') tooHigh(@Ctx() ctx: Context) {
    ctx.response.writeHead(1_000);
  }
  @Get('/status/nan') nan(@Ctx() ctx: Context) {
    ctx.status = NaN;
  }
  @Get('/body/circle') circle() {
    const circle: Record<string, unknown> = {};
    circle['itself'] = circle;
    return circle;
  }
  @Get('/body/bigint') bigint() {
    return { big: 1n };
  }
  @Get('/body/getter') getter() {
    return {
      get value(): never {
        throw new Error('a secret');
      },
    };
  }
  @Get('/body/source') async *source() {
    yield await reject(new Error('a secret'));
  }
  @Get('/body/twice') twice(@Ctx() ctx: Context) {
    ctx.send('one');
    ctx.send('two');
  }
  @Get('/throws/string') throwsString() {
    return reject('a secret');
  }
  @Get('/throws/null') throwsNull() {
    return reject(null);
  }
  @Get('/throws/undefined') throwsUndefined() {
    return reject(undefined);
  }
  @Get('/throws/symbol') throwsSymbol() {
    return reject(Symbol('a secret'));
  }
  @Get('/throws/object') throwsObject() {
    return reject({ status: 200, headers: { 'x-bad': '1' }, message: 'a secret' });
  }
  @Get('/throws/function') throwsFunction() {
    return reject(() => 'a secret');
  }
  @Get('/throws/frozen') throwsFrozen() {
    return reject(Object.freeze(Object.create(null)));
  }
  @Get('/throws/getter') throwsGetter() {
    return reject({
      get name(): never {
        throw new Error('a secret');
      },
    });
  }

  @Get('/after/length') async shorter(@Ctx() ctx: Context) {
    ctx.response.writeHead(200, { 'content-length': '10' });
    ctx.response.write('half');
    await turns(1);
    throw new Error('a secret');
  }
  @Get('/after/source') async *breaks() {
    yield 'half';
    await turns(1);
    throw new Error('a secret');
  }
  @Get('/after/value') async *unserializable() {
    yield { fine: 1 };
    await turns(1);
    yield { big: 1n };
  }

  @Get('/ended/throws') async throwsLate(@Ctx() ctx: Context) {
    ctx.response.end('whole');
    await turns(1);
    throw new Error('too late');
  }
  @Get('/ended/field') fieldLate(@Ctx() ctx: Context) {
    ctx.response.end('whole');
    ctx.setHeader('x-late', '1');
  }
  @Get('/ended/sends') sendsLate(@Ctx() ctx: Context) {
    ctx.response.end('whole');
    ctx.send('more');
  }

  @Get('/middleware') @UseMiddleware(answersAndGoesOn) afterMiddleware() {
    return 'by the method';
  }
  @Get('/defers') defers(@Ctx() ctx: Context) {
    ctx.defer(() => reject('a secret'));
    ctx.defer(() => {
      throw new Error('a secret');
    });
    return 'whole';
  }
  @Get('/hangs') hangs() {
    return new Promise(() => undefined);
  }
  @Get('/hangs/late') hangsAndFails(@Ctx() ctx: Context) {
    const failing = new Promise((_, fail) =>
      ctx.signal.addEventListener('abort', () => fail(new Error('late'))),
    );
    late.push(failing);
    return failing;
  }
  @Get('/refusal/field') refusalField() {
    throw new HttpError(400, 'x', { headers: { 'x-bad': '\n' } });
  }
}

describe('HTTP', () => {
  describe('methods that misbehave', () => {
    const { server, log, holds } = mistreated({ controllers: [Misbehaving], timeouts: { handler: 100 } });

    const bare = [
      '/head/line-break',
      '/head/nul',
      '/head/wide',
      '/head/name',
      '/head/undefined',
      '/head/cookie',
      '/head/large-cookie',
      '/status/text',
      '/status/99',
      '/status/1000',
      '/status/nan',
      '/body/circle',
      '/body/bigint',
      '/body/getter',
      '/body/source',
      '/body/twice',
      '/throws/string',
      '/throws/null',
      '/throws/undefined',
      '/throws/symbol',
      '/throws/object',
      '/throws/function',
      '/throws/frozen',
      '/throws/getter',
    ];
    for (const path of bare) {
      holds(`are answered by a bare 500, logged once (${path})`, async () => {
        const answer = await server.fetch(path);
        const document = (await answer.json()) as Record<string, unknown>;

        expect([answer.status, answer.headers.get('content-type')]).to.deep.equal([
          500,
          'application/problem+json',
        ]);
        expect(document).to.deep.equal({
          title: 'Internal Server Error',
          status: 500,
          code: 'INTERNAL_SERVER_ERROR',
          requestId: document['requestId'],
        });
        expect([answer.headers.get('set-cookie'), answer.headers.get('x-bad')]).to.deep.equal([null, null]);
        expect(log.at('error').map(({ fields }) => fields['requestId'])).to.deep.equal([
          document['requestId'],
        ]);
      });
    }

    for (const path of ['/after/length', '/after/source', '/after/value']) {
      holds(
        `after the head are cut, so that no half passes for a whole, and logged once (${path})`,
        async () => {
          const client = await RawClient.connect(await server.url());
          client.head(`GET ${path} HTTP/1.1`, 'Host: localhost');
          await client.closed();

          expect(client.received.toString())
            .to.match(/^HTTP\/1\.1 200 OK/)
            .and.not.contain('secret');
          expect(() => answersIn(client.received)).to.throw();
          expect(log.at('error')).to.have.lengthOf(1);
        },
      );
    }

    for (const path of ['/ended/throws', '/ended/field', '/ended/sends']) {
      holds(`after the end keep what was sent, and are logged once (${path})`, async () => {
        const answer = await server.fetch(path);

        expect([answer.status, await answer.text()]).to.deep.equal([200, 'whole']);
        await until(() => log.at('error').length > 0);
        expect(log.at('error')).to.have.lengthOf(1);
      });
    }

    holds('behind middleware that has answered answer no second time', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('GET /middleware HTTP/1.1', 'Host: localhost');
      client.head('GET /middleware HTTP/1.1', 'Host: localhost', 'Connection: close');
      await client.closed();

      expect(answersIn(client.received).map(({ body }) => body)).to.deep.equal([
        'by middleware',
        'by middleware',
      ]);
    });

    holds('in what they have deferred are logged once for each, and the answer stands', async () => {
      expect(await (await server.fetch('/defers')).text()).to.equal('whole');
      await until(() => log.at('error').length > 1);
      expect(log.at('error').map(({ message }) => message)).to.deep.equal([
        'deferred work failed',
        'deferred work failed',
      ]);
    });

    holds('by never settling are a 503 once their time is over, logged once', async () => {
      const answer = await server.fetch('/hangs');

      expect([answer.status, answer.headers.get('content-type')]).to.deep.equal([
        503,
        'application/problem+json',
      ]);
      expect(log.at('error')).to.have.lengthOf(1);
    });

    holds('by failing after their time was over are not answered again', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('GET /hangs/late HTTP/1.1', 'Host: localhost');
      await client.until((bytes) => bytes.includes('\r\n\r\n') && bytes.toString().endsWith('}'));
      await Promise.allSettled(late);
      client.head('GET /canary HTTP/1.1', 'Host: localhost', 'Connection: close');
      await client.closed();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([503, 200]);
    });

    holds('in the fields of their refusal leave no half answer, and free the connection', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('GET /refusal/field HTTP/1.1', 'Host: localhost', 'Connection: close');
      await client.closed();

      expect(client.received.toString()).to.match(/^(?:HTTP\/1\.1 500 |$)/);
      expect(log.at('error').length).to.be.greaterThan(0);
    });

    holds('all at once harm none of the others', async () => {
      const answers = bare.map(async (path) => (await server.fetch(path)).status);
      const alive = bare.map(async () => (await server.fetch('/canary')).text());

      expect(new Set(await Promise.all(answers))).to.deep.equal(new Set([500]));
      expect(new Set(await Promise.all(alive))).to.deep.equal(new Set(['alive']));
    });
  });
});
