/**
 * Does what its argument says, a JSON array of attempts (see tests/support/raw.ts), and prints a JSON
 * array of how each ended. What was opened stays open until `close` or the end.
 * @module
 */

import process from "node:process";
import { Fd, UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";
import type { Attempt, Outcome } from "../support/raw.ts";

const open: Disposable[] = [];

async function attempt(one: Attempt): Promise<void> {
  if ("chdir" in one) process.chdir(one.chdir);
  else if ("close" in one) { for (const opened of open.splice(0)) opened[Symbol.dispose](); }
  else if ("connect" in one) open.push(await UnixStream.connect(one.connect, { from: one.from }));
  else if ("listen" in one) open.push(UnixListener.listen(one.listen, { stale: one.stale }));
  else open.push(Fd.open(one.open, one.mode ?? "read"));
}

const outcomes: Outcome[] = [];
for (const one of JSON.parse(process.argv[2]!) as Attempt[]) {
  try {
    await attempt(one);
    outcomes.push("ok");
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    const { code, errno, syscall, address = null, message } = error;
    outcomes.push({ code, errno, syscall, address, message });
  }
}
console.log(JSON.stringify(outcomes));
