/**
 * The command line as processes.
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Peer } from "./interop.ts";
import { type Finished, type ProcessOptions, run } from "./process.ts";
import { commandFor, ROOT, RUNTIME, type RuntimeName } from "./runtime.ts";

/** The command line of the command line. */
export function cliCommand(args: readonly string[], runtime: RuntimeName = RUNTIME): string[] {
  return [...commandFor(runtime, join(ROOT, "cli.ts")), ...args];
}

/** Runs it to its end, with this as its stdin. */
export function runCli(
  args: readonly string[],
  options: ProcessOptions & { input?: string | Uint8Array } = {},
): Promise<Finished> {
  return run(cliCommand(args), options);
}

/** Starts it. */
export function startCli(args: readonly string[], options: ProcessOptions = {}): Peer {
  return new Peer(cliCommand(args), options);
}

/** Starts a command that serves, and waits until it does. */
export async function startServing(
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Peer> {
  const [command, ...rest] = args;
  const peer = startCli([command!, "--verbose", ...rest], options);
  await peer.waitFor(/(Listening|Receiving) on .*\n/, "stderr");
  return peer;
}

/** Asserts code and stderr; the process ended by itself. */
export function assertEnds(finished: Finished, code: number, stderr = ""): void {
  assertEquals(
    { code: finished.code, signal: finished.signal, stderr: finished.stderr },
    { code, signal: null, stderr },
  );
}

/** The JSON objects on stdout. */
export function records(stdout: string): Record<string, unknown>[] {
  return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}
