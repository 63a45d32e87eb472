/** What the package is made of. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT: string = join(import.meta.dirname!, "..", "..");
export const OUT: string = join(ROOT, "npm");

/** One thing that can be imported. */
export interface Entry {
  /** `.` or `./name`, as in `exports`. */
  readonly specifier: string;
  /** `mod` or `name`: its file without an ending. */
  readonly name: string;
}

interface Configuration {
  /** The name on JSR. */
  name: string;
  exports: Record<string, string>;
  version: string;
  publish: { include: string[] };
}

export function configuration(): Configuration {
  return JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
}

/** The entries that deno.json exports; the command line is a program of the package instead. */
export function entriesOf(): Entry[] {
  return Object.entries(configuration().exports)
    .filter(([specifier]) => specifier !== "./cli")
    .map(([specifier, file]) => ({ specifier, name: /^\.\/(\w+)\.ts$/.exec(file)![1]! }));
}
