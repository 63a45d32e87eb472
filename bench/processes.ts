/**
 * Contenders and peers as processes.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";

/** How long one contender may take, in milliseconds. */
const TIMEOUT = 300_000;

export interface RunOptions {
  env?: Record<string, string>;
  /** Whether it may run for as long as the workload does. */
  lasting?: boolean;
}

/** What runs now. */
const running = new Set<ChildProcess>();

/** Leaves nothing behind, however the benchmark ends. */
export function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** A process that is spoken to line by line. */
export class Conversation {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #command: string;
  #errors = "";
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(command: readonly string[], { env, lasting = false }: RunOptions = {}) {
    this.#command = command.join(" ");
    this.child = spawn(command[0]!, command.slice(1), {
      env: { ...process.env, NODE_NO_WARNINGS: "1", ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    running.add(this.child);
    this.child.on("exit", () => running.delete(this.child));
    this.child.stderr!.on("data", (text) => this.#errors += text);
    this.child.on("error", (error) => this.#errors += error.message);
    this.child.stdin!.on("error", () => {});
    this.#lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
    if (!lasting) this.#timer = setTimeout(() => this.child.kill("SIGKILL"), TIMEOUT);
  }

  /** The next line it prints. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done !== true) return value;
    throw new Error(`${this.#command}: ended without an answer\n${this.#errors.slice(0, 2000)}`);
  }

  /** What it answers to a line. */
  async ask(question: string): Promise<number> {
    this.child.stdin!.write(`${question}\n`);
    return figure(await this.line(), this.#command);
  }

  /** Nanoseconds of processor time that its threads have taken so far. */
  processorTime(): number {
    const tasks = `/proc/${this.child.pid}/task`;
    let sum = 0;
    for (const task of readdirSync(tasks)) {
      sum += Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]);
    }
    return sum;
  }

  async end(): Promise<void> {
    clearTimeout(this.#timer);
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
}

/** Runs a contender to its end: the number on its last line. */
export async function run(command: readonly string[], options?: RunOptions): Promise<number> {
  const conversation = new Conversation(command, options);
  try {
    const line = await conversation.line();
    return figure(line, command.join(" "));
  } finally {
    await conversation.end();
  }
}

function figure(line: string, command: string): number {
  const value = Number(line);
  if (line !== "" && Number.isFinite(value)) return value;
  throw new Error(`${command}: said "${line}" instead of a number`);
}
