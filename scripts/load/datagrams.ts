/**
 * Many writers of datagrams, and a queue that is short.
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Party, type RuntimeName } from "./party.ts";
import { number, type Scenario, withDirectory } from "./scenario.ts";

const WRITERS = 64;

/** How the writers send, and how many datagrams each. */
export type Ways = Partial<Record<"connected" | "addressed", number>>;

/** Datagrams of 64 writers, which all arrive, those of each writer in order. */
export async function manyWriters(
  runtime: RuntimeName,
  processes: number,
  ways: Ways,
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
    for (const [way, count] of Object.entries(ways)) {
      const start = performance.now();
      const receiving = receiver.ask({ do: "receive", writers: WRITERS, count });
      const connected = way === "connected";
      await Promise.all([
        receiving,
        ...writers.map((writer) => writer.ask({ do: "send", count, connected })),
      ]);
      const seconds = number((performance.now() - start) / 1000);
      parts.push(`${number(count)} each, ${way}, in ${seconds} s`);
    }
    const queue = readFileSync("/proc/sys/net/unix/max_dgram_qlen", "utf8").trim();
    return `datagrams of ${WRITERS} writers in ${processes} processes through a queue of ${queue}, all ` +
      `delivered, each writer's in order: ${parts.join("; ")}`;
  });
}

/** Many datagrams. */
export const datagramScenarios: readonly Scenario[] = [{
  name: "datagrams",
  run: (runtime, quick) =>
    quick
      ? manyWriters(runtime, 4, { connected: 250, addressed: 250 })
      : manyWriters(runtime, 8, { connected: 1000, addressed: 1000 }),
}];
