import { errors } from './siblings/errors.js';
import { guards } from './siblings/guards.js';
import { heads } from './siblings/heads.js';
import { injection } from './siblings/injection.js';
import { life } from './siblings/life.js';
import { middleware } from './siblings/middleware.js';
import { parameters } from './siblings/parameters.js';
import { doors } from './support/doors.js';

/** What is promised for all kinds alike: one table, run for each. */
for (const door of doors) {
  describe(`siblings: ${door.kind}`, () => {
    describe('guards', () => guards(door));
    describe('parameters', () => parameters(door));
    describe('injection', () => injection(door));
    describe('the head', () => heads(door));
    describe('errors', () => errors(door));
    describe('life', () => life(door));
    describe('middleware', () => middleware(door));
  });
}
