import { Channels, conflate, defineChannel, HttpError } from 'coequal';
import { singleton } from 'tsyringe';
import { readHistory, type Share } from './history.js';
import { news, News } from './news.js';

/** The price of one share in one month. */
export interface Quote {
  symbol: Share;
  month: string;
  price: number;
  /** Counts the months played since the start. A slow consumer that receives only the latest price sees a gap. */
  tick: number;
  /** Counts the runs through the history. */
  lap: number;
}

/** Prices as they move. A slow consumer gets the latest price of each share, a new one the last lap. */
export const Prices = defineChannel<Quote>('prices', {
  history: 560,
  overflow: conflate(({ symbol }) => symbol),
});

/** Months a second at pace 1. */
const SPEED = 4;

/** Replays the history of prices, month by month, in a loop. */
@singleton()
export class Market {
  readonly #history = readHistory();
  readonly #quotes = new Map<Share, Quote>();
  #tick = 0;
  #pace = 1;
  #timer = this.#start();

  constructor(private readonly channels: Channels) {}

  get pace(): number {
    return this.#pace;
  }

  set pace(pace: number) {
    this.#pace = pace;
    clearInterval(this.#timer);
    this.#timer = this.#start();
  }

  /** The current quote. @throws HttpError 409 while the company is not on the market */
  quote(symbol: Share): Quote {
    const quote = this.#quotes.get(symbol);
    if (quote === undefined) throw new HttpError(409, `${symbol} is not on the market yet`);
    return quote;
  }

  dispose(): void {
    clearInterval(this.#timer);
  }

  #start(): NodeJS.Timeout {
    return setInterval(() => this.#next(), 1_000 / (SPEED * this.#pace));
  }

  #next(): void {
    const index = this.#tick % this.#history.length;
    const lap = Math.floor(this.#tick / this.#history.length) + 1;
    const tick = ++this.#tick;
    const { month, prices } = this.#history[index]!;
    if (index === 0) this.#begin(lap);
    for (const [symbol, price] of prices) {
      const quote = { symbol, month, price, tick, lap };
      this.#quotes.set(symbol, quote);
      this.channels.of(Prices).publish(quote);
    }
  }

  #begin(lap: number): void {
    this.#quotes.clear();
    this.channels.of(News).publish(news('lap', `Lap ${lap} through the years begins`));
  }
}
