import {
  App,
  Body,
  Connections,
  Controller,
  HttpCode,
  Post,
  Signal,
  Sse,
  UseMiddleware,
  type Stats,
} from 'coequal';
import { setTimeout as wait } from 'node:timers/promises';
import { injectable } from 'tsyringe';
import { z } from 'zod';
import type { Account } from './market/accounts.js';
import { operatorsOnly, signedIn } from './signed-in.js';

const Revocation = z.object({
  user: z.string().min(1),
  reason: z.string().max(100).default('revoked by an operator'),
});
type Revocation = z.infer<typeof Revocation>;

/** Counters and open connections, for the operator's page. */
interface Overview {
  stats: Stats;
  connections: {
    id: string;
    kind: string;
    user: string;
    name: string;
    path: string;
    opened: number;
    buffered: number;
  }[];
}

@injectable()
@Controller('/operator')
@UseMiddleware(signedIn, operatorsOnly)
export class OperatorController {
  constructor(
    private readonly app: App,
    private readonly connections: Connections,
  ) {}

  /** Streams the overview twice a second. */
  @Sse('/overview')
  async *overview(@Signal() signal: AbortSignal) {
    for (;;) {
      yield this.#look();
      await wait(500, undefined, { signal });
    }
  }

  /** Ends the connections of a user. */
  @Post('/revoke')
  @HttpCode(204)
  async revoke(@Body(Revocation) { user, reason }: Revocation): Promise<void> {
    await this.connections.revoke({ user }, reason);
  }

  #look(): Overview {
    const connections = [...this.connections].map(
      ({ id, kind, user, userId = '', context, opened, buffered }) => {
        const { name = '' } = (user ?? {}) as Partial<Account>;
        return { id, kind, user: userId, name, path: context.path, opened, buffered };
      },
    );
    return { stats: this.app.stats(), connections };
  }
}
