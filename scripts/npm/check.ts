/** Whether the package is what it should be: its files, its types, and how it runs once installed. */

import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { configuration, type Entry, OUT, ROOT } from "./project.ts";
import { followQuickStart } from "./quick_start.ts";

/** What may be in it. */
const LIBRARY =
  /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|\w+\.js(\.map)?|shared\/\w+\.js(\.map)?|bin\/afunix\.js(\.map)?|types\/(\w+\/)*\w+\.d\.ts)$/;

/** What is wrong with it and its archive; empty where nothing is. */
export async function check(entries: readonly Entry[], archive: string): Promise<string[]> {
  const findings = [...foreignFiles(), ...await lint(), ...await followQuickStart(archive)];
  const project = mkdtempSync(join(tmpdir(), "afunix-user-"));
  try {
    install(project, archive);
    findings.push(
      ...checkTypes(project, entries),
      ...runSmokeTest(project),
      ...runProgram(project),
    );
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
  return findings;
}

function foreignFiles(): string[] {
  return readdirSync(OUT, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(OUT.length + 1))
    .filter((file) => !LIBRARY.test(file))
    .map((file) => `${file} does not belong into the package`);
}

async function lint(): Promise<string[]> {
  const { messages, pkg } = await publint({ pkgDir: OUT, strict: true });
  return messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`);
}

/** Packs it; the archive's path. */
export function pack(): string {
  const args = ["pack", OUT, "--silent", "--pack-destination", ROOT];
  return join(ROOT, expect("npm", args, ROOT).trim());
}

/** Installs the packed package into an empty project, as its users do. */
function install(project: string, archive: string): void {
  writeFileSync(join(project, "package.json"), '{ "type": "module", "private": true }\n');
  expect("npm", ["install", archive, "--offline", "--silent", "--no-audit", "--no-fund"], project);
}

/** Every entry's types, with their libraries checked, by both ways to resolve modules. */
function checkTypes(project: string, entries: readonly Entry[]): string[] {
  const lines = entries.map(({ specifier }, i) =>
    `import * as entry${i} from "afunix${specifier.slice(1)}";\nconsole.log(entry${i});`
  );
  writeFileSync(join(project, "uses.ts"), `${lines.join("\n")}\n`);
  mkdirSync(join(project, "node_modules", "@types"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(project, "node_modules", name));
  }
  return [["nodenext", "nodenext"], ["esnext", "bundler"]].flatMap(([module, resolution]) => {
    const found = run("tsc", [
      ...["--noEmit", "--strict", "--pretty", "false", "--target", "esnext", "--types", "node"],
      ...["--module", module!, "--moduleResolution", resolution!, "uses.ts"],
    ], project);
    return found.status === 0 ? [] : [`tsc, ${resolution}: ${found.stdout}${found.stderr}`];
  });
}

const RUNTIMES: Record<string, readonly string[]> = {
  node: ["--disable-warning=ExperimentalWarning"],
  bun: [],
  deno: ["run", "--allow-all", "--node-modules-dir=manual"],
};

function runSmokeTest(project: string): string[] {
  cpSync(join(ROOT, "scripts", "npm", "smoke.mjs"), join(project, "smoke.mjs"));
  return Object.entries(RUNTIMES).flatMap(([runtime, args]) => {
    // Deno's own spelling of the same package.
    const name = runtime === "deno" ? "npm:afunix" : "afunix";
    const { status, stdout, stderr } = run(runtime, [...args, "smoke.mjs", name], project);
    return status === 0 && stdout === "ok\n"
      ? []
      : [`The smoke test fails on ${runtime}: ${stdout}${stderr}`];
  });
}

/** The program, as npm installs it. */
function runProgram(project: string): string[] {
  const { status, stdout, stderr } = run("node_modules/.bin/afunix", ["--version"], project);
  const { version } = configuration();
  return status === 0 && stdout.includes(version)
    ? []
    : [`afunix --version says: ${stdout}${stderr}`];
}

function run(command: string, args: readonly string[], cwd: string) {
  return spawnSync(command, args, { cwd, encoding: "utf8", timeout: 120_000 });
}

function expect(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = run(command, args, cwd);
  if (status !== 0) throw new Error(`${command} ${args[0]} failed: ${error ?? stderr}`);
  return stdout;
}
