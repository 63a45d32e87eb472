/**
 * Real processes: started, talked to, awaited, and never left behind.
 * @module
 */

import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { closed, opening } from "./late_closing.ts";

/**
 * Where the suite itself runs in debug mode, a program under test has the checks of it, but does not
 * report what it leaves open: tests look at what it says, and many programs leave things on purpose.
 * Deno does not look for a newer version half a second after its start, which takes descriptors.
 */
function quiet(): Record<string, string> {
  const debug: Record<string, string> = process.env.AFUNIX_DEBUG
    ? { AFUNIX_DEBUG: "pointers" }
    : {};
  return { ...debug, DENO_NO_UPDATE_CHECK: "1" };
}

/** What a finished process left. */
export interface Finished {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) sendSignal(child, "SIGKILL");
});

/**
 * Not by `ChildProcess.kill()`: on Deno that closes the child's standard input before it sends the signal, and takes
 * the process for dead after any.
 */
function sendSignal(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(child.pid, signal);
  } catch (error) {
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}

/** A process under test. Its output is collected. */
export class TestProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = "";
  stderr = "";
  #watchers = new Set<() => void>();

  constructor(command: readonly string[], options: ProcessOptions = {}) {
    const { env, cwd, stdio = "pipe" } = options;
    const opened = opening(() =>
      spawn(command[0]!, command.slice(1), {
        cwd,
        env: { ...process.env, ...quiet(), ...env },
        stdio,
      })
    );
    this.child = opened.value;
    running.add(this.child);
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#notify();
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#notify();
    });
    this.finished = once(this.child, "close").then(async ([code, signal]) => {
      running.delete(this.child);
      await closed(opened);
      this.#notify();
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
    this.finished.catch(() => running.delete(this.child));
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Waits until the output has a text; rejects when the process ends without it. */
  async waitFor(text: string | RegExp, from: "stdout" | "stderr" = "stdout"): Promise<string> {
    const found = () => {
      const output = this[from];
      return typeof text === "string" ? output.includes(text) : text.test(output);
    };
    let ended = false;
    this.finished.finally(() => ended = true);
    while (!found()) {
      if (ended) {
        throw new Error(
          `The process ended without ${text}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`,
        );
      }
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this[from];
  }

  write(text: string | Uint8Array): void {
    this.child.stdin!.write(text);
  }

  closeStdin(): void {
    this.child.stdin!.end();
  }

  /** Sends a signal, unless it has ended. */
  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    sendSignal(this.child, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.finished.catch(() => {});
  }

  #notify(): void {
    for (const resolve of this.#watchers) resolve();
    this.#watchers.clear();
  }
}

export interface ProcessOptions {
  env?: Record<string, string>;
  cwd?: string;
  stdio?: StdioOptions;
}

/** Runs a command to its end, with this text as its standard input. */
export async function run(
  command: readonly string[],
  options: ProcessOptions & { input?: string | Uint8Array } = {},
): Promise<Finished> {
  await using started = new TestProcess(command, options);
  if (started.child.stdin) {
    started.child.stdin.on("error", () => {});
    started.child.stdin.end(options.input ?? "");
  }
  return await started.finished;
}
