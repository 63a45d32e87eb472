// `npm run bench -- OPTIONS`: see bench/run.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
handOver([join(root, "bench", "run.ts"), ...process.argv.slice(2)]);
