/** Child processes in their own process group, so that nothing they start outlives them. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

export interface Finished {
  /** null if a signal ended it. */
  code: number | null;
  signal: string | null;
  timedOut: boolean;
  /** The end of what it wrote to stdout and stderr, in order of arrival. */
  output: string;
}

/** Characters of output that are kept. */
const MAX_OUTPUT = 1_000_000;

/** Milliseconds for the output of a process that has ended, while another holds its pipes. */
const DRAIN_MS = 1000;

const running = new Set<ChildProcess>();

/** Runs a command to its end. Rejects only if it cannot be started. */
export async function run(
  command: string,
  args: readonly string[],
  { timeout, env = {} }: { timeout?: number; env?: Record<string, string> } = {},
): Promise<Finished> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: {
      ...process.env,
      NO_COLOR: "1",
      // It would take descriptors in programs that count theirs.
      DENO_NO_UPDATE_CHECK: "1",
      ...env,
      FORCE_COLOR: undefined,
      NODE_TEST_CONTEXT: undefined,
      // Who has set this would not see a test that needs it.
      NODE_NO_WARNINGS: undefined,
    },
  });
  running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT);
    });
  }
  let timedOut = false;
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, timeout);
  // A process that left the group may hold the pipes for ever.
  child.on("exit", () => {
    setTimeout(() => [child.stdout, child.stderr].forEach((pipe) => pipe.destroy()), DRAIN_MS)
      .unref();
  });
  try {
    const [code, signal] = await once(child, "close");
    return { code, signal, timedOut, output };
  } finally {
    clearTimeout(timer);
    running.delete(child);
    killGroup(child);
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

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The whole group has ended.
  }
}
