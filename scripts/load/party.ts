/**
 * The processes that take part in a scenario: spoken to line by line in JSON, and measured from outside.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

export type RuntimeName = "deno" | "bun" | "node";
export const runtimeNames: readonly RuntimeName[] = ["deno", "bun", "node"];

const here = import.meta.dirname!;
const binaries = join(here, "..", "..", "node_modules", ".bin");

const runtimeFlags: Record<RuntimeName, readonly string[]> = {
  deno: ["run", "-A", "--no-check", "--quiet", "--v8-flags=--expose-gc"],
  bun: [],
  node: ["--no-warnings", "--experimental-ffi", "--expose-gc"],
};

/** What runs now; nothing of it outlives this process. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** How a process is started. */
export interface PartyOptions {
  /** The most descriptors that it may have. */
  descriptors?: number;
  /** The user and group that it runs as. */
  user?: number;
}

/** What was measured from outside and told from within. */
export interface Measures {
  /** Open descriptors. */
  descriptors: number;
  /** Megabytes that live objects take, after a collection. */
  heap: number;
  /** Megabytes of memory that are resident. */
  resident: number;
}

/** A program of this folder's, under one runtime. */
export class Party implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #name: string;
  #errors = "";

  constructor(
    runtime: RuntimeName,
    name: string,
    args: readonly (string | number)[],
    { descriptors, user }: PartyOptions = {},
  ) {
    this.#name = name;
    const program = join(here, "programs", `${name}.ts`);
    let command = [join(binaries, runtime), ...runtimeFlags[runtime], program, ...args.map(String)];
    if (user !== undefined) {
      command = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", ...command];
    }
    if (descriptors !== undefined) {
      command = ["sh", "-c", `ulimit -n ${descriptors} && exec "$@"`, "sh", ...command];
    }
    this.#child = spawn(command[0]!, command.slice(1), {
      // Deno looks for a newer version, for which it needs descriptors.
      env: { ...process.env, NODE_NO_WARNINGS: "1", NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    running.add(this.#child);
    this.#child.on("exit", () => running.delete(this.#child));
    this.#child.on("error", (error) => this.#errors += error.message);
    this.#child.stdin!.on("error", () => {});
    this.#child.stderr!.on("data", (text) => this.#errors += text);
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** The next line it says. */
  async line<T = unknown>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done === true) {
      throw new Error(`${this.#name} ended without an answer: ${this.#errors.slice(0, 1500)}`);
    }
    const said = JSON.parse(value);
    if (typeof said?.error === "string") throw new Error(`${this.#name}: ${said.error}`);
    return said;
  }

  /** Tells it something. */
  tell(command: object): void {
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
  }

  /** What it answers. */
  ask<T = unknown>(command: object): Promise<T> {
    this.tell(command);
    return this.line<T>();
  }

  /**
   * What its descriptors lead to. Left out are further ones of its standard streams: Deno holds a
   * duplicate while it reads its input.
   */
  get table(): string[] {
    const folder = `/proc/${this.#child.pid}/fd`;
    const entries: [number, string][] = [];
    for (const number of readdirSync(folder)) {
      try {
        entries.push([Number(number), readlinkSync(join(folder, number))]);
      } catch {
        // Closed meanwhile.
      }
    }
    const standard = entries.filter(([number]) => number < 3).map(([, target]) => target);
    return entries
      .filter(([number, target]) => number < 3 || !standard.includes(target))
      .map((entry) => entry.join(" "));
  }

  /** How many descriptors it has open. */
  get descriptors(): number {
    return this.table.length;
  }

  /** How many it has, all of its own and all of the runtime's: what its limit counts. */
  get used(): number {
    return readdirSync(`/proc/${this.#child.pid}/fd`).length;
  }

  /** Seconds of processor time that it has taken so far. */
  get processorTime(): number {
    const text = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // In ticks, of which there are always a hundred a second here: utime and stime.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** What it has, after a collection of its garbage. */
  async measure(): Promise<Measures> {
    const { heap } = await this.ask<{ heap: number }>({ do: "measure" });
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    const resident = Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024;
    return { descriptors: this.descriptors, heap, resident };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child;
    if (exitCode !== null || signalCode !== null || pid === undefined) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}

/** Which part of one processor a process takes over so many milliseconds. */
export async function processorShare(party: Party, milliseconds: number): Promise<number> {
  const before = party.processorTime;
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return (party.processorTime - before) / ((performance.now() - start) / 1000);
}
