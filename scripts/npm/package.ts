/** The package's own files: its manifest, its program, its documents. */

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configuration, type Entry, OUT, ROOT } from "./project.ts";

export function writePackage(entries: readonly Entry[]): void {
  const project = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const { version } = configuration();
  if (project.version !== version) {
    throw new Error(`package.json is of version ${project.version}, deno.json of ${version}`);
  }
  const { name, description, keywords, license, engines } = project;
  const exports = Object.fromEntries(entries.map(({ specifier, name }) => [
    specifier,
    { types: `./types/${name}.d.ts`, default: `./${name}.js` },
  ]));
  const manifest = {
    name,
    version,
    description,
    keywords,
    license,
    type: "module",
    engines,
    os: ["linux"],
    // Everything else may be left out of a bundle that uses nothing of it.
    sideEffects: ["./debug.js"],
    bin: { afunix: "bin/afunix.js" },
    exports: { ...exports, "./package.json": "./package.json" },
  };
  writeFileSync(join(OUT, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const file of ["README.md", "CHANGELOG.md", "LICENSE"]) {
    copyFileSync(join(ROOT, file), join(OUT, file));
  }
}
