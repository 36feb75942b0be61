import type { Writable } from 'node:stream';
import { ConfigurationError, HttpError } from '../base/errors.js';

/** Limits of one form, a 413 above them. The limit of the body bounds all parts together. */
export interface MultipartLimits {
  /** Fields and files together. */
  parts: number;
  files: number;
  /** Bytes of one file. */
  fileSize: number;
  /** Bytes of the value of one field, which is kept in memory. */
  fieldSize: number;
  /** Header fields that are read of one part; further ones are ignored. */
  headerPairs: number;
}

export const MULTIPART_LIMITS: Readonly<MultipartLimits> = Object.freeze({
  parts: 1_000,
  files: 100,
  fileSize: Infinity,
  fieldSize: 1_048_576,
  headerPairs: 100,
});

/** The part of `@fastify/busboy` that this room uses, so that no declaration depends on an optional package. */
export type Parser = new (config: {
  headers: { 'content-type': string };
  limits: Partial<MultipartLimits> & { headerSize: number };
  fileHwm: number;
  isPartAFile: (name?: string, mediaType?: string, filename?: string) => boolean;
}) => Writable;

/** Imports `@fastify/busboy` on first use, because it is optional. */
export async function loadParser(): Promise<Parser> {
  // Bundlers fail at an optional import outside of a `try`.
  try {
    return (await import('@fastify/busboy')).Busboy;
  } catch (error) {
    return missingPackage(error);
  }
}

/** @throws HttpError 415 if the package is not installed; else the error itself */
export function missingPackage(error: unknown): never {
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error;
  const remedy = 'to read multipart/form-data, install the optional package: npm install @fastify/busboy';
  const cause = new ConfigurationError(remedy, { code: 'MISSING_PACKAGE', cause: error });
  throw new HttpError(415, 'multipart/form-data is not supported', { cause });
}
