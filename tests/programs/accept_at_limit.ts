/**
 * A server that runs out of descriptors. Arguments: what to do there, and the path.
 *
 * Says "listening", takes every descriptor when "full" is read, says so, and goes on as told: then
 * "measured" with a JSON line, and "free" gives the descriptors back.
 */

import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const [what, path] = process.argv.slice(2) as [string, string];
const WINDOW = 2000;
const taken: number[] = [];
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function takeAll(): void {
  for (;;) {
    try {
      taken.push(openSync("/dev/null", "r"));
    } catch {
      return;
    }
  }
}

function giveBack(): void {
  for (const fd of taken.splice(0)) closeSync(fd);
}

/** Answers with what it reads, once. */
async function echo(stream: UnixStream): Promise<void> {
  const buffer = new Uint8Array(16);
  const count = await stream.read(buffer);
  if (count !== null) await stream.writeAll(buffer.subarray(0, count));
  stream.close();
}

const listener = UnixListener.listen(path, { backlog: 100 });
const busy = UnixStream.pair();

async function serve(): Promise<void> {
  for await (const stream of listener) echo(stream);
}

async function answerOne(): Promise<void> {
  await echo(await listener.accept());
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function told(line: string): Promise<void> {
  const { value } = await lines.next();
  if (value !== line) throw new Error(`told ${value} instead of ${line}`);
}

/** What a call fails with. */
async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return "nothing";
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    return `${error.code} in ${error.syscall}`;
  }
}

// Deno makes its pair of sockets for signals half a second after its start, and panics where it
// has no descriptors for them: this has it make them now.
process.on("SIGWINCH", () => {});

console.log("listening");
await told("warm up");
const serving = what === "iterate" ? serve() : answerOne();
if (what === "accept") await serving;
await told("full");
takeAll();
const waiting = what === "accept" ? codeOf(() => listener.accept()) : null;
console.log("full");
// The clients are in the backlog now.
await told("measure");
const result: Record<string, unknown> = {};
if (what === "accept") {
  result.waiting = await waiting;
  result.accept = await codeOf(() => listener.accept());
  result.acceptSync = await codeOf(() => listener.acceptSync());
  result.pair = await codeOf(() => UnixStream.pair());
} else {
  // A socket that is open goes on all the while.
  await pause(500);
  let rounds = 0;
  const before = process.cpuUsage();
  const start = performance.now();
  while (performance.now() - start < WINDOW) {
    await busy[0].writeAll(new Uint8Array(1));
    await busy[1].read(new Uint8Array(1));
    rounds++;
    await pause(100);
  }
  const { user, system } = process.cpuUsage(before);
  result.percent = (user + system) / (performance.now() - start) / 10;
  result.busy = rounds > 0;
}
console.log(`measured ${JSON.stringify(result)}`);
await told("free");
giveBack();
if (what === "accept") { for (let i = 0; i < 5; i++) await answerOne(); }
await told("end");
listener.close();
await serving;
console.log("ended");
process.exit(0);
