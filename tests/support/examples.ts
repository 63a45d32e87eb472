/**
 * The programs in `examples/` as processes.
 * @module
 */

import { existsSync } from "node:fs";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { type Finished, type ProcessOptions, run, TestProcess } from "./process.ts";
import { commandFor, ROOT, RUNTIME, type RuntimeName } from "./runtime.ts";

/** The command line of an example, with no more permissions than its head comment asks for. */
export function exampleCommand(runtime: RuntimeName, name: string, args: string[] = []): string[] {
  const flags = runtime === "deno" && name === "socketpair_child"
    ? ["--allow-run", "--allow-env"]
    : [];
  const script = join(ROOT, "examples", `${name}.ts`);
  return [...commandFor(runtime, script, { allowAll: false, flags }), ...args];
}

/** Runs an example to its end. */
export function runExample(
  runtime: RuntimeName,
  name: string,
  args: string[] = [],
  options: ProcessOptions & { input?: string | Uint8Array } = {},
): Promise<Finished> {
  return run(exampleCommand(runtime, name, args), options);
}

/** Starts a server and waits until it listens. */
export async function startServer(
  name: string,
  path: string,
  { runtime = RUNTIME, ...options }: ProcessOptions & { runtime?: RuntimeName } = {},
): Promise<TestProcess> {
  const server = new TestProcess(exampleCommand(runtime, name, [path]), options);
  try {
    await server.waitFor("Listening on", name === "print_server" ? "stderr" : "stdout");
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Asserts that a server ends of its own accord, and that its path is gone. */
export async function assertEndsClean(server: TestProcess, path: string): Promise<void> {
  const { code, signal, stderr } = await server.finished;
  assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  assert(!existsSync(path), "the path is still there");
}

/** Asserts that a program failed as a newcomer should see it: one line, and exit code 1. */
export function assertOneLineError(finished: Finished, message: string): void {
  assertEquals(
    { code: finished.code, stderr: finished.stderr },
    { code: 1, stderr: `${message}\n` },
  );
}

const PTY = `import os, pty, sys
status = os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:]))
sys.exit(status if status >= 0 else 128 - status)`;

/**
 * A program on a terminal of its own, which it controls: what is written is typed. An end by a
 * signal shows as the exit code of a shell. Needs python3.
 */
export function onTerminal(command: string[], options: ProcessOptions = {}): TestProcess {
  return new TestProcess(["python3", "-c", PTY, ...command], options);
}

export const CTRL_C = "\x03";
export const CTRL_D = "\x04";
