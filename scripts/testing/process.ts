/** Child processes in process groups of their own, so that nothing they start outlives them. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import process from "node:process";

export interface Finished {
  /** null if the process was killed or could not be started. */
  code: number | null;
  /** "exited with code 1", "was killed by SIGSEGV", "was still running after 180 s". */
  end: string;
  /** The end of what it wrote to stdout and stderr, in order of arrival. */
  output: string;
}

/** Characters of output that are kept. */
const MAX_OUTPUT = 1_000_000;

/** Milliseconds to read the rest of the output if a process that left the group holds the pipes. */
const DRAIN_MS = 1000;

/** The leaders of the groups that run. */
const running = new Set<number>();

/** Runs a command to its end, for `timeout` milliseconds at most. */
export async function run(
  command: string,
  args: readonly string[],
  timeout: number,
): Promise<Finished> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    timeout,
    killSignal: "SIGKILL",
    env: {
      ...process.env,
      NO_COLOR: "1",
      // The check for a newer version would take descriptors in programs that count theirs.
      DENO_NO_UPDATE_CHECK: "1",
      FORCE_COLOR: undefined,
      NODE_TEST_CONTEXT: undefined,
      // Tests look at warnings.
      NODE_NO_WARNINGS: undefined,
    },
  });
  const { pid, stdout, stderr } = child;
  if (pid === undefined) {
    const [error] = await once(child, "error");
    return { code: null, end: "could not be started", output: String(error) };
  }
  running.add(pid);
  let output = "";
  for (const stream of [stdout, stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT);
    });
  }
  child.on("exit", () => {
    running.delete(pid);
    killGroup(pid);
    setTimeout(() => [stdout, stderr].forEach((stream) => stream.destroy()), DRAIN_MS).unref();
  });
  const [code, signal] = await once(child, "close");
  if (child.killed) return { code, end: `was still running after ${timeout / 1000} s`, output };
  const end = signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
  return { code, end, output };
}

/** Makes this process kill the running groups when it ends, by a signal too. */
export function killGroupsAtExit(): void {
  process.on("exit", () => running.forEach(killGroup));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The whole group has ended.
  }
}
