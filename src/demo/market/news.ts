import { defineChannel } from 'coequal';
import type { Account } from './accounts.js';

/** An event on the floor, for the log of the page. */
export interface Item {
  type: 'news';
  kind: 'order' | 'pace' | 'lap';
  text: string;
  /** Milliseconds of the epoch. */
  at: number;
}

/** News of the floor. Its readers are present under their names. */
export const News = defineChannel<Item>('news', {
  history: 50,
  presence: (user) => ({ name: (user as Account).name }),
});

export function news(kind: Item['kind'], text: string): Item {
  return { type: 'news', kind, text, at: Date.now() };
}
