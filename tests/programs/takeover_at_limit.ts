/**
 * Listens and binds where a socket is in the way and only so many descriptors are free, from none to
 * as many as it takes. Arguments: "listener" or "datagram", what is there ("stale" or "served"), and
 * the path. Prints as JSON what came of it with each number of free descriptors, and whether anything
 * changed but by success.
 */

import { lstatSync, readdirSync } from "node:fs";
import process from "node:process";
import { Fd, UnixDatagram, UnixListener, UnixSocketError } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

const [kind, what, path] = process.argv.slice(2) as [string, string, string];
const MAX = 8;

function bind(stale: "replace" | "fail" = "replace"): UnixListener | UnixDatagram {
  return kind === "listener"
    ? UnixListener.listen(path, { stale, unlinkOnClose: false })
    : UnixDatagram.bind(path, { stale, unlinkOnClose: false });
}

function takeAll(): Fd[] {
  const taken: Fd[] = [];
  try {
    for (;;) taken.push(Fd.open("/dev/null"));
  } catch (error) {
    if ((error as UnixSocketError).code !== "EMFILE") throw error;
    return taken;
  }
}

function attempt(): string {
  try {
    bind().close();
    return "taken over";
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    return `${error.code} in ${error.syscall}`;
  }
}

openForSignals();
const owner = bind("fail");
if (what === "stale") owner.close();
const outcomes: string[] = [];
let untouched = true;
for (let free = 0; free <= MAX; free++) {
  const before = lstatSync(path).ino;
  const open = readdirSync("/proc/self/fd").length;
  const taken = takeAll();
  for (let i = 0; i < free; i++) taken.pop()!.close();
  const outcome = attempt();
  for (const fd of taken) fd.close();
  outcomes.push(outcome);
  if (readdirSync("/proc/self/fd").length !== open) untouched = false;
  if (outcome === "taken over") break;
  if (lstatSync(path).ino !== before) untouched = false;
  if (!outcome.startsWith("EMFILE")) break;
}
if (what !== "stale") owner.close();
console.log(JSON.stringify({ outcomes, untouched }));
