/**
 * A message to an echo server and back, the same server for all: as the scheduler places the two
 * processes, which on two processors is apart, and tied to one processor, and tied to two.
 */

import type { Workload } from "../types.ts";
import {
  asAddons,
  inLanguages,
  type Measure,
  onRuntimes,
  ownClient,
  printed,
} from "./contenders.ts";

/** Where the server and the contender run; null for wherever the scheduler puts them. */
interface Placing {
  server: number | null;
  contender: number | null;
  name: string;
  title: string;
}

const FREE: Placing = { server: null, contender: null, name: "", title: "" };
const TOGETHER: Placing = {
  server: 0,
  contender: 0,
  name: "-together",
  title: ", both ends on one processor",
};
const APART: Placing = {
  server: 0,
  contender: 1,
  name: "-apart",
  title: ", each end on its own processor",
};

function roundTrip(
  size: number,
  title: string,
  placing: Placing,
  targets: Workload["targets"],
): Workload {
  return {
    name: `round-trip-${size}${placing.name}`,
    title: `Round trip of ${title}${placing.title}`,
    unit: "µs",
    better: "less",
    targets,
    async prepare(bench) {
      const path = bench.path();
      await bench.startPeer("echo", [path], placing.server);
      const args = () => [path, String(size), bench.quick ? "10000" : "20000"];
      const apis = {
        raw: "raw FFI",
        sync: "afunix sync",
        async: "afunix async",
        own: ownClient,
        net: "node:net",
      };
      const measure: Measure = (command) =>
        printed(args)(bench.onProcessor(placing.contender, command));
      return [
        ...inLanguages(bench, "round_trip", measure),
        ...onRuntimes(bench, "round_trip", apis, measure),
        ...asAddons(bench, ["usocket"], "round_trip", measure),
      ];
    },
  };
}

export const roundTrips: readonly Workload[] = [
  roundTrip(64, "64 bytes", FREE, [
    {
      what: "async against the runtime's own sockets",
      api: "async",
      against: "own",
      atMost: { deno: 0.6, bun: 0.6, node: 0.7 },
    },
    { what: "sync against blocking C", api: "sync", against: "C", atMost: 1.1 },
  ]),
  roundTrip(64, "64 bytes", APART, []),
  roundTrip(64, "64 bytes", TOGETHER, []),
  roundTrip(4096, "4 KiB", FREE, []),
];
