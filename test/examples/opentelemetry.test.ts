import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { Body, Controller, Get, HttpError, Rpc, WebSocket, type TraceParent } from 'coequal';
import { serve } from 'coequal/testing';
import { currentSpan, traceWith, type Span, type Tracer } from '../../examples/opentelemetry.js';

/** A tracer that keeps what it is told. */
class RecordingTracer implements Tracer<TraceParent> {
  readonly spans: RecordedSpan[] = [];

  startSpan(name: string, options = {}, context?: TraceParent): Span {
    const span = new RecordedSpan(name, options, context);
    this.spans.push(span);
    return span;
  }
}

class RecordedSpan implements Span {
  ended = 0;
  status: unknown;
  exception: Error | undefined = undefined;

  constructor(
    readonly name: string,
    readonly options: { kind?: number; attributes?: Record<string, string> },
    readonly parent: TraceParent | undefined,
  ) {}

  setStatus(status: unknown): void {
    this.status = status;
  }

  recordException(error: Error): void {
    this.exception = error;
  }

  end(): void {
    this.ended++;
  }
}

describe('the example for OpenTelemetry', () => {
  @Controller()
  class Shop {
    @Get('/goods')
    async goods() {
      await turn();
      return (currentSpan() as RecordedSpan | undefined)?.name ?? 'no span';
    }

    @Get('/broken')
    broken() {
      throw new HttpError(409, 'broken');
    }

    @WebSocket('/orders')
    order(@Body() goods: string) {
      return `${goods}: ${(currentSpan() as RecordedSpan | undefined)?.name}`;
    }

    @Rpc('price')
    async price() {
      await turn();
      return (currentSpan() as RecordedSpan | undefined)?.name;
    }
  }

  let tracer: RecordingTracer;
  let stop: () => void;
  beforeEach(() => {
    tracer = new RecordingTracer();
    stop = traceWith(tracer, (parent) => parent);
  });
  afterEach(() => stop());

  it('makes a span of each request, within the trace of its client', async () => {
    const server = serve({ controllers: [Shop], logger: false });
    const [traceId, parentId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
    const headers = { traceparent: `00-${traceId}-${parentId}-01` };
    expect(await (await server.fetch('/goods', { headers })).text()).to.equal('exchange Shop.goods');
    const [span, ...more] = tracer.spans;
    expect(more).to.deep.equal([]);
    expect(span?.parent).to.deep.equal({ traceId, parentId, sampled: true });
    expect(span?.options.kind).to.equal(1);
    expect(span?.options.attributes).to.include({
      'coequal.kind': 'http',
      'http.request.method': 'GET',
      'url.path': '/goods',
    });
    expect([span?.ended, span?.status]).to.deep.equal([1, undefined]);
  });

  it('tells of what was thrown', async () => {
    const server = serve({ controllers: [Shop], logger: false });
    await server.fetch('/broken');
    const [span] = tracer.spans;
    expect([span?.ended, span?.status, span?.exception?.message]).to.deep.equal([
      1,
      { code: 2, message: 'broken' },
      'broken',
    ]);
  });

  it('makes spans of handshakes, messages and calls', async () => {
    const server = serve({ controllers: [Shop], logger: false });
    const socket = await server.socket('/orders');
    socket.send('tea');
    expect(await socket.next()).to.equal('tea: message Shop.order');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'price' });
    expect(await socket.json()).to.include({ result: 'call Shop.price' });
    expect(tracer.spans.map(({ name, ended }) => [name, ended])).to.deep.equal([
      ['exchange Shop.order', 1],
      ['message Shop.order', 1],
      ['message Shop.order', 1],
      ['call Shop.price', 1],
    ]);
  });

  it('makes none once it is stopped', async () => {
    stop();
    const server = serve({ controllers: [Shop], logger: false });
    expect(await (await server.fetch('/goods')).text()).to.equal('no span');
    expect(tracer.spans).to.deep.equal([]);
  });
});
