import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import proxyAddress from '@fastify/proxy-addr';
import { ConfigurationError } from '../base/errors.js';

/** Reads the client's address, scheme and host of a request, from `X-Forwarded-*` if the peer is a trusted proxy. */
export interface Origination {
  address(request: IncomingMessage): string;
  secure(request: IncomingMessage): boolean;
  host(request: IncomingMessage): string | undefined;
  /** Whether the proxy at an address, `hop` hops away, is trusted. */
  trust(address: string, hop: number): boolean;
  /** Whether any proxy is trusted. */
  readonly trustsProxies: boolean;
}

/** Reads `X-Forwarded-*` of trusted peers only: any client can send these fields. */
export function origination(trusted: string | readonly string[] | undefined): Origination {
  if (trusted === undefined || trusted.length === 0) {
    return {
      address: ({ socket }) => socket.remoteAddress ?? '',
      secure: isEncrypted,
      host,
      trust: () => false,
      trustsProxies: false,
    };
  }
  const trust = compile(typeof trusted === 'string' ? trusted.split(/\s*,\s*/) : [...trusted]);
  const believed = ({ socket }: IncomingMessage): boolean => trust(socket.remoteAddress ?? '', 0);
  return {
    trust,
    trustsProxies: true,
    address: (request) => proxyAddress(request, trust),
    // For an upgrade, some proxies send the scheme of the socket (RFC 6455, section 3).
    secure: (request) => {
      const protocol = believed(request) ? last(request.headers['x-forwarded-proto']) : undefined;
      return protocol === undefined ? isEncrypted(request) : /^(?:https|wss)$/i.test(protocol);
    },
    host: (request) =>
      (believed(request) ? last(request.headers['x-forwarded-host']) : undefined) ?? host(request),
  };
}

function compile(trusted: string[]): ReturnType<typeof proxyAddress.compile> {
  try {
    return proxyAddress.compile(trusted);
  } catch (cause) {
    throw new ConfigurationError(
      `createApp: trustProxy takes addresses, subnets, or loopback, linklocal and uniquelocal: ${(cause as Error).message}`,
      { code: 'INVALID_OPTION', cause },
    );
  }
}

function isEncrypted({ socket }: IncomingMessage): boolean {
  return (socket as Partial<TLSSocket>).encrypted === true;
}

function host({ headers }: IncomingMessage): string | undefined {
  return headers.host;
}

/** The value that the nearest proxy has appended; undefined if it is empty. */
function last(field: string | string[] | undefined): string | undefined {
  return (Array.isArray(field) ? field.at(-1) : field)?.split(',').at(-1)?.trim() || undefined;
}
