/**
 * Writing to stdout and stderr, whatever the runtime makes of a failure.
 * @module
 */

import process from "node:process";
import { getSystemErrorName } from "node:util";
import { Fd } from "../../mod.ts";
import { codeOf, Failure } from "../failures.ts";
import { deno, type DenoNamespace } from "../system/runtime.ts";

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
  const own = duplicateOf(deno, name);
  if (own?.nonBlocking) {
    own.ref();
    return await own.writeAll(data).finally(() => own.unref());
  }
  for (let rest = data; rest.length > 0;) rest = rest.subarray(await deno[name].write(rest));
}

const NUMBERS = { stdout: 1, stderr: 2 };
const duplicates: { stdout?: Fd; stderr?: Fd } = {};

/**
 * A duplicate to ask about, and to write through if it is non-blocking: another process that has the same
 * pipe open may have made it so, and what Deno throws then does not tell how much it has written. Null if
 * there can be none: it takes a permission that `--help` does without, and a system that the library
 * supports.
 */
function duplicateOf(deno: DenoNamespace, name: "stdout" | "stderr"): Fd | null {
  if (deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null;
  try {
    return duplicates[name] ??= Fd.duplicate(NUMBERS[name]).unref();
  } catch {
    return null;
  }
}

/** Whether these few bytes can be written to stderr now, on Deno. */
function fitsNow(deno: DenoNamespace, text: string): boolean {
  if (text.length > MIN_PIPE_ROOM / 4) return false;
  try {
    const own = duplicateOf(deno, "stderr");
    own?.waitWritableSync({ timeout: 0 });
    return own !== null;
  } catch {
    return false;
  }
}

/** The minimum number of bytes that a pipe has room for when poll(2) calls it writable. */
const MIN_PIPE_ROOM = 4096;

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
  return codeOf(error) ?? (number === undefined ? "failed" : getSystemErrorName(-Number(number)));
}
