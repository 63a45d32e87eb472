/**
 * Takes all descriptors but one, then creates what needs two. Prints as JSON what came of it.
 */

import { Fd, UnixSocketError, UnixStream } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const taken: Fd[] = [];

/** Opens files until no descriptor is free; how many. */
function takeAll(): number {
  const before = taken.length;
  for (;;) {
    try {
      taken.push(Fd.open("/dev/null"));
    } catch (error) {
      if ((error as UnixSocketError).code !== "EMFILE") throw error;
      return taken.length - before;
    }
  }
}

/** What a call fails with, and how many descriptors are free after it. */
function attempt(call: () => unknown): unknown {
  try {
    call();
    return "succeeded";
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    const room = takeAll();
    for (let closed = 0; closed < room; closed++) taken.pop()!.close();
    return [error.code, error.syscall, `room for ${room}`];
  }
}

takeAll();
taken.pop()!.close();
const pair = attempt(() => UnixStream.pair());
const pipe = attempt(() => Fd.pipe());
for (const fd of taken.splice(0)) fd.close();

const [a, b] = UnixStream.pair();
const buffer = new Uint8Array(1);
const reading = b.read(buffer);
await a.writeAll(new Uint8Array([7]));
const afterwards = await reading === 1 && buffer[0] === 7 ? "works" : "fails";
a.close();
b.close();
console.log(JSON.stringify({ pair, pipe, afterwards }));
