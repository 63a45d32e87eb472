/**
 * Debug mode, which importing this module switches on: each pointer is checked before each call of the
 * C library, each descriptor before it is closed, and what the program loses or leaves open is
 * reported with the place where it was made.
 *
 * Node.js, Bun and Deno can import it before the program:
 *
 * ```sh
 * node --import afunix/debug app.ts
 * bun --preload afunix/debug app.ts
 * deno run -A --preload npm:afunix/debug app.ts
 * ```
 *
 * Each thread has a debug mode of its own. Node.js imports the module in each Worker too; on Deno and
 * Bun the Worker's module has to import it.
 *
 * `AFUNIX_DEBUG=strict` makes the process fail if something was lost or is open, and
 * `AFUNIX_DEBUG=pointers` reports nothing. Deno reads the variable only with `--allow-env`.
 *
 * **Errors**: importing it throws if this thread has already used the library, because libc was opened
 * without the checks.
 *
 * @example A program that is always in debug mode
 * ```ts
 * import "@afunix/afunix/debug";
 * import { UnixStream } from "@afunix/afunix";
 *
 * const [a, b] = UnixStream.pair();
 * a.close();
 * console.log("b stays open", b.fd);
 * // On standard error, with the line that called pair():
 * // afunix: 1 descriptor is still open at the end: …
 * ```
 *
 * @module
 */

import "./src/debug/mod.ts";
