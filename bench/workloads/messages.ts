/** Datagrams and descriptors, through a pair in one process. */

import type { Workload } from "../types.ts";
import { asAddons, inLanguages, onRuntimes, printed } from "./contenders.ts";

const BATCH = "64";

const datagrams: Workload = {
  name: "datagrams",
  title: "A datagram of 64 bytes, sent and received",
  unit: "ns",
  better: "less",
  targets: [
    { what: "sync, into a buffer, against C", api: "into", against: "C", atMost: 1.2 },
    { what: "sync against C", api: "sync", against: "C", atMost: 1.2 },
    { what: "batches of 64 against C one by one", api: "batches", against: "C", atMost: 0.8 },
    {
      what: "async against unix-dgram (a third of the time: three times as many)",
      api: "async",
      against: "unix-dgram",
      atMost: { node: 0.333 },
    },
  ],
  prepare(bench) {
    const rounds = bench.quick ? "60000" : "200000";
    const one = printed(() => [rounds]);
    const inC = (batch: string) => printed(() => [rounds, batch]);
    const apis = {
      raw: "raw FFI",
      into: "afunix sync, into a buffer",
      sync: "afunix sync",
      async: "afunix async",
      batches: "afunix, batches of 64",
    };
    return Promise.resolve([
      ...inLanguages(bench, "datagrams", inC("1"), ["C"]),
      ...inLanguages(bench, "datagrams", inC(BATCH), ["C"]).map((contender) => ({
        ...contender,
        label: "C, batches of 64",
        api: "C batches",
      })),
      ...inLanguages(bench, "datagrams", one, ["Python", "Rust"]),
      ...onRuntimes(bench, "datagrams", apis, one),
      ...asAddons(bench, ["unix-dgram", "node-unix-socket"], "datagrams", one),
    ]);
  },
};

function descriptors(each: number, targets: Workload["targets"]): Workload {
  return {
    name: `descriptors-${each}`,
    title: `Descriptors, ${each} with every message`,
    unit: "/s",
    better: "more",
    targets,
    prepare(bench) {
      const rounds = (bench.quick ? 20_000 : 100_000) * (each > 1 ? 5 : 1);
      const args = () => [String(rounds), String(each)];
      const apis = { raw: "FFI floor", sync: "afunix sync", async: "afunix async" };
      return Promise.resolve([
        ...inLanguages(bench, "descriptors", printed(args), ["C", "Python"]),
        ...onRuntimes(bench, "descriptors", apis, printed(args)),
        // It takes no more than a few with one message.
        ...(each === 1 ? asAddons(bench, ["usocket"], "descriptors", printed(args)) : []),
      ]);
    },
  };
}

export const messages: readonly Workload[] = [
  datagrams,
  descriptors(1, [{ what: "sync against C", api: "sync", against: "C", atLeast: 0.85 }]),
  descriptors(100, [{ what: "sync against C", api: "sync", against: "C", atLeast: 0.85 }]),
];
