const WIDTH = 860;
const LABEL = 200;
const STYLE = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 14px }
.bar { fill: #8c959f } .own { fill: #1a7f64 } .one, .axis { stroke: #57606a; stroke-dasharray: 3 3; fill: none }
.line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #6e7681 } .own { fill: #3fb58f } .one, .axis { stroke: #8b949e } }
</style>`;

/** Bars of ratios, a group for each measurement, with a line at 1.00. */
export function bars(title, results, entries) {
  const groups = Object.entries(results);
  const highest = Math.max(
    1,
    ...groups.flatMap(([, apps]) => Object.values(apps).map(({ ratio }) => ratio ?? 0)),
  );
  const scale = (WIDTH - LABEL - 60) / highest;
  const parts = [];
  let y = 40;
  for (const [name, apps] of groups) {
    const top = y + 16;
    parts.push(text(8, y + 10, name, 'title'));
    y = top;
    for (const { name: app, label } of entries) {
      const ratio = apps[app]?.ratio;
      if (ratio === undefined) continue;
      parts.push(text(LABEL - 8, y + 12, label, '', 'end'));
      parts.push(
        `<rect class="${app === 'coequal' ? 'own' : 'bar'}" x="${LABEL}" y="${y + 2}" width="${fixed(ratio * scale)}" height="13"/>`,
      );
      parts.push(text(LABEL + ratio * scale + 5, y + 12, ratio.toFixed(2)));
      y += 18;
    }
    parts.push(`<path class="one" d="M${fixed(LABEL + scale)} ${top}V${y}"/>`);
    y += 14;
  }
  return drawing(title, y, parts);
}

/** Curves over a logarithmic axis of counts; the values start at 0, so that flat looks flat. */
export function lines(title, series) {
  const [left, right, top, bottom] = [60, WIDTH - 170, 50, 260];
  const counts = series[0].points.map(([count]) => count);
  const highest = Math.max(...series.flatMap(({ points }) => points.map(([, value]) => value))) * 1.1;
  const position = (count) => Math.log10(count + 1);
  const span = position(counts.at(-1)) - position(counts[0]);
  const x = (count) => left + ((position(count) - position(counts[0])) / span) * (right - left);
  const y = (value) => bottom - (value / highest) * (bottom - top);
  const parts = [`<path class="axis" d="M${left} ${top}V${bottom}H${right}"/>`];
  for (const count of counts)
    parts.push(text(x(count), bottom + 18, count.toLocaleString('en'), '', 'middle'));
  for (const share of [0, 0.5, 1])
    parts.push(text(left - 6, y(highest * share) + 4, (highest * share).toFixed(1), '', 'end'));
  // Labels at the ends of the curves are moved apart where the curves come close.
  const ends = series.map(({ points }) => y(points.at(-1)[1]) + 4);
  const order = series.map((_, i) => i).sort((a, b) => ends[a] - ends[b]);
  for (let i = 1; i < order.length; i++) ends[order[i]] = Math.max(ends[order[i]], ends[order[i - 1]] + 15);
  series.forEach(({ label, points }, i) => {
    const colour = label === 'coequal' ? '#1a7f64' : ['#8c959f', '#bf8700', '#8250df'][i % 3];
    const path = points.map(([count, value]) => `${fixed(x(count))} ${fixed(y(value))}`).join('L');
    parts.push(`<path class="line" stroke="${colour}" d="M${path}"/>`);
    parts.push(text(right + 8, ends[i], label));
  });
  return drawing(title, bottom + 34, parts);
}

function drawing(title, height, parts) {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`;
  return `${[head, STYLE, text(8, 20, title, 'title'), ...parts].join('\n')}\n</svg>\n`;
}

function text(x, y, content, style = '', anchor = 'start') {
  return `<text x="${fixed(x)}" y="${fixed(y)}" class="${style}" text-anchor="${anchor}">${escaped(content)}</text>`;
}

function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function fixed(value) {
  return value.toFixed(1);
}
