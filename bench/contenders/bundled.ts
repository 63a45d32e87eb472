/**
 * As main.ts, for a bundle that holds one workload: `WORKLOAD API ARGUMENT...`.
 * @module
 */

import process from "node:process";
import { contend } from "./startup.ts";

const [, api, ...args] = process.argv.slice(2);
console.log(await contend(api!, args));
process.exit(0);
