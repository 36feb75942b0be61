import 'reflect-metadata';

// Before anything that loads tsyringe, which demands it.
import 'reflect-metadata';

export { serve, type FetchInit, type ServeOptions, type TestServer } from './test-server.js';
export { Refused } from './refused.js';
export type { TestSocket, SocketInit } from './test-socket.js';
export type { TestStream, StreamEvent } from './test-stream.js';
