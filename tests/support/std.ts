/**
 * Lets Node.js find `@std/*` in the npm package `deno-std`: `node --import ./tests/support/std.ts …`.
 * Deno reads the same names from `deno.json`, Bun from `tsconfig.json`; their types are in `std_types.d.ts`.
 * @module
 */

import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, nextResolve) {
    const name = /^@std\/(\w+)$/.exec(specifier)?.[1];
    if (name === undefined) return nextResolve(specifier, context);
    return nextResolve(import.meta.resolve(`deno-std/${name}/mod.js`), context);
  },
});
