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

/** The trading floor: what `main.ts` runs, and what the tests serve. */
export const floor: AppOptions = {
  controllers: [SessionController, MarketController, RoomController, DeskController, OperatorController],
  middleware: [
    files(page),
    files(uplot, { prefix: '/uplot', maxAge: 3_600 }),
    // This machine is reached by plain HTTP. Behind TLS leave the cookie as it is by default: Secure, __Host-.
    sessions({ cookie: { name: 'floor', secure: false } }),
    identify,
  ],
};
