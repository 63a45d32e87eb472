/**
 * The suite where the C library is musl, on the runtimes that exist there; elsewhere only the tests that ask
 * musl by a C compiler. `npm run test:musl` takes the options of `npm test`.
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { delimiter, join, resolve } from "node:path";
import { libc } from "./libc.ts";
import { type Found, runtimesHere } from "./runtimes.ts";

const binaries = resolve("node_modules", ".bin");

/** Runs the suite with these arguments; its exit code. */
function runSuite(args: readonly string[], path = process.env["PATH"]): number {
  const suite = ["--disable-warning=ExperimentalWarning", join("scripts", "run_tests.ts")];
  const { status } = spawnSync(process.execPath, [...suite, "--skip-checks", ...args], {
    stdio: "inherit",
    env: { ...process.env, PATH: path },
  });
  return status ?? 1;
}

/** A folder of what is pinned, with the runtimes that run here in the place of those that do not. */
function programs(folder: string, found: readonly Found[]): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(binaries)) {
    if (["deno", "bun", "node"].includes(name)) continue;
    symlinkSync(realpathSync(join(binaries, name)), join(folder, name));
  }
  for (const { name, program } of found) symlinkSync(program, join(folder, name));
}

function main(): number {
  const args = process.argv.slice(2);
  const { name, version } = libc();
  if (name !== "musl") {
    const status = runSuite(["--file", "tests/ffi/musl", ...args]);
    console.log(
      `\nNo runtime was run on musl: the C library here is ${name} ${version}. ` +
        "What ran were the tests that ask musl by musl-gcc, or skip where it is missing.",
    );
    return status;
  }
  const { found, missing } = runtimesHere(process.env["PATH"] ?? "");
  console.log(`The C library is musl ${version}.`);
  for (const { name, reason } of missing) console.log(`Not run: ${name}: ${reason}`);
  if (found.length === 0) {
    console.log("✗ no runtime was run");
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), "afunix-musl-"));
  try {
    programs(folder, found);
    const others = (process.env["PATH"] ?? "").split(delimiter)
      .filter((each) => each !== "" && resolve(each) !== binaries);
    const asked = args.includes("--runtime") || args.some((each) => each.startsWith("--runtime="));
    const chosen = asked ? [] : found.flatMap(({ name }) => ["--runtime", name]);
    return runSuite([...chosen, ...args], [folder, ...others].join(delimiter));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = main();
