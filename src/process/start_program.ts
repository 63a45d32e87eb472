/**
 * Starting a program through `node:child_process`, which all three runtimes have.
 * @module
 */

import { builtinModule, errnoNumber, failure, refusal } from "../../ffi/mod.ts";
import type { SpawnPlan } from "./options.ts";

/** A stream of `node:stream`. */
export interface NodeStream {
  destroy(): void;
  on(event: "error", listener: () => void): void;
}

/** What is used of a ChildProcess. */
export interface Child {
  readonly pid?: number | undefined;
  readonly stdin: NodeStream | null;
  readonly stdout: NodeStream | null;
  readonly stderr: NodeStream | null;
  on(event: "error", listener: (error: unknown) => void): void;
  on(event: "exit", listener: (code: number | null, signal: string | null) => void): void;
  ref(): void;
  unref(): void;
}

interface ChildProcessModule {
  spawn(command: string, args: readonly string[], options: {
    env: Record<string, string | undefined>;
    cwd?: string;
    stdio: (string | number)[];
  }): Child;
}

/** This process's environment, which a child has without another. */
export function ownEnvironment(): Record<string, string | undefined> {
  return { ...builtinModule<{ env: Record<string, string | undefined> }>("node:process")!.env };
}

/**
 * Starts the program. Its descriptors from 3 on are duplicates of these; what the runtime cannot
 * start is thrown, or comes as `pid` undefined with an `error` event.
 */
export function startProgram(
  plan: SpawnPlan,
  env: Record<string, string | undefined>,
  descriptors: readonly number[],
): Child {
  const module = builtinModule<ChildProcessModule>("node:child_process");
  if (module === undefined) {
    throw refusal("ENOTSUP", {
      action: startingOf(plan.command),
      syscall: "execve",
      detail: "there is no node:child_process",
    });
  }
  return module.spawn(plan.command, plan.args, {
    env,
    stdio: [...plan.stdio, ...descriptors],
    ...plan.cwd === undefined ? {} : { cwd: plan.cwd },
  });
}

/** The beginning of a message. */
export function startingOf(command: string): string {
  return `Cannot start ${JSON.stringify(command)}`;
}

/** The typed error for what a runtime says when it cannot start; its own where that has no errno. */
export function startFailure(error: unknown, command: string): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  const errno = typeof code === "string" ? errnoNumber(code) : NaN;
  if (Number.isNaN(errno)) return error;
  return failure(-errno, { action: startingOf(command), syscall: "execve" }, error);
}
