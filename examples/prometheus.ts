import { App, Controller, Ctx, Get, type Context, type Stats } from 'coequal';

type Type = 'counter' | 'gauge';

/**
 * Gives the application's counters to Prometheus, in its text format 0.0.4. Let only the operator's network
 * reach the path, or put a guard on the class.
 */
@Controller('/metrics')
export class Metrics {
  constructor(private readonly app: App) {}

  @Get()
  metrics(@Ctx() ctx: Context): string {
    ctx.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
    return prometheus(this.app.stats());
  }
}

/** The text format: a `# HELP` and a `# TYPE` line for each metric, and a line for each of its samples. */
export function prometheus({ connections, buffered, inFlight, messages, channels }: Stats): string {
  const { sse, websocket, opened, refused } = connections;
  return [
    metric('connections', 'gauge', 'Connections that are open.', {
      'kind="sse"': sse,
      'kind="websocket"': websocket,
    }),
    metric('connections_opened_total', 'counter', 'Connections that have been opened.', { '': opened }),
    metric('connections_refused_total', 'counter', 'Upgrades and streams that were refused.', {
      '': refused,
    }),
    metric('buffered_bytes', 'gauge', 'Bytes that wait for slow readers.', { '': buffered }),
    metric('in_flight', 'gauge', 'Exchanges and handshakes that wait for something.', {
      'what="exchange"': inFlight.exchanges,
      'what="handshake"': inFlight.handshakes,
    }),
    metric('messages_total', 'counter', 'Messages received and sent.', {
      'direction="in"': messages.in,
      'direction="out"': messages.out,
    }),
    metric('published_total', 'counter', 'Values published on channels.', { '': messages.published }),
    metric('skipped_total', 'counter', 'Messages that slow readers did not get.', {
      'why="dropped"': messages.dropped,
      'why="conflated"': messages.conflated,
    }),
    metric('channels', 'gauge', 'Channels that somebody reads.', { '': channels }),
  ].join('');
}

function metric(name: string, type: Type, help: string, samples: Record<string, number>): string {
  const lines = Object.entries(samples).map(
    ([labels, value]) => `coequal_${name}${labels === '' ? '' : `{${labels}}`} ${value}\n`,
  );
  return `# HELP coequal_${name} ${help}\n# TYPE coequal_${name} ${type}\n${lines.join('')}`;
}
