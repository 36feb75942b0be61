import { z } from 'zod';

/** What is posted, behind a session, to `/shops/:shop/orders`, and how each application checks it. */
export const Order = z.object({
  reference: z.string().min(1).max(40),
  express: z.boolean(),
  note: z.string().optional(),
  items: z
    .array(
      z.object({
        sku: z.string(),
        quantity: z.number().int().positive(),
        price: z.number().nonnegative(),
        tags: z.array(z.string()),
      }),
    )
    .min(1),
});
export type Order = z.infer<typeof Order>;

export interface Account {
  id: string;
  name: string;
  email: string;
  country: string;
}

export const ACCOUNTS = new Map<unknown, Account>([
  ['ada', { id: 'ada', name: 'Ada Lovelace', email: 'ada@example.org', country: 'GB' }],
]);

export const SAMPLE: Order = {
  reference: 'spring-2026-0042',
  express: true,
  items: ['lamp', 'desk', 'chair', 'shelf', 'mirror'].map((sku, i) => ({
    sku,
    quantity: i + 1,
    price: 19.5 + i,
    tags: ['home', sku],
  })),
};

/** The response: an object of 20 fields. */
export function confirmation(shop: number, account: Account, order: Order) {
  let count = 0;
  let net = 0;
  for (const { quantity, price } of order.items) {
    count += quantity;
    net += quantity * price;
  }
  const shipping = order.express ? 12 : 4;
  const tax = Math.round(net * 20) / 100;
  return {
    id: `${shop}-${order.reference}`,
    shop,
    reference: order.reference,
    status: 'accepted',
    customer: account.id,
    name: account.name,
    email: account.email,
    country: account.country,
    currency: 'EUR',
    lines: order.items.length,
    count,
    net,
    tax,
    shipping,
    total: net + tax + shipping,
    express: order.express,
    note: order.note ?? null,
    carrier: order.express ? 'air' : 'road',
    warehouse: 'north',
    skus: order.items.map(({ sku }) => sku),
  };
}
