import { HttpError } from 'coequal';
import { scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { singleton } from 'tsyringe';

/** A user who may trade. */
export interface Account {
  id: string;
  name: string;
  /** Whether the account may list and end connections. */
  operator: boolean;
}

const derive = promisify<string, string, number, Buffer>(scrypt);

/** The accounts that may sign in. */
@singleton()
export class Accounts {
  /** @throws HttpError 401, the same for a wrong name and a wrong password */
  async check(name: string, password: string): Promise<Account> {
    const id = name.toLowerCase();
    const found = TABLE.get(id);
    // An unknown name takes as long as a wrong password.
    const given = await derive(password, id, 32);
    const expected = Buffer.from(found?.key ?? '', 'hex');
    if (found === undefined || expected.length !== given.length || !timingSafeEqual(expected, given)) {
      throw new HttpError(401, 'The name or the password is wrong');
    }
    return { id, name: found.name, operator: found.operator ?? false };
  }
}

/** Keys are scrypt(password, salt: id), 32 bytes. Every password is “floor”. */
const TABLE: ReadonlyMap<string, { name: string; key: string; operator?: boolean }> = new Map([
  ['ada', { name: 'Ada', key: '9894a93ed5ba59c9cab2dff8fec39a844338e1b44cdea068a2769707b182bdb5' }],
  ['alan', { name: 'Alan', key: 'd3cd9fa569336394904ee5bc55b1b6a9174bbceea6e91e9e49ba19cfcccd4cb1' }],
  [
    'grace',
    {
      name: 'Grace',
      key: '4b44c71e569a1560622a5637f029b967ecbd38623d8cb890a5edf3c2833079aa',
      operator: true,
    },
  ],
  ['hedy', { name: 'Hedy', key: 'e9129606512e6cd7f8549b22ad6d174deef3c3fe643b3caa71f7411f511bf76e' }],
]);
