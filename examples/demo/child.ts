/**
 * A process of the demo, under one of the runtimes in `node_modules/.bin`, as `main.ts` sees it.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Report } from "./report.ts";

export type RuntimeName = "deno" | "bun" | "node";

const binaries = join(import.meta.dirname!, "..", "..", "node_modules", ".bin");

const argumentsOf: Record<RuntimeName, string[]> = {
  deno: ["run", "--quiet", "--no-prompt", "--allow-ffi"],
  bun: [],
  node: ["--disable-warning=ExperimentalWarning"],
};

/** How long a process may take to end when it is asked to, in milliseconds. */
const PATIENCE = 2000;

export class Child implements AsyncDisposable {
  readonly runtime: RuntimeName;
  readonly #name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #reports: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  #stderr = "";

  /** Starts `server.ts` or `client.ts`. */
  constructor(runtime: RuntimeName, role: "server" | "client", args: readonly string[]) {
    this.runtime = runtime;
    this.#name = `the ${role} under ${runtime}`;
    const script = join(import.meta.dirname!, `${role}.ts`);
    this.#process = spawn(
      join(binaries, runtime),
      [...argumentsOf[runtime], script, ...args],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    this.#reports = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => this.#stderr += text);
    this.#process.stdin.on("error", () => {}); // It ended before it was told to.
    this.#ended = once(this.#process, "close").catch((error) => {
      this.#stderr ||= `it cannot be started: ${error.code}`;
    });
  }

  /** Waits for a report, and shows the progress meanwhile. */
  async next<Event extends Report["event"]>(
    event: Event,
    onProgress?: (bytes: number) => void,
  ): Promise<Extract<Report, { event: Event }>> {
    for (;;) {
      const { done, value } = await this.#reports.next();
      if (done) throw await this.failure();
      const report = JSON.parse(value) as Report;
      if (report.event === event) return report as Extract<Report, { event: Event }>;
      if (report.event !== "progress") {
        throw new Error(`Did not expect from ${this.#name}: ${value}`);
      }
      onProgress?.(report.bytes);
    }
  }

  /** Asks it to end by itself, and waits until it has. */
  async end(): Promise<{ peakMemory: number }> {
    this.#process.stdin.end();
    const last = await this.next("end");
    await this.#ended;
    if (this.#process.exitCode !== 0) throw await this.failure();
    return last;
  }

  /** Ends it, unless it was lost before: then why. Nothing is known of its last reports. */
  async lost(): Promise<Error | null> {
    this.#process.stdin.end();
    await this.#ended;
    return this.#process.exitCode === 0 ? null : await this.failure();
  }

  /** Why it ended. */
  async failure(): Promise<Error> {
    await this.#ended;
    const { exitCode, signalCode } = this.#process;
    const said = this.#stderr.trim().split("\n").at(-1);
    return new Error(`Lost ${this.#name}: ${said || signalCode || `exit code ${exitCode}`}`);
  }

  kill(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): void {
    this.#process.kill(signal);
  }

  /** Ends it in any case. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    this.kill();
    const timer = setTimeout(() => this.kill("SIGKILL"), PATIENCE);
    await this.#ended;
    clearTimeout(timer);
  }
}
