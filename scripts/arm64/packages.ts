/**
 * What Debian has to provide before an x86_64 machine can run programs for aarch64.
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

/** Where the libraries for aarch64 are. */
export const libraries = "/usr/aarch64-linux-gnu";

/** The C compiler whose word the tests compare the layouts with. */
export const compiler = "aarch64-linux-gnu-gcc";

/** Each package, and a file or a program that it brings. */
const wanted: readonly [name: string, brings: string][] = [
  ["qemu-user", "qemu-aarch64"],
  ["libc6-arm64-cross", `${libraries}/lib/libc.so.6`],
  ["libgcc-s1-arm64-cross", `${libraries}/lib/libgcc_s.so.1`],
  ["libstdc++6-arm64-cross", `${libraries}/lib/libstdc++.so.6`],
  ["libatomic1-arm64-cross", `${libraries}/lib/libatomic.so.1`],
  ["gcc-aarch64-linux-gnu", compiler],
  ["libc6-dev-arm64-cross", `${libraries}/include/stdio.h`],
];

/** Installs what is missing, as root or by sudo; throws an Error that names it where that cannot be. */
export function ensurePackages(): void {
  const missing = missingPackages();
  if (missing.length === 0) return;
  console.log(`Installing ${missing.join(" ")} from Debian`);
  const reason = install(missing);
  const left = missingPackages();
  if (left.length === 0) return;
  throw new Error(
    `Cannot run programs for aarch64: ${reason ?? "they are still missing after apt-get install"}` +
      `\nInstall these packages of Debian, or what corresponds to them: ${left.join(" ")}`,
  );
}

function missingPackages(): string[] {
  return wanted.filter(([, brings]) => !isThere(brings)).map(([name]) => name);
}

function isThere(what: string): boolean {
  return what.startsWith("/") ? existsSync(what) : programPath(what) !== undefined;
}

/** Where a program is found in PATH. */
export function programPath(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Returns why it did not work. */
function install(packages: readonly string[]): string | undefined {
  if (!isThere("apt-get")) return "there is no apt-get here";
  const asRoot = process.getuid!() === 0 ? [] : ["sudo", "-n"];
  if (asRoot.length > 0 && run(["sudo", "-n", "true"]) !== undefined) {
    return "only root may install packages, and sudo asks for a password";
  }
  return run([...asRoot, "apt-get", "update", "-qq"]) ?? run([
    ...asRoot,
    ...["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq"],
    ...["--no-install-recommends", ...packages],
  ]);
}

function run(command: readonly string[]): string | undefined {
  const result = spawnSync(command[0]!, command.slice(1), {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
  });
  if (result.status === 0) return undefined;
  return `${command.join(" ")}: ${result.stderr?.trim() || result.error?.message || result.signal}`;
}
