/**
 * Writing to stdout and stderr, whatever the runtime makes of a failure.
 * @module
 */

import process from "node:process";
import { errnoName, file } from "../ffi/mod.ts";
import { Fd } from "../src/fd.ts";
import { codeOf, Failure } from "./failures.ts";

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
    if (deno !== undefined && !process.stdout.isTTY) return await writeByDeno(deno, data);
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(data, (error) => error ? reject(error) : resolve());
    });
  } catch (error) {
    const code = errorCode(error);
    if (code === "EPIPE") throw new BrokenPipe();
    throw new Failure(`Cannot write to the standard output: ${code}`);
  }
}

interface DenoNamespace {
  stdout: { write(data: Uint8Array): Promise<number> };
  permissions: { querySync(what: { name: "ffi" }): { state: string } };
}

const { Deno: deno } = globalThis as { Deno?: DenoNamespace };

/** Deno's `process.stdout` blocks the whole process, signals too, while nobody empties a pipe. */
async function writeByDeno(deno: DenoNamespace, data: Uint8Array | string): Promise<void> {
  let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
  // Another process that has the same pipe open may have made it non-blocking. What Deno throws then
  // does not tell how much it has written. To ask needs a permission that `--help` does without.
  if (deno.permissions.querySync({ name: "ffi" }).state === "granted" && file.isNonBlocking(1)) {
    using own = Fd.received(file.duplicate(1));
    return await own.writeAll(rest);
  }
  while (rest.length > 0) rest = rest.subarray(await deno.stdout.write(rest));
}

/** Writes to stderr; where that cannot be, nobody is left to tell. */
export function writeErr(text: string): void {
  try {
    process.stderr.write(text);
  } catch {
    // See above.
  }
}

/** The code of an error; on Deno, one of a file has it in its text only. */
function errorCode(error: unknown): string {
  const number = /\(os error (\d+)\)/.exec(String(error))?.[1];
  return codeOf(error) ?? (number === undefined ? "failed" : errnoName(Number(number)));
}
