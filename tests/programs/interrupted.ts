/**
 * Blocks in one call of the library while signals interrupt it.
 * Arguments: a path that is listened on with a full backlog, and what to do.
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { native } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";

const [path, what] = process.argv.slice(2) as [string, string];
const TIMEOUT = 300;
const say = (line: string) => writeSync(1, `${line}\n`);

process.on("SIGUSR2", () => {});

let interruptions = 0;
const { errno } = native();
const libc = native().libc as { poll: (...args: never[]) => number };
const { poll } = libc;
libc.poll = (...args) => {
  const result = poll(...args);
  if (result === -1) {
    const [left] = errno;
    interruptions++;
    say("interrupted");
    errno[0] = left!;
  }
  return result;
};

const [a] = UnixStream.pair();
const listener = UnixListener.listen(`\0${path}.own`);
const options = { timeout: TIMEOUT };
const timeouts: Record<string, () => unknown> = {
  "read-timeout": () => a.readSync(new Uint8Array(1), options),
  "write-timeout": () => a.writeAllSync(new Uint8Array(1_000_000), options),
  "accept-timeout": () => listener.acceptSync(options),
  "connect-timeout": () => UnixStream.connectSync(path, options),
};

if (what === "read") {
  const stream = UnixStream.connectSync(path);
  say("ready");
  const buffer = new Uint8Array(64);
  const count = stream.readSync(buffer);
  say(new TextDecoder().decode(buffer.subarray(0, count!)));
} else {
  say("ready");
  const until = performance.now() + 20_000;
  // On a busy machine the first wait may be over before a signal comes.
  while (interruptions === 0 && performance.now() < until) {
    const start = performance.now();
    try {
      timeouts[what]!();
    } catch (error) {
      const early = performance.now() - start < TIMEOUT;
      if (interruptions > 0) {
        say(`${(error as { code: string }).code} ${early ? "early" : "in time"}`);
      }
    }
  }
}
process.exit();
