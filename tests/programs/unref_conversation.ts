/**
 * Talks to itself over sockets that are unref'd, as fast as it can, until a few hundred rounds are over;
 * then only these sockets are left, and it has to end by itself. Argument: the most microseconds of
 * busy polling, 0 for none, or "configured" to leave it as it is.
 */

import process from "node:process";
import { setInterval, setTimeout } from "node:timers";
import { configure, UnixStream } from "../../mod.ts";

const [max] = process.argv.slice(2) as [string];
if (max !== "configured") configure({ busyPoll: max === "0" ? false : { max: Number(max) } });

const ROUNDS = 300;
const [a, b] = UnixStream.pair();
a.unref();
b.unref();
// Blocking calls look by trying again.
a.writeSync(new Uint8Array(1));
b.readSync(new Uint8Array(1));
try {
  b.readSync(new Uint8Array(1), { timeout: 1 });
} catch {
  // Nothing is there.
}

(async () => {
  for (;;) {
    await b.read(new Uint8Array(1));
    await b.write(new Uint8Array(1));
  }
})();
let rounds = 0;
(async () => {
  for (;;) {
    await a.write(new Uint8Array(1));
    await a.read(new Uint8Array(1));
    rounds++;
  }
})();

// The last that keeps the process alive: it ends while the conversation goes on.
const timer = setInterval(() => {
  if (rounds < ROUNDS) return;
  clearInterval(timer);
  console.log("over");
}, 20);
setTimeout(() => {
  console.log("still alive");
  process.exit(1);
}, 10_000).unref();
