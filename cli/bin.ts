/**
 * What the npm package's `bin` runs, on whichever runtime it finds itself: the command line, where
 * needed in a process that has `node:ffi`. There are versions of Node.js that have it only with
 * `--experimental-ffi`, which a `#!/usr/bin/env node` line cannot give: `env -S` would, but it is not
 * everywhere, and fails on versions that do not know the flag. So the process replaces itself.
 * @module
 */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";

const FLAG = "--experimental-ffi";

if (process.versions.bun === undefined && process.versions.deno === undefined && !hasFfi()) {
  if (process.allowedNodeEnvironmentFlags.has(FLAG) && !process.execArgv.includes(FLAG)) {
    startAgain();
  } else {
    console.error(
      `afunix needs Node.js 26.1 or later, Bun or Deno; this is Node.js ${process.versions.node}`,
    );
    process.exit(1);
  }
} else {
  // Only now: an older Node.js could not even parse it.
  const { main } = await import("./main.ts");
  await main(process.argv.slice(2));
}

function hasFfi(): boolean {
  return process.getBuiltinModule?.("node:ffi") !== undefined;
}

/** The same program with the flag, in this process or else in a child. */
function startAgain(): void {
  const kept = process.execArgv.filter((word) => word !== "--no-experimental-ffi");
  const args = [...kept, FLAG, ...process.argv.slice(1)];
  process.removeAllListeners("warning");
  try {
    process.execve?.(process.execPath, [process.execPath, ...args], process.env);
  } catch {
    // Not on this system, or not allowed: a child does the same with one process more.
  }
  const child = spawn(process.execPath, args, { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) {
    process.on(signal, () => {
      // What is typed on a terminal reaches the child by itself.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`Cannot start ${process.execPath}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  });
}
