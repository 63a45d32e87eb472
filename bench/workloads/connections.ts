/** Connecting, accepting, and the time until a program has its first reply. */

import { Conversation } from "../processes.ts";
import type { Workload } from "../types.ts";
import { inLanguages, onRuntimes, ownClient, ownServer, printed } from "./contenders.ts";

const connects: Workload = {
  name: "connects",
  title: "Connecting and closing",
  unit: "/s",
  better: "more",
  targets: [],
  async prepare(bench) {
    const path = bench.path();
    await bench.startPeer("acceptor", [path]);
    const args = () => [path, bench.quick ? "5000" : "30000"];
    const apis = { sync: "afunix sync", async: "afunix async", own: ownClient, net: "node:net" };
    return [
      ...inLanguages(bench, "connects", printed(args)),
      ...onRuntimes(bench, "connects", apis, printed(args)),
    ];
  },
};

const accepts: Workload = {
  name: "accepts",
  title: "Accepting from a full backlog and closing",
  unit: "/s",
  better: "more",
  targets: [
    { what: "async against the runtime's own listener", api: "async", against: "own", atLeast: 1 },
  ],
  prepare(bench) {
    const args = () => {
      const path = bench.path();
      return [path, bench.quick ? "8000" : "40000", ...bench.peerCommand("flood", [path, "4000"])];
    };
    const apis = { sync: "afunix sync", async: "afunix async", own: ownServer, net: "node:net" };
    return Promise.resolve([
      ...inLanguages(bench, "accepts", printed(args), ["C", "Python"]),
      ...onRuntimes(bench, "accepts", apis, printed(args)),
    ]);
  },
};

const startup: Workload = {
  name: "startup",
  title: "From the start of the process to the first reply",
  unit: "ms",
  better: "less",
  targets: [
    {
      what: "async, more than with node:net",
      api: "async",
      against: "net",
      difference: true,
      atMost: 15,
    },
  ],
  async prepare(bench) {
    const path = bench.path();
    await bench.startPeer("echo", [path]);
    const measure = async (command: readonly string[]) => {
      const begin = performance.now();
      const conversation = new Conversation([...command, path]);
      try {
        const line = await conversation.line();
        if (line !== "reply") throw new Error(`${command.join(" ")}: said "${line}"`);
        return performance.now() - begin;
      } finally {
        await conversation.end();
      }
    };
    const apis = { sync: "afunix sync", async: "afunix async", own: ownClient, net: "node:net" };
    return [
      ...inLanguages(bench, "startup", measure, ["C", "Python"]),
      ...onRuntimes(bench, "startup", apis, measure, await bench.bundle("bundled")),
    ];
  },
};

export const connections: readonly Workload[] = [connects, accepts, startup];
