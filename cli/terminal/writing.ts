/**
 * Writing to stdout and stderr, whatever the runtime makes of a failure.
 * @module
 */

import process from "node:process";
import { errnoName, file, runtimeName, sockets } from "../../ffi/mod.ts";
import { Fd } from "../../src/fd/fd.ts";
import { codeOf, Failure } from "../failures.ts";

// What fails is told by the callback, or thrown; without a listener, the event would end the process.
const ignore = () => {};

/** Nobody reads the output any more. */
export class BrokenPipe extends Error {
  override name = "BrokenPipe";
}

/** Makes failures of both streams the business of those who write. */
export function watchStreams(): void {
  process.stdout.on("error", ignore);
  process.stderr.on("error", ignore);
}

/**
 * Writes to stdout, and waits until the data are on their way. They may change after that.
 *
 * @throws {BrokenPipe} nobody reads it
 * @throws {Failure} it cannot be written: the disk is full, for instance
 */
export async function writeOut(data: Uint8Array | string): Promise<void> {
  try {
    await write("stdout", data);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EPIPE") throw new BrokenPipe();
    throw new Failure(`Cannot write to the standard output: ${code}`);
  }
}

interface DenoStream {
  write(data: Uint8Array): Promise<number>;
}

interface DenoNamespace {
  stdout: DenoStream;
  stderr: DenoStream;
  permissions: { querySync(what: { name: "ffi" }): { state: string } };
}

const deno = runtimeName() === "deno"
  ? (globalThis as unknown as { Deno: DenoNamespace }).Deno
  : undefined;

/** The most characters that wait for a reader of stderr. */
const MAX_WAITING = 65536;

async function write(name: "stdout" | "stderr", data: Uint8Array | string): Promise<void> {
  const stream = process[name];
  if (deno !== undefined && !stream.isTTY) {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    return await writeByDeno(deno, name, bytes);
  }
  await new Promise<void>((resolve, reject) => {
    stream.write(data, (error) => error ? reject(error) : resolve());
  });
}

/** Deno's `process.stdout` blocks the whole process, signals too, while nobody empties a pipe. */
async function writeByDeno(
  deno: DenoNamespace,
  name: "stdout" | "stderr",
  data: Uint8Array,
): Promise<void> {
  const own = nonBlocking(deno, name);
  if (own !== null) {
    own.ref();
    return await own.writeAll(data).finally(() => own.unref());
  }
  for (let rest = data; rest.length > 0;) rest = rest.subarray(await deno[name].write(rest));
}

const NUMBERS = { stdout: 1, stderr: 2 };
const duplicates: { stdout?: Fd; stderr?: Fd } = {};

/**
 * A duplicate to write through where another process that has the same pipe open has made it non-blocking: what
 * Deno throws then does not tell how much it has written. Null where it blocks, and where that cannot be
 * known: to ask takes a permission that `--help` does without, and a system that the library supports.
 */
function nonBlocking(deno: DenoNamespace, name: "stdout" | "stderr"): Fd | null {
  if (!mayAsk(deno)) return null;
  try {
    if (!file.isNonBlocking(NUMBERS[name])) return null;
    const known = duplicates[name];
    if (known !== undefined) return known;
    const made = file.duplicate(NUMBERS[name]);
    return made < 0 ? null : duplicates[name] = Fd.received(made).unref();
  } catch {
    return null;
  }
}

function mayAsk(deno: DenoNamespace): boolean {
  return deno.permissions.querySync({ name: "ffi" }).state === "granted";
}

/** Whether these few bytes can be written to stderr now, on Deno. */
function fitsNow(deno: DenoNamespace, text: string): boolean {
  if (text.length > SURE / 4 || !mayAsk(deno)) return false;
  try {
    return sockets.pollOne(NUMBERS.stderr, "writable", 0) === 1;
  } catch {
    return false;
  }
}

/** How many bytes a pipe has room for that is called writable. */
const SURE = 4096;

let waiting = "";
let emptying: Promise<void> | null = null;

/**
 * Writes to stderr, without waiting: at once on a terminal, and on Deno where there is room; else what was
 * written before goes first. Where that cannot be, nobody is left to tell.
 */
export function writeErr(text: string): void {
  // At once, so that it stands in its place among what others write there.
  const fits = deno !== undefined && emptying === null && fitsNow(deno, text);
  if (process.stderr.isTTY || fits) {
    try {
      process.stderr.write(text);
    } catch {
      // See above.
    }
    return;
  }
  waiting += text;
  emptying ??= writeWaiting();
}

/** Whether few enough words wait for a reader of stderr. */
export function errHasRoom(): boolean {
  return waiting.length < MAX_WAITING;
}

/** All that was written to stderr is on its way. */
export async function errWritten(): Promise<void> {
  await emptying;
}

async function writeWaiting(): Promise<void> {
  try {
    while (waiting !== "") {
      const text = waiting;
      waiting = "";
      await write("stderr", text);
    }
  } catch {
    waiting = "";
  }
  emptying = null;
}

/** The code of an error; on Deno, one of a file has it in its text only. */
function errorCode(error: unknown): string {
  const number = /\(os error (\d+)\)/.exec(String(error))?.[1];
  return codeOf(error) ?? (number === undefined ? "failed" : errnoName(Number(number)));
}
