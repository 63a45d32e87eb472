/**
 * The suite where the C library is musl, on the runtimes that exist there; elsewhere only the tests that ask
 * musl by a C compiler. `npm run test:musl` takes the options of `npm test`.
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { delimiter, join, resolve } from "node:path";
import { runtimeNames } from "../testing/options.ts";

const binaries = resolve("node_modules", ".bin");
const searchPath = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");

/** Runs the suite with these arguments; its exit code. */
function runSuite(args: readonly string[], path = searchPath): number {
  const suite = ["--disable-warning=ExperimentalWarning", join("scripts", "run_tests.ts")];
  const { status } = spawnSync(process.execPath, [...suite, "--skip-checks", ...args], {
    stdio: "inherit",
    env: { ...process.env, PATH: path.join(delimiter) },
  });
  return status ?? 1;
}

/** The version of musl, if that is the C library here. */
function muslVersion(): string | undefined {
  // musl's `ldd` is its loader, which has no such option: it says who it is, and fails.
  const { stdout, stderr } = spawnSync("ldd", ["--version"], { encoding: "utf8" });
  return /^musl libc[^]*^Version (\S+)/m.exec(`${stdout}\n${stderr}`)?.[1];
}

/** The first program of that name along the search path that runs here and can call C. */
function findRuntime(name: "bun" | "node"): string | undefined {
  return searchPath.map((folder) => join(folder, name))
    .find((program) => spawnSync(program, ["-e", `require("${name}:ffi")`]).status === 0);
}

/** Fills a folder with the pinned tools, and with the runtimes that run here in the place of the pinned ones. */
function linkPrograms(folder: string, found: Record<string, string>): void {
  for (const name of readdirSync(binaries)) {
    if (runtimeNames.some((runtime) => runtime === name)) continue;
    symlinkSync(realpathSync(join(binaries, name)), join(folder, name));
  }
  for (const [name, program] of Object.entries(found)) symlinkSync(program, join(folder, name));
}

function main(args: readonly string[]): number {
  const version = muslVersion();
  if (version === undefined) {
    const status = runSuite(["--file", "tests/ffi/musl", ...args]);
    console.log(
      "\nNo runtime was run on musl: this machine has another C library. " +
        "What ran were the tests that ask musl by musl-gcc, or skip where it is missing.",
    );
    return status;
  }
  console.log(`The C library is musl ${version}.\nNot run: deno: it is not made for musl`);
  const found: Record<string, string> = {};
  for (const name of ["bun", "node"] as const) {
    const program = findRuntime(name);
    if (program !== undefined) found[name] = program;
    else console.log(`Not run: ${name}: no ${name} that runs here and has ${name}:ffi was found`);
  }
  const names = Object.keys(found);
  if (names.length === 0) {
    console.log("✗ no runtime was run");
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), "afunix-musl-"));
  try {
    linkPrograms(folder, found);
    const others = searchPath.filter((each) => resolve(each) !== binaries);
    const asked = args.some((each) => /^--runtime(=|$)/.test(each));
    const chosen = asked ? [] : names.flatMap((name) => ["--runtime", name]);
    return runSuite([...chosen, ...args], [folder, ...others]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
