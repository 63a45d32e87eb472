/**
 * Debug mode: importing this module switches it on for the thread that imports it.
 * @module
 */

import { checkCalls } from "../../ffi/debug/mod.ts";
import { environmentVariable, installDebugging } from "../../ffi/mod.ts";
import { LeakReport } from "./leak_report.ts";

installDebugging((runtime, libc, abi) =>
  new LeakReport(checkCalls(runtime, libc, abi), environmentVariable("AFUNIX_DEBUG"))
);
