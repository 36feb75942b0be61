import { BROADCASTS, GROWTH, HTTP, POLICIES, SOCKETS, STREAMS } from './catalogue.mjs';
import { bars, lines } from './svg.mjs';

/** How each part is told: from what was kept to paragraphs of Markdown. `chart(name, svg)` gives a file's name. */
export const SECTIONS = { http, echo, broadcast, idle, growth };

function http({ outcome }, chart) {
  return [
    '### HTTP',
    'Five routes: a text, a JSON object, two path parameters with a number from the query, a posted object that is ' +
      'sent back, and three middleware that each set a header before a guard that signs the user in.',
    image(
      'HTTP',
      chart('http', bars('HTTP, requests per second, ratio to node:http', outcome.results, HTTP)),
    ),
    ratios(outcome.results, HTTP),
    rates(outcome.results, HTTP, 'requests/s'),
  ];
}

function echo({ outcome }, chart) {
  return [
    '### Echo over WebSocket',
    'A text of 64 bytes, a JSON object that is parsed and sent back, and a JSON-RPC 2.0 call. With window 1 a ' +
      'client sends its next message after the reply; with window 8 it keeps eight in flight. NestJS and ' +
      'Socket.IO wrap messages in their own protocols.',
    image(
      'Echo',
      chart('echo', bars('Echo, messages per second, ratio to ws by hand', outcome.results, SOCKETS)),
    ),
    ratios(outcome.results, SOCKETS),
    rates(outcome.results, SOCKETS, 'messages/s'),
    busy(outcome.results, SOCKETS),
  ];
}

function broadcast({ outcome: { sockets, streams } }, chart) {
  return [
    '### Broadcast to 1,000',
    'One publish per turn of the event loop, and ten. The rate counts deliveries. Latency is the time from the publish to ' +
      'each delivery, at a steady pace of at most 40 publishes (or bursts) per second.',
    'The last row of each table is not a framework but the upper bound: one system call per receiver, which writes all ' +
      'publishes of a turn as one string to every connection, without limits and without regard to slow readers.',
    image(
      'Sockets',
      chart(
        'broadcast',
        bars(
          'Broadcast to sockets, deliveries per second, ratio to a loop of ws.send',
          sockets.results,
          BROADCASTS.sockets,
        ),
      ),
    ),
    ratios(sockets.results, BROADCASTS.sockets),
    latencies(sockets.results, BROADCASTS.sockets),
    busy(sockets.results, BROADCASTS.sockets),
    image(
      'Streams',
      chart(
        'streams',
        bars('Broadcast to event streams, ratio to a loop of res.write', streams.results, BROADCASTS.streams),
      ),
    ),
    ratios(streams.results, BROADCASTS.streams),
    latencies(streams.results, BROADCASTS.streams),
    busy(streams.results, BROADCASTS.streams),
  ];
}

function idle({ connections, outcome: { sockets, streams, cycles } }) {
  const memory = ({ results }, entries) =>
    table(['', 'heap', 'ratio', 'resident', 'ratio'], entries, (name) => {
      const figures = results[name];
      if (figures === undefined) return undefined;
      const { heap, ratio, rss, rssRatio } = figures;
      return [kB(heap), ratio.toFixed(2), kB(rss), rssRatio.toFixed(2)];
    });
  return [
    '### Idle connections',
    `Memory of one of ${connections.toLocaleString('en')} idle sockets behind a guard that sets a user and an ` +
      'attribute; the sockets of `ws` by hand have neither. Less is better.',
    memory(sockets, SOCKETS),
    `Memory of one of ${connections.toLocaleString('en')} idle event streams.`,
    memory(streams, STREAMS),
    'Sockets opened and closed (with the closing handshake) per second.',
    ratios(cycles.results, SOCKETS),
    rates(cycles.results, SOCKETS, 'cycles/s'),
  ];
}

