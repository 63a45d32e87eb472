/**
 * The model of one direction of messages: those that were sent come whole, once, and in the order of
 * their line.
 * @module
 */

import { firstDifference, nameOf, numbered, placeOf } from "./numbers.ts";

/** One message that was to be sent. */
export interface Sent {
  readonly id: number;
  readonly length: number;
  /** Whether it left; null where nothing tells. */
  sent: boolean | null;
  readonly fds: readonly number[];
  /** Messages of one line keep their order; those of two may overtake each other. */
  readonly line: string;
}

/** One message that came, or was looked at. */
export interface Receipt {
  readonly step: number;
  readonly peek: boolean;
  readonly data: Uint8Array;
  /** How long it says that it was. */
  readonly length: number;
  /** The numbers of the descriptors that came; null where none could. */
  readonly fds: readonly number[] | null;
  readonly maxFds: number;
  readonly cut: boolean;
}

export interface MessageDirection {
  readonly sent: readonly Sent[];
  readonly receipts: readonly Receipt[];
  /** Whether all that was sent has been received, unless it is lost. */
  readonly ended: boolean;
}

/** How far each line has been received. */
type State = readonly number[];

/** What is wrong with a direction, in one line; null where nothing is. */
export function judgeMessages({ sent, receipts, ended }: MessageDirection): string | null {
  const names = [...new Set(sent.map(({ line }) => line))];
  // What did not leave is as if it had never been.
  const lines = names.map((name) =>
    sent.filter((message) => message.line === name && message.sent !== false)
  );
  let states: State[] = [lines.map(() => 0)];
  for (const receipt of receipts) {
    const next = new Map<string, State>();
    let alike = false;
    for (const state of withSkips(states, lines)) {
      for (const [index, line] of lines.entries()) {
        const message = line[state[index]!];
        if (message === undefined || !isSame(receipt, message)) continue;
        alike = true;
        if (receipt.peek) continue;
        const after = state.with(index, state[index]! + 1);
        next.set(after.join(), after);
      }
    }
    if (!alike) return surprise(receipt, states, lines);
    if (!receipt.peek) states = [...next.values()];
  }
  if (!ended) return null;
  const final = withSkips(states, lines);
  const isOver = (state: State) => lines.every((line, index) => state[index] === line.length);
  if (final.some(isOver)) return null;
  const lost = lines.flatMap((line, index) => line.slice(states[0]![index]));
  return `${lost.length} messages are lost, the first of them number ${lost[0]!.id} of ` +
    `${lost[0]!.length} bytes`;
}

/** The states, and those that come of it if messages of which nothing is known did not leave. */
function withSkips(states: readonly State[], lines: readonly (readonly Sent[])[]): State[] {
  const all = new Map(states.map((state) => [state.join(), state]));
  // The map grows while it is walked through.
  for (const state of all.values()) {
    for (const [index, line] of lines.entries()) {
      if (line[state[index]!]?.sent !== null) continue;
      const after = state.with(index, state[index]! + 1);
      all.set(after.join(), after);
    }
  }
  return [...all.values()];
}

function isSame(receipt: Receipt, { id, length, fds }: Sent): boolean {
  const { data, maxFds, cut } = receipt;
  if (receipt.length !== length || data.length > length) return false;
  if (firstDifference(data, numbered(length, id)) !== -1) return false;
  if (receipt.peek || receipt.fds === null) return true;
  if (cut && receipt.fds.length === 0) return fds.length > 0;
  const wanted = fds.slice(0, maxFds);
  return receipt.fds.length === wanted.length && cut === fds.length > maxFds &&
    receipt.fds.every((number, i) => number === wanted[i]);
}

function surprise(
  { step, data, length, fds, cut, peek }: Receipt,
  states: readonly State[],
  lines: readonly (readonly Sent[])[],
): string {
  const expected = lines.map((line, index) => line[states[0]![index]!])
    .filter((message) => message !== undefined)
    .map(({ id, length, fds }) => `${id} (${length} bytes, descriptors [${fds}])`);
  return `step ${step} ${peek ? "saw" : "got"} ${nameOf(placeOf(data))}, ${data.length} of ` +
    `${length} bytes, descriptors [${fds ?? "none"}]${cut ? " cut" : ""}, instead of message ` +
    (expected.join(" or ") || "none");
}
