/** A long stream into a sink in C, by writes of one size. */

import type { Workload } from "../types.ts";
import { inLanguages, onRuntimes, ownClient, printed } from "./contenders.ts";

const MIB = 1_048_576;

function throughput(size: number, title: string, targets: Workload["targets"]): Workload {
  return {
    name: `throughput-${size / 1024}k`,
    title: `Stream, writes of ${title}`,
    unit: "MiB/s",
    better: "more",
    targets,
    async prepare(bench) {
      const path = bench.path();
      const total = String(1024 * MIB);
      const warm = String((bench.quick ? 256 : 512) * MIB);
      await bench.startPeer("sink", [path, warm, total]);
      const args = () => [path, String(size), warm, total];
      const apis = {
        raw: "raw FFI",
        sync: "afunix sync",
        async: "afunix async",
        own: ownClient,
        net: "node:net",
      };
      return [
        ...inLanguages(bench, "throughput", printed(args)),
        ...onRuntimes(bench, "throughput", apis, printed(args)),
      ];
    },
  };
}

export const throughputs: readonly Workload[] = [
  throughput(65536, "64 KiB", [
    { what: "sync against C", api: "sync", against: "C", atLeast: 0.95 },
    { what: "async against C", api: "async", against: "C", atLeast: 0.95 },
    { what: "async against the runtime's own", api: "async", against: "own", atLeast: 1 },
  ]),
  throughput(MIB, "1 MiB", []),
];
