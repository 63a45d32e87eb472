/**
 * The descriptor table of this process, for tests and for the programs that they start: nothing here
 * needs @std.
 * @module
 */

import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";

/** What each descriptor leads to, by its number. */
export type DescriptorTable = ReadonlyMap<number, string>;

/** The table as it is now, without what the runtime opens, moves and closes when it likes. */
export function descriptorTable(): DescriptorTable {
  const table = new Map<number, string>();
  for (const number of readdirSync("/proc/self/fd").map(Number).sort((a, b) => a - b)) {
    let target: string;
    try {
      target = readlinkSync(`/proc/self/fd/${number}`);
    } catch {
      // The descriptor of the listing itself.
      continue;
    }
    if (!isRuntimes(target)) table.set(number, target);
  }
  return table;
}

function isRuntimes(target: string): boolean {
  // A watcher holds its duplicate of the epoll set under changing numbers; a reporter opens its file
  // whenever the first report is due.
  return target === "anon_inode:[eventpoll]" || target.endsWith("/report.xml");
}

/** How many descriptors lead to something whose name fits. */
export function countDescriptors(names: RegExp): number {
  return [...descriptorTable().values()].filter((target) => names.test(target)).length;
}

/** What was opened, closed or replaced between two looks, one line each. */
export function tableChanges(before: DescriptorTable, after: DescriptorTable): string[] {
  const changes: string[] = [];
  for (const number of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(number), after.get(number)];
    if (was !== is) changes.push(`${number}: ${was ?? "closed"} became ${is ?? "closed"}`);
  }
  return changes;
}

/**
 * Has the runtime open what it would open at a moment of its own: Deno makes its pair of sockets for
 * signals half a second after its start, and panics where it has no descriptors for them.
 */
export function openForSignals(): void {
  const nothing = () => {};
  process.on("SIGWINCH", nothing);
  process.off("SIGWINCH", nothing);
}
