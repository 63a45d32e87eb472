// `npm start -- ARGS`: the demo under the pinned Node.js.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
handOver([join(root, "examples", "demo", "main.ts"), ...process.argv.slice(2)]);
