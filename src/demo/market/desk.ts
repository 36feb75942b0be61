import { Channels, HttpError } from 'coequal';
import { singleton } from 'tsyringe';
import { z } from 'zod';
import type { Account } from './accounts.js';
import { SYMBOLS, type Share } from './history.js';
import { Market } from './market.js';
import { news, News } from './news.js';

export const Order = z.object({
  side: z.enum(['buy', 'sell']),
  symbol: z.enum(SYMBOLS),
  quantity: z.int().positive().max(10_000),
});
export type Order = z.infer<typeof Order>;

/** The property of an account: US dollars, and shares by symbol. */
export interface Position {
  cash: number;
  shares: Partial<Record<Share, number>>;
}

/** An order that was carried out. */
export interface Fill extends Order {
  price: number;
  month: string;
  position: Position;
}

const START: Position = { cash: 100_000, shares: {} };

/** Carries out orders at the current price, and keeps the accounts. */
@singleton()
export class Desk {
  readonly #positions = new Map<string, Position>();

  constructor(
    private readonly market: Market,
    private readonly channels: Channels,
  ) {}

  position({ id }: Account): Position {
    return this.#positions.get(id) ?? START;
  }

  /** @throws HttpError 409 if the account lacks the money or the shares, or the share has no price yet */
  fill(account: Account, order: Order): Fill {
    const { side, symbol, quantity } = order;
    const { price, month } = this.market.quote(symbol);
    const { cash, shares } = this.position(account);
    const owned = shares[symbol] ?? 0;
    const total = cents(price * quantity);
    if (side === 'buy' && total > cash) {
      throw new HttpError(
        409,
        `${quantity} ${symbol} cost $${total.toFixed(2)}: you have $${cash.toFixed(2)}`,
        {
          extensions: { total, cash },
        },
      );
    }
    if (side === 'sell' && quantity > owned) {
      throw new HttpError(409, `You have ${owned} ${symbol}`, { extensions: { owned } });
    }
    const sign = side === 'buy' ? 1 : -1;
    const position = {
      cash: cents(cash - sign * total),
      shares: { ...shares, [symbol]: owned + sign * quantity },
    };
    this.#positions.set(account.id, position);
    const verb = side === 'buy' ? 'bought' : 'sold';
    this.channels
      .of(News)
      .publish(
        news('order', `${account.name} ${verb} ${quantity} ${symbol} at $${price.toFixed(2)} (${month})`),
      );
    return { ...order, price, month, position };
  }
}

function cents(amount: number): number {
  return Math.round(amount * 100) / 100;
}
