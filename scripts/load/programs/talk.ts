/**
 * How a program of these is spoken to: each line is an object whose `do` says what, and each gets one
 * line as the answer, `{ error }` where it failed.
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";

/** Says something. */
export function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

type Command = Record<string, unknown> & { do: string };

/** Does what it is told, until nothing more comes. */
export async function obey(
  // deno-lint-ignore no-explicit-any
  actions: Record<string, (command: any) => unknown>,
): Promise<void> {
  // What the runtime opens for signals it opens now.
  process.on("SIGWINCH", () => {});
  say({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command;
    try {
      const action = command.do === "measure" ? measure : actions[command.do]!;
      say(await action(command) ?? {});
    } catch (error) {
      say({ error: error instanceof Error ? error.message : String(error) });
    }
  }
  process.exit(0);
}

const globals = globalThis as { gc?(): void; Bun?: { gc(sync: boolean): void } };

/** Megabytes that live objects take. */
async function measure(): Promise<{ heap: number }> {
  for (let round = 0; round < 5; round++) {
    globals.gc?.();
    globals.Bun?.gc(true);
    // What a collection found is finalized in later turns.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { heapUsed, external } = process.memoryUsage();
  return { heap: (heapUsed + external) / 2 ** 20 };
}

/** Runs an action for each number below a count, so many at a time. */
export async function each(
  count: number,
  atOnce: number,
  action: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await action(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}
