import { chromium, type Browser } from 'playwright-core';
import { executable, unless, type Skippable } from './skip.js';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** Starts Debian's Chromium; skips the suite where there is none. Called in `before`. */
export async function startChromium(suite: Skippable): Promise<Browser> {
  const executablePath = executable('chromium');
  unless(executablePath === undefined && 'Chromium', 'apt-get install -y chromium', suite);
  return chromium.launch({ executablePath, args: FLAGS });
}
