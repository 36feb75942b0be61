interface Flushed {
  flush(): void;
}

let dirty: Flushed[] = [];

/** All that one turn of the event loop sends to a connection leaves in one write, when the turn is over. */
export function flushSoon(connection: Flushed): void {
  if (dirty.push(connection) === 1) process.nextTick(flushAll);
}

function flushAll(): void {
  const connections = dirty;
  dirty = [];
  for (const connection of connections) connection.flush();
}