function growth({ outcome: { results } }, chart) {
  const text = [
    '### Growth',
    'What a request or a publish costs as the application grows, in µs of the whole server. Flat is good.',
  ];
  for (const [what, title] of [
    ['routes', 'µs per request by number of routes'],
    ['middleware', 'µs per request by number of middleware'],
  ]) {
    const series = GROWTH.filter(({ name }) => results[what][name] !== undefined).map(({ name, label }) => ({
      label,
      points: results[what][name],
    }));
    if (series.length > 0) text.push(image(title, chart(what, lines(title, series))), curves(series));
  }
  for (const [what, title] of [
    ['startup', 'ms from decorated classes to the open port, by number of controllers'],
    ['subscribers', 'µs per publish by number of subscribers'],
    ['channels', 'µs per publish to 100 subscribers, by number of other channels with a subscriber each'],
  ]) {
    if (results[what] === undefined) continue;
    const series = [{ label: 'coequal', points: results[what] }];
    text.push(
      `${title[0].toUpperCase()}${title.slice(1)}:`,
      image(title, chart(what, lines(title, series))),
      curves(series),
    );
  }
  if (results.slowReaders !== undefined) {
    text.push(
      'Policies for slow consumers while no reader is slow: deliveries to 1,000 sockets per second of CPU time of the ' +
        'server, as a ratio to `close`. One client holds the sockets of all three and publishes to each ' +
        'policy for 50 ms in turn; ratios are computed per cycle of turns, with the quartiles of the cycles in brackets.',
      ratios(results.slowReaders, POLICIES),
    );
  }
  if (results.requestScope !== undefined) {
    const { plain, scoped, cost, low, high, resolve } = results.requestScope;
    text.push(
      `A request-scoped service: ${plain.toFixed(2)} µs of CPU time per request without, ` +
        `${scoped.toFixed(2)} µs with. Measured in turns of 50 ms, it costs ${cost.toFixed(2)} µs (${low.toFixed(2)} to ` +
        `${high.toFixed(2)}, the quartiles of the cycles). tsyringe's own child container and \`resolve\` of the same ` +
        `graph take ${resolve.toFixed(2)} µs.`,
    );
  }
  return text;
}

function ratios(results, entries) {
  const names = Object.keys(results);
  return table(['', ...names], entries, (app) => row(names, results, app, ratio));
}

function rates(results, entries, unit) {
  const names = Object.keys(results);
  return folded(
    `In ${unit}`,
    table(['', ...names], entries, (app) =>
      row(names, results, app, ({ rate }) => Math.round(rate).toLocaleString('en')),
    ),
  );
}

function busy(results, entries) {
  const names = Object.keys(results);
  const share = ({ serverBusy, clientBusy }) => `${serverBusy.toFixed(2)} · ${clientBusy.toFixed(2)}`;
  return folded(
    'Server busy · client busy',
    table(['', ...names], entries, (app) => row(names, results, app, share)),
  );
}

function latencies(results, entries) {
  const names = Object.keys(results);
  const both = ({ p50, p99 }) => `${p50.toFixed(1)} · ${p99.toFixed(1)}`;
  return `Latency of a delivery in ms, median · 99th percentile:\n\n${table(['', ...names], entries, (app) => row(names, results, app, both))}`;
}

function row(names, results, app, cell) {
  if (names.every((name) => results[name][app] === undefined)) return undefined;
  return names.map((name) => (results[name][app] === undefined ? '–' : cell(results[name][app])));
}

function ratio({ ratio: middle, low, high }) {
  if (middle === undefined) return '–';
  return low === 1 && high === 1 ? '1.00' : `**${middle.toFixed(2)}** (${low.toFixed(2)}–${high.toFixed(2)})`;
}

function table(head, entries, cells) {
  const rows = entries.flatMap(({ name, label }) => {
    const found = cells(name);
    return found === undefined ? [] : [`| ${[label, ...found].join(' | ')} |`];
  });
  return [`| ${head.join(' | ')} |`, `| --- |${' ---: |'.repeat(head.length - 1)}`, ...rows].join('\n');
}

function curves(series) {
  const head = series[0].points.map(([count]) => count.toLocaleString('en'));
  const rows = series.map(
    ({ label, points }) => `| ${[label, ...points.map(([, value]) => value.toFixed(1))].join(' | ')} |`,
  );
  return [`| | ${head.join(' | ')} |`, `| --- |${' ---: |'.repeat(head.length)}`, ...rows].join('\n');
}

function folded(title, text) {
  return `<details><summary>${title}</summary>\n\n${text}\n\n</details>`;
}

function image(title, file) {
  return `![${title}](${file})`;
}

function kB(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
