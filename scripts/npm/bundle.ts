/** The code: one file for each entry, and what they share beside it. */

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { type Entry, OUT, ROOT } from "./project.ts";

export async function bundle(entries: readonly Entry[]): Promise<void> {
  const sources = entries.map(({ name }) => ({ in: join(ROOT, `${name}.ts`), out: name }));
  sources.push({ in: join(ROOT, "cli/bin.ts"), out: "bin/afunix" });
  await build({
    entryPoints: sources,
    outdir: OUT,
    chunkNames: "shared/[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "es2024",
    sourcemap: true,
    legalComments: "none",
    logLevel: "warning",
  });
  const program = join(OUT, "bin", "afunix.js");
  writeFileSync(program, `#!/usr/bin/env node\n${readFileSync(program, "utf8")}`);
  chmodSync(program, 0o755);
}
