import { expect } from 'chai';
import { Controller, HttpError, param, UseMiddleware, type Context } from 'coequal';
import type { ServeOptions, TestServer } from 'coequal/testing';
import { Everywhere, servers, type Door } from '../support/doors.js';
import { Recorder } from '../support/journal.js';

export function errors(door: Door): void {
  const serve = servers();

  /** A path where `fail` runs before the head: as a parameter's reader, or as middleware. */
  function failing(fail: (ctx: Context) => unknown, options: Partial<ServeOptions> = {}): TestServer {
    const Broken = param('Broken', fail);
    @Controller()
    class Room {
      @Everywhere('/reader')
      enter(@Broken() value: unknown) {
        return { value };
      }

      @Everywhere('/middleware')
      @UseMiddleware((ctx, next) => {
        fail(ctx);
        return next();
      })
      pass() {
        return {};
      }
    }
    return serve({ controllers: [Room], ...options });
  }

  for (const where of ['reader', 'middleware']) {
    describe(`of a ${where}`, () => {
      const open = (server: TestServer) => door.open(server, `/${where}`);

      it('answer an HttpError by its status and problem document', async () => {
        const server = failing((ctx) => {
          ctx.setHeader('etag', '"1"').setHeader('x-kept', 'yes');
          throw new HttpError(409, 'Taken', {
            cause: new Error('secret'),
            headers: { 'retry-after': '3' },
            extensions: { by: 'ada', status: 1 },
          });
        });
        const visit = await open(server);
        expect(visit.status).to.equal(409);
        const { requestId, ...problem } = visit.problem;
        expect(problem).to.deep.equal({
          title: 'Conflict',
          status: 409,
          code: 'CONFLICT',
          detail: 'Taken',
          by: 'ada',
        });
        expect(requestId).to.match(/^[\da-f-]{36}$/);
        expect(visit.headers.get('retry-after')).to.equal('3');
        expect(visit.headers.get('x-kept')).to.equal('yes');
        expect(visit.headers.has('etag'), 'a field that describes another body').to.equal(false);
      });

      it('answer an unknown error by a 500 that shows nothing of it, and log it with the request’s id', async () => {
        const logger = new Recorder();
        const secret = new Error('password=hunter2');
        const server = failing(
          () => {
            throw secret;
          },
          { logger },
        );
        const visit = await open(server);
        expect(visit.status).to.equal(500);
        const { requestId } = visit.problem;
        expect(visit.problem).to.deep.equal({
          title: 'Internal Server Error',
          status: 500,
          code: 'INTERNAL_SERVER_ERROR',
          requestId,
        });
        expect(logger.lines).to.have.length(1);
        const [line] = logger.at('error');
        expect(line?.fields).to.include({
          err: secret,
          requestId,
          kind: door.kind,
          path: `/${where}`,
          status: 500,
        });
      });

      it('answer what is thrown and is no Error by a 500', async () => {
        for (const thrown of [undefined, null, 'text', 7, { status: 200 }] as unknown[]) {
          const server = failing(() => {
            // What JavaScript allows, a library may do.
            throw thrown as Error;
          });
          const visit = await open(server);
          expect([visit.status, visit.problem.title]).to.deep.equal([500, 'Internal Server Error']);
        }
      });

      it('are mapped by onError, which sees the error and its context', async () => {
        class NotFound extends Error {}
        const seen: unknown[] = [];
        const logger = new Recorder();
        const server = failing(
          () => {
            throw new NotFound('no such row');
          },
          {
            logger,
            onError: (error, ctx) => {
              seen.push(error, ctx.kind, ctx.path);
              return error instanceof NotFound ? new HttpError(404, 'Not here') : undefined;
            },
          },
        );
        const visit = await open(server);
        expect(visit.status).to.equal(404);
        expect(visit.problem.detail).to.equal('Not here');
        expect(seen).to.deep.equal([seen[0], door.kind, `/${where}`]);
        expect(seen[0]).to.be.instanceOf(NotFound);
        expect(logger.lines, 'a client’s error is no line in the log').to.deep.equal([]);
      });

      it('are answered and logged although onError throws', async () => {
        const logger = new Recorder();
        const server = failing(
          () => {
            throw new HttpError(402, 'Pay');
          },
          {
            logger,
            onError: () => {
              throw new Error('the mapper broke');
            },
          },
        );
        const visit = await open(server);
        expect([visit.status, visit.problem.detail]).to.deep.equal([402, 'Pay']);
        expect(logger.lines.map(({ message }) => message)).to.deep.equal(['onError failed']);
      });
    });
  }
}
