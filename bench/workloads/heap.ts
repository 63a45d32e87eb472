/** What an operation leaves to the garbage collector. */

import type { Workload } from "../types.ts";
import { onRuntimes, printed } from "./contenders.ts";

export const heap: Workload = {
  name: "heap",
  title: "Heap that one operation of a stream allocates, 64 bytes moved",
  unit: "bytes",
  better: "less",
  absolute: true,
  targets: [],
  prepare(bench) {
    const apis = {
      readSync: "readSync",
      writeAllSync: "writeAllSync",
      read: "read, data is there",
      "read, waiting": "read that waits",
      writeAll: "writeAll",
    };
    const env = { BUN_JSC_useGC: "0" };
    const measure = printed(() => [bench.quick ? "20000" : "100000"], { env });
    return Promise.resolve(onRuntimes(bench, "heap", apis, measure));
  },
};
