/**
 * What another process does at the other end, made from the same seed: bytes or messages with numbers,
 * slow reads, a half-close, a close; or the clients of a listener.
 * @module
 */

import type { Random } from "../support/random.ts";
import type { Kind, Transport } from "./plan.ts";

/** One thing that it does. */
export interface Action {
  readonly id: number;
  readonly what:
    | ("write" | "read" | "pause" | "stop" | "shutdown" | "close")
    | ("connect" | "say" | "hear" | "leave");
  /** Bytes to write; the most to read at once; or milliseconds. */
  readonly size: number;
  /** How often it reads, with so many milliseconds in between. */
  readonly times: number;
  readonly pause: number;
  /** The numbers of the descriptors that go along; none below zero. */
  readonly fds: readonly number[];
  /** Which client does it. */
  readonly client: number;
}

export interface Script {
  /** Which program: the name of a runtime, or python3. */
  readonly program: "python3" | "deno" | "bun" | "node";
  /** Whether it is the other end of one connection, or clients of a listener. */
  readonly role: "end" | "clients";
  readonly transport: Transport;
  readonly actions: readonly Action[];
  /** Whether it is killed in the end, so many tenths of a millisecond after that began; −1 for not. */
  readonly killedAfter: number;
}

/** The clients of another process begin with this number. */
export const FIRST_CLIENT = 10_000;

const NOTHING = { size: 0, times: 0, pause: 0, fds: [], client: 0 } as const;

/** The script of a seed; null for kinds that need no other process. */
export function scriptFor(
  random: Random,
  kind: Kind,
  transport: Transport,
  firstId: number,
): Script | null {
  if (kind !== "process" && kind !== "listener") return null;
  // A script starts five times as fast as a runtime.
  const program = (["deno", "bun", "node"] as const)[random(kind === "process" ? 6 : 9)] ??
    "python3";
  const killedAfter = random(5) < 2 ? random(100) : -1;
  const isEnd = kind === "process";
  const actions = isEnd ? talk(random, firstId, transport) : clients(random, firstId);
  return { program, role: isEnd ? "end" : "clients", transport, actions, killedAfter };
}

function talk(random: Random, firstId: number, transport: Transport): Action[] {
  const actions: Action[] = [];
  const count = random(40);
  let writes = true;
  for (let id = firstId; id < firstId + count; id++) {
    const class_ = random(100);
    if (class_ < 45) {
      const size = sizeFor(random, transport);
      const fds = size > 0 && random(3) === 0
        ? Array.from({ length: random(4) }, () => random(5))
        : [];
      if (writes) actions.push({ ...NOTHING, id, what: "write", size, fds });
    } else if (class_ < 85) {
      const size = 1 + random(random(2) === 0 ? 100 : 60_000);
      const [times, pause] = [1 + random(5), random(4) === 0 ? 1 + random(3) : 0];
      actions.push({ ...NOTHING, id, what: "read", size, times, pause });
    } else if (class_ < 94) {
      actions.push({ ...NOTHING, id, what: "pause", size: 1 + random(4) });
    } else if (class_ < 97) {
      actions.push({ ...NOTHING, id, what: "stop" });
    } else if (class_ < 99) {
      writes = false;
      actions.push({ ...NOTHING, id, what: "shutdown" });
    } else {
      actions.push({ ...NOTHING, id, what: "close" });
      return actions;
    }
  }
  return actions;
}

function sizeFor(random: Random, transport: Transport): number {
  const class_ = random(100);
  if (class_ < 40) return 1 + random(16);
  if (class_ < 75) return 17 + random(3000);
  return 1 + random(transport === "stream" ? class_ < 95 ? 70_000 : 300_000 : 30_000);
}

/** Clients that connect, say who they are, hear an answer, or leave at any time. */
function clients(random: Random, firstId: number): Action[] {
  const actions: Action[] = [];
  const count = random(30);
  const open: { client: number; next: "say" | "hear" }[] = [];
  for (let id = firstId; id < firstId + count; id++) {
    const class_ = random(100);
    const chosen = open[random(open.length + 1)];
    if (class_ < 45 || chosen === undefined) {
      const client = FIRST_CLIENT + id;
      open.push({ client, next: "say" });
      actions.push({ ...NOTHING, id, what: "connect", client });
    } else if (class_ < 88) {
      actions.push({ ...NOTHING, id, what: chosen.next, client: chosen.client });
      if (chosen.next === "hear") open.splice(open.indexOf(chosen), 1);
      else chosen.next = "hear";
    } else if (class_ < 94) {
      open.splice(open.indexOf(chosen), 1);
      actions.push({ ...NOTHING, id, what: "leave", client: chosen.client });
    } else {
      actions.push({ ...NOTHING, id, what: "pause", size: 1 + random(4) });
    }
  }
  return actions;
}
