// `npm run test:musl`: see scripts/musl/main.ts.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { ensureInstalled, handOver, root } from "./setup.mjs";

ensureInstalled();
process.chdir(root);
const args = [
  "--import=./tests/support/std.ts",
  join(root, "scripts", "musl", "main.ts"),
  ...process.argv.slice(2),
];
if (process.report.getReport().header.glibcVersionRuntime !== undefined) {
  handOver(args);
} else {
  // The pinned Node.js is made for glibc: this one runs the scripts, which are TypeScript.
  if (process.features.typescript === false || process.features.typescript === undefined) {
    console.error(`Node.js 22.18 or later is needed here, this is ${process.version}`);
    process.exit(2);
  }
  const options = ["--disable-warning=ExperimentalWarning", ...args];
  process.exit(spawnSync(process.execPath, options, { stdio: "inherit" }).status ?? 1);
}
