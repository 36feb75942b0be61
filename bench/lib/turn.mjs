/** Gives a function that joins the strings of one turn of the event loop, and hands them to `write` at its end. */
export function joinedByTurn(write) {
  let pending = '';
  return (text) => {
    if (pending === '') process.nextTick(flush);
    pending += text;
  };

  function flush() {
    const all = pending;
    pending = '';
    write(all);
  }
}
