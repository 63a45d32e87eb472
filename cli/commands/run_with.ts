/**
 * Running a command with descriptors.
 * @module
 */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";
import type { Fd } from "../../mod.ts";
import { codeOf, Failure } from "../failures.ts";
import type { Session } from "../session.ts";

/** The first number after stdin, stdout and stderr. */
const FIRST_FD = 3;

/**
 * LISTEN_PID has to be the process that the command runs in, which is not known before it exists:
 * the shell sets it, and becomes the command.
 */
const BECOME = 'export LISTEN_PID=$$; exec "$@"';
const BECOME_WITHOUT = 'exec "$@"';

/** What a service manager sets: those of the service that this may be part of are not the command's. */
const MANAGER = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];

/** The longest message that goes into a variable, in bytes. */
const MAX_VARIABLE = 32768;

/**
 * Runs a command whose descriptors are 3, 4, … (with `asInput` the first of them is its stdin), and
 * waits for its end.
 *
 * @returns its exit code; 128 and the signal's number where a signal ended it
 */
export async function runWith(
  session: Session,
  command: readonly string[],
  files: readonly Fd[],
  message: Uint8Array,
  asInput: boolean,
): Promise<number> {
  const others = files.slice(asInput ? 1 : 0);
  const numbers = others.map((_, index) => FIRST_FD + index);
  const args = command.flatMap((word) =>
    word === "{}" ? numbers.map((number) => `/dev/fd/${number}`) : [word]
  );
  // Where none is passed, there are no variables: to sd_listen_fds(3), LISTEN_FDS=0 is an error.
  const passes = others.length > 0;
  const own = Object.entries(process.env).filter(([name]) => !MANAGER.includes(name));
  const child = spawn("/bin/sh", ["-c", passes ? BECOME : BECOME_WITHOUT, "afunix", ...args], {
    stdio: [
      asInput ? files[0]!.fd : "inherit",
      "inherit",
      "inherit",
      ...others.map(({ fd }) => fd),
    ],
    env: {
      ...Object.fromEntries(own),
      ...(passes ? { LISTEN_FDS: String(others.length) } : {}),
      AFUNIX_FDS: numbers.join(" "),
      AFUNIX_MESSAGE: textFor(message),
    },
  });
  session.handOver((signal) => {
    // What is typed on a terminal reaches the child by itself.
    if (signal === "SIGINT" && process.stdin.isTTY) return;
    try {
      if (child.pid !== undefined) process.kill(child.pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on("error", (error) => {
        reject(new Failure(`Cannot run ${command[0]}: ${codeOf(error) ?? error.message}`));
      });
      child.on("exit", (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  } finally {
    session.takeBack();
  }
}

/** A message as the value of a variable: empty where it is no text, or too long. */
function textFor(message: Uint8Array): string {
  if (message.length > MAX_VARIABLE || message.includes(0)) return "";
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(message).replace(/\n$/, "");
  } catch {
    return "";
  }
}
