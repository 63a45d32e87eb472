// `node scripts/run.mjs [NODE'S OPTIONS] SCRIPT [ARGS]`: installs the pinned runtimes and tools where they are missing,
// then runs the script under the pinned Node.js. Every `npm run` goes through it. Plain JavaScript that Node.js 20 runs.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const binaries = join(root, "node_modules", ".bin");

/** Runs `npm ci`, unless what `package-lock.json` describes is installed already. */
function ensureInstalled() {
  const reason = staleness();
  if (reason === undefined) return;
  console.log(`Installing the pinned runtimes and tools with npm ci (${reason})`);
  // Not through node_modules/.bin: npm ci deletes that while it runs.
  const result = spawnSync("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"], {
    cwd: root,
    env: { ...process.env, PATH: searchPath(false) },
    encoding: "utf8",
  });
  if (result.status !== 0) {
    const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error ?? ""}`;
    console.error(`npm ci failed:\n${output.trim()}`);
    process.exit(1);
  }
  const remaining = staleness();
  if (remaining !== undefined) {
    console.error(`npm ci succeeded, but ${remaining}; are npm's install scripts switched off?`);
    process.exit(1);
  }
}

/** Why `node_modules` is not what `package-lock.json` describes; undefined if it is. */
function staleness() {
  const wanted = packagesIn(join(root, "package-lock.json"));
  const installed = packagesIn(join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined) return "package-lock.json is missing";
  if (installed === undefined) return "nothing is installed yet";
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "" || (entry.optional && installed[path] === undefined)) continue;
    const name = path.replace("node_modules/", "");
    if (installed[path]?.version !== entry.version) return `${name} ${entry.version} is missing`;
  }
  for (const name of ["deno", "bun", "node", "tsc"]) {
    if (!existsSync(join(binaries, name))) return `node_modules/.bin/${name} is missing`;
  }
}

/** @param {string} lockFile */
function packagesIn(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** @param {boolean} withPinned whether `node_modules/.bin` comes first or not at all */
function searchPath(withPinned) {
  const others = (process.env.PATH ?? "").split(delimiter)
    .filter((folder) => folder !== "" && resolve(folder) !== binaries);
  return [...(withPinned ? [binaries] : []), ...others].join(delimiter);
}

/** The pinned Node.js. It is made for glibc: on another libc this Node.js runs the scripts, which are TypeScript. */
function interpreter() {
  process.report.excludeNetwork = true;
  const { glibcVersionRuntime } = process.report.getReport().header;
  if (process.platform !== "linux" || glibcVersionRuntime) return join(binaries, "node");
  if (!process.features.typescript) {
    console.error(`Node.js 22.18 or later is needed here, this is ${process.version}`);
    process.exit(2);
  }
  return process.execPath;
}

/**
 * Runs the script, passes signals on, and ends as it ends.
 *
 * @param {string[]} args the arguments of `node`, the script among them
 */
function run(args) {
  const child = spawn(interpreter(), ["--disable-warning=ExperimentalWarning", ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: searchPath(true) },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]) {
    process.on(signal, () => {
      // A terminal sends these two to the whole foreground group, so the child has its own.
      const fromTerminal = signal === "SIGINT" || signal === "SIGQUIT";
      if (!(fromTerminal && process.stdin.isTTY)) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`Cannot start Node.js: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // A signal that does not end this process (SIGPIPE) still has to show in the exit code.
    setTimeout(() => process.exit(128 + constants.signals[signal]), 200);
  });
}

ensureInstalled();
run(process.argv.slice(2));
