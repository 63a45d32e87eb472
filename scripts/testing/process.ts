/** Child processes in their own process group, so that nothing they start outlives them. */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

export interface Finished {
  /** null if a signal ended it. */
  code: number | null;
  signal: string | null;
  timedOut: boolean;
  /** What it wrote to stdout and stderr, in order of arrival; the middle is left out if it is long. */
  output: string;
}

const keptAtEachEnd = 64 * 1024;
const running = new Set<ChildProcess>();

/** Runs a command to its end. Rejects only if it cannot be started. */
export async function run(
  command: string,
  args: readonly string[],
  options: { timeout?: number; env?: Record<string, string> } = {},
): Promise<Finished> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: childEnv(options.env),
  });
  const output = new Output();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => output.add(text));
  }
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  running.add(child);
  let timedOut = false;
  const timer = options.timeout === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, options.timeout);
  try {
    const ended = await new Promise<{ code: number | null; signal: string | null }>(
      (resolve, reject) => {
        child.on("error", reject);
        child.on("exit", (code, signal) => resolve({ code, signal }));
      },
    );
    // Something that escaped from the process group may still hold the pipes.
    await Promise.race([closed, delay(1000)]);
    return { ...ended, timedOut, output: output.text() };
  } finally {
    clearTimeout(timer);
    running.delete(child);
    killGroup(child);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Makes Ctrl-C and SIGTERM end the running child processes too. */
export function endChildrenOnSignals(): void {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    process.on(signal, () => {
      for (const child of running) killGroup(child);
      process.exit(code);
    });
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The whole group has ended.
  }
}

function childEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    NO_COLOR: "1",
    // It would take descriptors in programs that count theirs.
    DENO_NO_UPDATE_CHECK: "1",
    ...extra,
  };
  delete env["FORCE_COLOR"];
  delete env["NODE_TEST_CONTEXT"];
  // Who has set this would not see a test that needs it.
  delete env["NODE_NO_WARNINGS"];
  return env;
}

class Output {
  #head = "";
  #tail = "";

  add(text: string): void {
    this.#tail += text;
    if (this.#head === "" && this.#tail.length > keptAtEachEnd) {
      this.#head = this.#tail.slice(0, keptAtEachEnd);
      this.#tail = this.#tail.slice(keptAtEachEnd);
    }
    if (this.#tail.length > 2 * keptAtEachEnd) {
      this.#tail = "[…]" + this.#tail.slice(-keptAtEachEnd);
    }
  }

  text(): string {
    return this.#head + this.#tail;
  }
}
