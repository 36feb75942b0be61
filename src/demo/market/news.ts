import { defineChannel } from 'coequal';
import type { Account } from './accounts.js';

/** Something that happened on the floor, for the log of the page. */
export interface Item {
  type: 'news';
  kind: 'order' | 'pace' | 'lap';
  text: string;
  /** Milliseconds of the epoch. */
  at: number;
}

/** What happens on the floor. Whoever hears it is present, and the others see the name. */
export const News = defineChannel<Item>('news', {
  history: 50,
  presence: (user) => ({ name: (user as Account).name }),
});

export function news(kind: Item['kind'], text: string): Item {
  return { type: 'news', kind, text, at: Date.now() };
}
