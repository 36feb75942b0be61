import { createHash } from 'node:crypto';
import { parse } from 'node:querystring';
import type { Environment } from '../exchange/environment.js';

/** The part of `req.app` that Express middleware uses: Express's default settings, and the trusted proxies. */
export interface Application {
  get(setting: string): unknown;
  enabled(setting: string): boolean;
  disabled(setting: string): boolean;
  readonly locals: Record<string, unknown>;
  readonly settings: Record<string, unknown>;
}

const applications = new WeakMap<Environment, Application>();

/** The one `req.app` of an application. */
export function applicationOf(environment: Environment): Application {
  let application = applications.get(environment);
  if (application === undefined) applications.set(environment, (application = make(environment)));
  return application;
}

function make(environment: Environment): Application {
  const settings: Record<string, unknown> = {
    env: process.env.NODE_ENV ?? 'development',
    etag: 'weak',
    'etag fn': entityTag,
    'jsonp callback name': 'callback',
    'query parser': 'simple',
    'query parser fn': (search: string) => parse(search),
    'subdomain offset': 2,
    'trust proxy': environment.trustsProxies,
    'trust proxy fn': environment.trust,
    'x-powered-by': false,
  };
  const get = (setting: string): unknown => settings[setting];
  return {
    get,
    enabled: (setting) => Boolean(get(setting)),
    disabled: (setting) => !get(setting),
    locals: Object.assign(Object.create(null) as Record<string, unknown>, { settings }),
    settings,
  };
}

/** The weak `ETag` that Express computes for a body. */
export function entityTag(body: Uint8Array | string): string {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  if (bytes.length === 0) return 'W/"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"';
  const hash = createHash('sha1').update(bytes).digest('base64').slice(0, 27);
  return `W/"${bytes.length.toString(16)}-${hash}"`;
}
