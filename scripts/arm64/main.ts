/**
 * The suite on aarch64: as it is on such a machine, under QEMU's emulation of user programs on an x86_64 one.
 * `npm run test:arm64` takes the options of `npm test`.
 * @module
 */

import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";
import process from "node:process";
import { join } from "node:path";
import { runtimeNames } from "../testing/options.ts";
import { runInPlace } from "./namespace.ts";
import { compiler, ensurePackages, libraries, programPath } from "./packages.ts";
import { ensureRuntimes } from "./runtimes.ts";

const suite = ["--disable-warning=ExperimentalWarning", join("scripts", "run_tests.ts")];

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (process.platform === "linux" && process.arch === "arm64") {
    return spawnSync(process.execPath, [...suite, ...args], { stdio: "inherit" }).status ?? 1;
  }
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error("Programs for Linux on aarch64 run on Linux alone, on aarch64 or x86_64");
  }
  ensurePackages();
  const folder = join(process.cwd(), "node_modules", ".cache", "arm64");
  const programs = ensureRuntimes(folder);
  return await runInPlace(
    {
      folder,
      emulator: programPath("qemu-aarch64")!,
      libraries,
      hides: runtimeNames.map((name) =>
        [realpathSync(join("node_modules", ".bin", name)), programs[name]] as const
      ),
      first: [["cc", programPath(compiler)!]],
    },
    // What the checks say does not depend on the processor.
    [...suite, "--skip-checks", ...args],
    (alone) => ({
      AFUNIX_EMULATED: alone ? "in a user namespace" : "on the whole machine",
      DENO_DIR: join(folder, "deno_dir"),
    }),
  );
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
