/**
 * Many writers of datagrams, and a queue that is short.
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Party, type RuntimeName } from "./party.ts";
import { number, type Scenario, withDirectory } from "./scenario.ts";

const WRITERS = 64;

/** So many datagrams of each of 64 writers, which all arrive, those of each writer in order. */
export async function manyWriters(
  runtime: RuntimeName,
  count: number,
  processes: number,
  ways: readonly ("connected" | "addressed")[],
): Promise<string> {
  return await withDirectory(async (directory) => {
    const path = join(directory, "receiver.sock");
    await using receiver = new Party(runtime, "datagrams", ["receiver", path]);
    await receiver.line();
    await using all = new AsyncDisposableStack();
    const each = WRITERS / processes;
    const writers = Array.from(
      { length: processes },
      (_, i) => all.use(new Party(runtime, "datagrams", ["writer", path, each, i * each])),
    );
    for (const writer of writers) await writer.line();
    const parts: string[] = [];
    for (const way of ways) {
      const start = performance.now();
      const receiving = receiver.ask({ do: "receive", writers: WRITERS, count });
      const connected = way === "connected";
      await Promise.all([
        receiving,
        ...writers.map((writer) => writer.ask({ do: "send", count, connected })),
      ]);
      parts.push(`${way} in ${number((performance.now() - start) / 1000)} s`);
    }
    const queue = readFileSync("/proc/sys/net/unix/max_dgram_qlen", "utf8").trim();
    return `${WRITERS} writers in ${processes} processes × ${number(count)} datagrams through a ` +
      `queue of ${queue}, all delivered, each writer's in order: ${parts.join(", ")}`;
  });
}

/** Many datagrams. */
export const datagramScenarios: readonly Scenario[] = [{
  name: "datagrams",
  run: (runtime, quick) =>
    manyWriters(runtime, quick ? 250 : 1000, quick ? 4 : 8, ["connected", "addressed"]),
}];
