/**
 * A message to an echo server and back, the same server for all. Both ends stay where they are put:
 * on one processor, or on two, where how soon a sleeping processor wakes is the larger part.
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

/** The server's processor; the contender is on it too, or on the other one. */
const SERVER = 0;
const APART = 1;

function roundTrip(
  size: number,
  title: string,
  contender: number,
  targets: Workload["targets"],
): Workload {
  return {
    name: `round-trip-${size}${contender === APART ? "-apart" : ""}`,
    title: `Round trip of ${title}`,
    unit: "µs",
    better: "less",
    targets,
    async prepare(bench) {
      const path = bench.path();
      await bench.startPeer("echo", [path], SERVER);
      const args = () => [path, String(size), bench.quick ? "10000" : "20000"];
      const apis = {
        raw: "raw FFI",
        sync: "afunix sync",
        async: "afunix async",
        own: ownClient,
        net: "node:net",
      };
      const measure: Measure = (command) => printed(args)(bench.onProcessor(contender, command));
      return [
        ...inLanguages(bench, "round_trip", measure),
        ...onRuntimes(bench, "round_trip", apis, measure),
        ...asAddons(bench, ["usocket"], "round_trip", measure),
      ];
    },
  };
}

export const roundTrips: readonly Workload[] = [
  roundTrip(64, "64 bytes", SERVER, [
    {
      what: "async against the runtime's own sockets",
      api: "async",
      against: "own",
      atMost: { deno: 0.6, bun: 0.6, node: 0.7 },
    },
    { what: "sync against blocking C", api: "sync", against: "C", atMost: 1.1 },
  ]),
  roundTrip(64, "64 bytes between two processors", APART, []),
  roundTrip(4096, "4 KiB", SERVER, []),
];
