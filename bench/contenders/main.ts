/**
 * One contender in a process of its own: `main.ts WORKLOAD API ARGUMENT...`, on every runtime.
 * Prints its figure. The arguments are those of the C programs in `c/`.
 * @module
 */

import process from "node:process";

type Contend = (api: string, args: string[]) => Promise<number | string>;

const [workload, api, ...args] = process.argv.slice(2);
const { contend } = await import(`./${workload}.ts`) as { contend: Contend };
console.log(await contend(api!, args));
process.exit(0);
