import { expect } from 'chai';
import { Controller, WebSocket } from 'coequal';
import { serve } from 'coequal/testing';
import { Metrics } from '../../examples/prometheus.js';

/** A line of the text format 0.0.4. */
const LINE = /^(?:# HELP \w+ .+|# TYPE \w+ (?:counter|gauge)|\w+(?:\{\w+="\w+"\})? \d+)$/;

describe('the example for Prometheus', () => {
  @Controller()
  class Line {
    @WebSocket('/line')
    open(): void {
      // The connection stays open.
    }
  }

  it('gives what stats() counts, in the text format', async () => {
    const server = serve({ controllers: [Line, Metrics] });
    await Promise.all([server.socket('/line'), server.socket('/line')]);
    const response = await server.fetch('/metrics');
    expect(response.headers.get('content-type')).to.equal('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    expect(text).to.match(/\n$/);
    for (const line of text.trimEnd().split('\n')) expect(line).to.match(LINE);
    expect(text).to.include('\ncoequal_connections{kind="websocket"} 2\n');
    expect(text).to.include('\ncoequal_connections{kind="sse"} 0\n');
    expect(text).to.include('\ncoequal_connections_opened_total 2\n');
    const names = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name);
    expect(new Set(names).size, 'each metric once').to.equal(names.length).and.equal(9);
  });
});
