// `npm run docs`: see scripts/build_docs.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
process.chdir(root);
handOver([join(root, "scripts", "build_docs.ts"), ...process.argv.slice(2)]);
