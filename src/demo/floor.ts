import { sessions, type AppOptions } from 'coequal';
import { files } from 'coequal/files';
import { DeskController } from './desk-controller.js';
import { MarketController } from './market-controller.js';
import { OperatorController } from './operator-controller.js';
import { RoomController } from './rooms.js';
import { SessionController } from './session-controller.js';
import { identify } from './signed-in.js';

const page = new URL('../../../src/demo/page/', import.meta.url);
const uplot = new URL('.', import.meta.resolve('uplot'));

/** Options of the trading floor, for `main.ts` and the tests. */
export const floor: AppOptions = {
  controllers: [SessionController, MarketController, RoomController, DeskController, OperatorController],
  middleware: [
    files(page),
    files(uplot, { prefix: '/uplot', maxAge: 3_600 }),
    // For plain HTTP on this machine. Behind TLS keep the default cookie: Secure, __Host-.
    sessions({ cookie: { name: 'floor', secure: false } }),
    identify,
  ],
};
