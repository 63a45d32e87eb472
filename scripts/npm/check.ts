/** Whether the package is what it should be: its files, its types, and how it runs once installed. */

import {
  copyFileSync,
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
import { configuration, type Entry, expect, OUT, ROOT, run } from "./project.ts";
import { followQuickStart, installAs } from "./quick_start.ts";

/** What may be in it. */
const LIBRARY =
  /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|\w+\.js(\.map)?|shared\/\w+\.js(\.map)?|bin\/afunix\.js(\.map)?|types\/(\w+\/)*\w+\.d\.ts)$/;

/** The headings of the quick start, each with the command of its runtime. */
const RUNTIMES: Record<string, readonly [command: string, ...args: string[]]> = {
  "Node.js": ["node", "--disable-warning=ExperimentalWarning"],
  "Bun": ["bun"],
  "Deno": ["deno", "run", "--allow-all"],
};

/** Packs it; the archive's path. */
export function pack(): string {
  const args = ["pack", OUT, "--silent", "--pack-destination", ROOT];
  return join(ROOT, expect("npm", args, ROOT).trim());
}

/** What is wrong with it and its archive; nothing if all is well. */
export async function check(entries: readonly Entry[], archive: string): Promise<string[]> {
  const findings = [...foreignFiles(), ...await lint(), ...lintTypes(archive)];
  for (const [heading, command] of Object.entries(RUNTIMES)) {
    const folder = mkdtempSync(join(tmpdir(), "afunix-user-"));
    try {
      // `deno add` takes no archive, and Deno runs what npm has installed.
      installAs(heading === "Deno" ? "Node.js" : heading, archive, folder);
      findings.push(...await followQuickStart(heading, folder), ...smokeTest(command, folder));
      findings.push(...debugMode(command, folder));
      if (heading === "Node.js") {
        findings.push(...checkTypes(folder, entries), ...runProgram(folder));
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
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

/**
 * Asks attw whether every way to resolve modules finds types that are true. `esm-only` leaves out two ways: `node10`,
 * which knows no `exports`, and `require()` of `node16`, since the package has ES modules alone.
 */
function lintTypes(archive: string): string[] {
  const args = ["--profile", "esm-only", "--no-definitely-typed", "--format", "ascii"];
  const { status, stdout, stderr } = run("attw", [archive, ...args, "--no-color"], ROOT);
  return status === 0 ? [] : [`attw: ${stdout}${stderr}`];
}

/** Every entry's types, with their libraries checked, by both ways to resolve modules. */
function checkTypes(folder: string, entries: readonly Entry[]): string[] {
  const lines = entries.map(({ specifier }, i) =>
    `import * as entry${i} from "afunix${specifier.slice(1)}";\nconsole.log(entry${i});`
  );
  writeFileSync(join(folder, "uses.ts"), `${lines.join("\n")}\n`);
  mkdirSync(join(folder, "node_modules", "@types"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
  return [["nodenext", "nodenext"], ["esnext", "bundler"]].flatMap(([module, resolution]) => {
    const { status, stdout, stderr } = run("tsc", [
      ...["--noEmit", "--strict", "--pretty", "false", "--target", "esnext", "--types", "node"],
      ...["--module", module!, "--moduleResolution", resolution!, "uses.ts"],
    ], folder);
    return status === 0 ? [] : [`tsc, ${resolution}: ${stdout}${stderr}`];
  });
}

function smokeTest([command, ...args]: readonly [string, ...string[]], folder: string): string[] {
  copyFileSync(join(ROOT, "scripts", "npm", "smoke.mjs"), join(folder, "smoke.mjs"));
  const { status, stdout, stderr } = run(command, [...args, "smoke.mjs", "afunix"], folder);
  return status === 0 && stdout === "ok\n"
    ? []
    : [`The smoke test fails on ${command}: ${stdout}${stderr}`];
}

/** Debug mode, imported before a program that leaves two descriptors open. */
function debugMode([command, ...args]: readonly [string, ...string[]], folder: string): string[] {
  const program = 'import { UnixStream } from "afunix";\nglobalThis.kept = UnixStream.pair();\n';
  writeFileSync(join(folder, "leaves_open.mjs"), program);
  // A bare name resolves on Deno only if package.json names a version from the registry.
  const module = command === "deno" ? "./node_modules/afunix/debug.js" : "afunix/debug";
  const preload = [command === "node" ? "--import" : "--preload", module];
  const { status, stderr } = run(command, [...args, ...preload, "leaves_open.mjs"], folder);
  return status === 0 && stderr.startsWith("afunix: 2 descriptors are still open at the end:\n")
    ? []
    : [`Debug mode says on ${command}: ${stderr}`];
}

/** The program, as npm installs it. */
function runProgram(folder: string): string[] {
  const { status, stdout, stderr } = run("node_modules/.bin/afunix", ["--version"], folder);
  return status === 0 && stdout.includes(configuration().version)
    ? []
    : [`afunix --version says: ${stdout}${stderr}`];
}
