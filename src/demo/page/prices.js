import uPlot from '/uplot/uPlot.esm.js';

export const SYMBOLS = ['AAPL', 'AMZN', 'GOOG', 'IBM', 'MSFT'];
const NAMES = { AAPL: 'Apple', AMZN: 'Amazon', GOOG: 'Google', IBM: 'IBM', MSFT: 'Microsoft' };
const COLOURS = { AAPL: '#7ee0b8', AMZN: '#f6b26b', GOOG: '#8ab4ff', IBM: '#c9a5ff', MSFT: '#ff9ba8' };
const dollars = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD' });

/** The quotes of the current lap, by share, and how many were left out for this page. */
export class Prices {
  received = 0;
  skipped = 0;

  constructor() {
    this.reset();
  }

  /** The history follows. */
  reset() {
    this.lap = 0;
    this.month = undefined;
    this.#begin(0);
  }

  take(quote) {
    this.received++;
    if (quote.lap !== this.lap) this.#begin(quote.lap);
    const quotes = this.quotes.get(quote.symbol);
    const before = quotes.at(-1);
    if (before !== undefined) this.skipped += quote.tick - before.tick - 1;
    quotes.push(quote);
    this.month = quote.month;
  }

  last(symbol) {
    return this.quotes.get(symbol).at(-1);
  }

  #begin(lap) {
    this.lap = lap;
    this.quotes = new Map(SYMBOLS.map((symbol) => [symbol, []]));
  }
}

/** A tile for each share, with its price, the change since the month before, and its way so far. */
export class Tiles {
  #tiles = new Map();

  constructor(element, choose) {
    for (const symbol of SYMBOLS) {
      const tile = document.createElement('button');
      tile.className = 'tile';
      tile.dataset.testid = `tile-${symbol}`;
      tile.style.setProperty('--colour', COLOURS[symbol]);
      tile.innerHTML = `<span class="symbol">${symbol}</span><span class="name">${NAMES[symbol]}</span>
        <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><polyline /></svg>
        <output class="price" data-testid="price-${symbol}">—</output><span class="change"></span>`;
      tile.addEventListener('click', () => choose(symbol));
      element.append(tile);
      this.#tiles.set(symbol, tile);
    }
  }

  draw(prices, chosen) {
    for (const [symbol, tile] of this.#tiles) {
      const quotes = prices.quotes.get(symbol);
      const last = quotes.at(-1)?.price;
      const before = quotes.at(-2)?.price;
      tile.setAttribute('aria-pressed', String(symbol === chosen));
      tile.querySelector('.price').textContent = last === undefined ? 'not listed' : dollars.format(last);
      const change = last === undefined || before === undefined ? undefined : last / before - 1;
      const label = tile.querySelector('.change');
      label.textContent =
        change === undefined ? '' : `${change < 0 ? '▼' : '▲'} ${Math.abs(change * 100).toFixed(1)} %`;
      label.classList.toggle('down', change < 0);
      tile.querySelector('polyline').setAttribute('points', way(quotes));
    }
  }
}

/** The chart of one share: the months of the lap so far, on the axis of all ten years. */
export class Chart {
  #plot;

  constructor(element) {
    const grid = { stroke: '#232b38', width: 1 };
    const axis = { stroke: '#8b98ab', font: '12px system-ui', grid, ticks: { show: false } };
    const size = () => ({ width: element.clientWidth, height: element.clientHeight });
    this.#plot = new uPlot(
      {
        ...size(),
        padding: [8, 16, 0, 0],
        legend: { show: false },
        cursor: { y: false },
        scales: {
          x: { time: true, range: [Date.UTC(2000, 0) / 1_000, Date.UTC(2010, 2) / 1_000] },
          y: { range: (_plot, _low, high) => [0, Math.max(10, (high ?? 0) * 1.1)] },
        },
        axes: [
          { ...axis, size: 28 },
          { ...axis, size: 56, values: (_plot, values) => values.map((value) => `$${value}`) },
        ],
        series: [{}, { width: 2, points: { show: false } }],
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), 'UTC'),
      },
      [[], []],
      element,
    );
    new ResizeObserver(() => this.#plot.setSize(size())).observe(element);
  }

  draw(prices, symbol) {
    const quotes = prices.quotes.get(symbol);
    const series = this.#plot.series[1];
    series.stroke = () => COLOURS[symbol];
    series.fill = () => `${COLOURS[symbol]}1f`;
    this.#plot.setData([
      quotes.map(({ month }) => Date.parse(`${month}-01`) / 1_000),
      quotes.map(({ price }) => price),
    ]);
  }
}

/** Points of a line in a box of 100 by 30. */
function way(quotes) {
  const values = quotes.map(({ price }) => price);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const points = values.map(
    (value, i) => `${(i / 122) * 100},${(28 - ((value - low) / span) * 26).toFixed(1)}`,
  );
  return points.join(' ');
}
