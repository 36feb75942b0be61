/**
 * Whether the fast paths are taken. For tests only: `COEQUAL_FAST_PATHS=0` turns all of them off, so that a suite can check that
 * the behaviour is the same without them.
 */
export const fastPaths = process.env['COEQUAL_FAST_PATHS'] !== '0';
