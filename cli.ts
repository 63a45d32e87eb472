/**
 * The command line: `npx afunix` or `deno run -A jsr:@afunix/afunix/cli`, on Deno, Bun and Node.js.
 * Importing this module runs it: it is a program, and exports nothing. `--help` tells the commands.
 *
 * @example
 * ```sh
 * deno run -A jsr:@afunix/afunix/cli echo /tmp/echo.sock
 * ```
 *
 * @module
 */

import process from "node:process";
import { main } from "./cli/main.ts";

await main(process.argv.slice(2));
