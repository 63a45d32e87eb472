/**
 * The type declarations, by dnt where JSR is within reach and by tsc elsewhere. `deno pack` (2.9.5) would
 * make them too, but leaves out every member whose name is a symbol, such as `[Symbol.dispose]`.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { configuration, type Entry, expect, OUT, ROOT } from "./project.ts";

const DNT = "jsr:@deno/dnt@^0.42.3";

interface Dnt {
  build(options: Record<string, unknown>): Promise<void>;
}

/** Leaves `npm/` with nothing but declarations; says what made them. */
export async function emitTypes(entries: readonly Entry[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "afunix-types-"));
  try {
    rmSync(OUT, { recursive: true, force: true });
    const dnt = await importDnt();
    if (dnt !== null) await emitByDnt(dnt, entries, directory);
    else emitByTsc(entries, directory);
    copyDeclarations(dnt !== null ? join(directory, "types") : directory);
    return dnt !== null ? "dnt" : "tsc, as JSR is out of reach";
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Null where the runtime cannot load it: it is not Deno, or JSR is out of reach. */
async function importDnt(): Promise<Dnt | null> {
  try {
    return await import(DNT) as Dnt;
  } catch {
    return null;
  }
}

async function emitByDnt(dnt: Dnt, entries: readonly Entry[], outDir: string): Promise<void> {
  process.chdir(ROOT);
  const { version } = configuration();
  await dnt.build({
    entryPoints: entries.map(({ specifier, name }) => ({ name: specifier, path: `./${name}.ts` })),
    outDir,
    shims: {},
    scriptModule: false,
    test: false,
    typeCheck: false,
    declaration: "separate",
    skipNpmInstall: true,
    package: { name: "afunix", version },
  });
}

function emitByTsc(entries: readonly Entry[], outDir: string): void {
  expect("tsc", [
    ...[
      "--ignoreConfig",
      "--declaration",
      "--emitDeclarationOnly",
      "--strict",
      "--pretty",
      "false",
    ],
    ...["--target", "esnext", "--module", "nodenext", "--types", "node", "--skipLibCheck"],
    ...["--allowImportingTsExtensions", "--rootDir", ".", "--outDir", outDir],
    ...entries.map(({ name }) => `${name}.ts`),
  ], ROOT);
}

/** Copies them as users of npm need them: with the files' and the package's names there. */
function copyDeclarations(from: string): void {
  for (const file of readdirSync(from, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".d.ts")) continue;
    const text = readFileSync(join(from, file), "utf8")
      .replaceAll(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"')
      .replaceAll('"@afunix/afunix', '"afunix');
    mkdirSync(dirname(join(OUT, "types", file)), { recursive: true });
    writeFileSync(join(OUT, "types", file), text);
  }
}
