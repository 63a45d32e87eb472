// `npm run soak -- OPTIONS`: see scripts/soak.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
handOver([join(root, "scripts", "soak.ts"), ...process.argv.slice(2)]);
