import { readFileSync } from 'node:fs';

export const SYMBOLS = ['AAPL', 'AMZN', 'GOOG', 'IBM', 'MSFT'] as const;
export type Share = (typeof SYMBOLS)[number];

/** The prices of one month, in US dollars. A company that is not on the market yet has none. */
export interface Month {
  /** `2004-08` */
  readonly month: string;
  readonly prices: ReadonlyMap<Share, number>;
}

/** Reads `data/stocks.csv`, whose lines are `MSFT,Jan 1 2000,39.81`: oldest month first. */
export function readHistory(): Month[] {
  const months = new Map<string, Map<Share, number>>();
  const text = readFileSync(new URL('../../../../src/demo/data/stocks.csv', import.meta.url), 'utf8');
  for (const line of text.trim().split('\n').slice(1)) {
    const [symbol = '', date = '', price = ''] = line.trim().split(',');
    const month = monthOf(date);
    const prices = months.get(month) ?? new Map<Share, number>();
    prices.set(symbol as Share, Number(price));
    months.set(month, prices);
  }
  return [...months]
    .map(([month, prices]) => ({ month, prices }))
    .sort((a, b) => (a.month < b.month ? -1 : 1));
}

const NAMES = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function monthOf(date: string): string {
  const [name = '', , year = ''] = date.split(' ');
  return `${year}-${String(NAMES.indexOf(name) + 1).padStart(2, '0')}`;
}
