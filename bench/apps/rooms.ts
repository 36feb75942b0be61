import { z } from 'zod';

/** What a member says in a room, and how each application checks it. */
export const Say = z.object({
  text: z.string().min(1).max(500),
  mood: z.enum(['happy', 'sad']).optional(),
  at: z.number().int(),
});
export type Say = z.infer<typeof Say>;
export type Said = Say & { from: string };

/** The lookup for which each handler waits. */
export async function nameOf(user: string): Promise<string> {
  return NAMES.get(user) ?? 'unknown';
}
const NAMES = new Map(Array.from({ length: 64 }, (_, i) => [String(i), `user ${i}`]));

/** Messages that a room keeps for those who come later. */
export const HISTORY = 100;

const rooms = new Map<string, Room>();

/** By hand what frameworks of sockets leave to the application: who is in a room, and what was said there. */
export class Room {
  readonly clients = new Set<(text: string) => void>();
  readonly #history: string[] = [];
  readonly #members = new Map<string, number>();

  static of(name: string): Room {
    let room = rooms.get(name);
    if (room === undefined) rooms.set(name, (room = new Room()));
    return room;
  }

  /** Gives the newcomer history and members, and the others the newcomer; gives the function that leaves. */
  join(
    user: string,
    send: (text: string) => void,
    encode: (event: string, value: object) => string,
  ): () => void {
    const tabs = this.#members.get(user) ?? 0;
    if (tabs === 0) this.#tell(encode('join', { type: 'join', id: user }));
    this.#members.set(user, tabs + 1);
    for (const text of this.#history) send(text);
    send(encode('present', { type: 'present', members: [...this.#members.keys()] }));
    this.clients.add(send);
    return () => {
      this.clients.delete(send);
      const left = (this.#members.get(user) ?? 1) - 1;
      if (left > 0) return void this.#members.set(user, left);
      this.#members.delete(user);
      this.#tell(encode('leave', { type: 'leave', id: user }));
    };
  }

  publish(text: string): void {
    this.keep(text);
    this.#tell(text);
  }

  keep(text: string): void {
    if (this.#history.push(text) > HISTORY) this.#history.shift();
  }

  #tell(text: string): void {
    for (const send of this.clients) send(text);
  }
}
