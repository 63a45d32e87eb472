// `npm test`: see scripts/run_tests.ts.

import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
process.chdir(root);
handOver([
  "--import=./tests/support/std.ts",
  join(root, "scripts", "run_tests.ts"),
  ...process.argv.slice(2),
]);
