// `npm run test:arm64`: see scripts/arm64/main.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
process.chdir(root);
handOver([
  "--import=./tests/support/std.ts",
  join(root, "scripts", "arm64", "main.ts"),
  ...process.argv.slice(2),
]);
