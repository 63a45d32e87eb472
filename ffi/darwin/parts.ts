/**
 * What the parts of the libc of macOS are made with.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import type { Libc } from "../libc/symbols.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** What the calls of one thread share. */
export interface DarwinParts {
  readonly abi: Abi;
  /** What macOS has. */
  readonly libc: Libc;
  /** This thread's errno; element 0. */
  readonly errno: Int32Array;
  readonly runtime: Pick<Runtime, "addressOf" | "viewAt">;
}
