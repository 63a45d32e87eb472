// `npm run load -- OPTIONS`: see scripts/load/main.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
handOver([join(root, "scripts", "load", "main.ts"), ...process.argv.slice(2)]);
