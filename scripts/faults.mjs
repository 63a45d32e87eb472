// `npm run faults -- OPTIONS`: see scripts/faults.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
handOver([join(root, "scripts", "faults.ts"), ...process.argv.slice(2)]);
