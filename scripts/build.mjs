// `npm run build`: see scripts/build_npm.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
process.chdir(root);
handOver([join(root, "scripts", "build_npm.ts"), ...process.argv.slice(2)]);
