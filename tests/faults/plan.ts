/**
 * What one run does, made from its seed before it begins: the same seed is the same list of steps,
 * and a step that is left out changes none of the others.
 * @module
 */

import { generator, type Random } from "../support/random.ts";
import { type Script, scriptFor } from "./script.ts";

/** What is tested against a model. */
export const KINDS = ["stream", "datagram", "seqpacket", "fd", "process", "listener"] as const;
export type Kind = (typeof KINDS)[number];

/** What a connection is, where the kind does not say it. */
export type Transport = "stream" | "seqpacket" | "datagram";

/** When the signal of an operation is aborted: together with the next write of the other end, … */
export type Abort = "none" | "before" | "at once" | "with data" | "later";

/** One step. What its numbers mean, and whether they mean anything, depends on what it does. */
export interface Step {
  readonly id: number;
  readonly what: string;
  /** Which of the two ends does it. */
  readonly end: 0 | 1;
  readonly size: number;
  readonly abort: Abort;
  /** Milliseconds, for what blocks. */
  readonly timeout: number;
  /** How many descriptors go along, or may come. */
  readonly fds: number;
  /** Turns of the event loop that pass after it. */
  readonly turns: number;
  /** For finer choices. */
  readonly choice: number;
}

export interface Plan {
  readonly seed: number;
  readonly kind: Kind;
  /** Sizes of the send buffers; 0 leaves one as it is. */
  readonly buffers: readonly [number, number];
  /** Microseconds of looking before parking; −1 leaves it as it is. */
  readonly busyPoll: number;
  /** Where the two ends come from: a pair, or a listener or an address. */
  readonly connected: boolean;
  /** How each end reads and writes: by calls, or through web streams and iteration. */
  readonly manners: readonly [Manner, Manner];
  /** In the end, writing ends before what waits has been written. */
  readonly hasty: boolean;
  /** Whether garbage is ever collected by force; where it is not, nothing that was forgotten is tidied up. */
  readonly collects: boolean;
  readonly transport: Transport;
  /** What another process does; null where there is none. */
  readonly script: Script | null;
  readonly steps: readonly Step[];
}

export interface Manner {
  readonly reading: "calls" | "readable" | "byob" | "iteration";
  readonly writing: "calls" | "writable";
}

/** How often each step is chosen, in relation to the others. */
type Weights = Readonly<Record<string, number>>;

const FAULTS: Weights = {
  "collect": 3,
  "shortage": 3,
  "enough": 4,
  "interrupt": 4,
  "refuse": 4,
  "signals": 3,
  "turns": 8,
  "busy poll": 1,
  "abort": 5,
};

const LIFE: Weights = {
  "close": 0.35,
  "dispose": 0.15,
  "rewrap": 2,
  "ref": 1,
  "unref": 1,
  "look": 3,
};

const BYTES: Weights = {
  "write": 12,
  "writeAll": 16,
  "writeSync": 8,
  "writeAllSync": 6,
  "read": 24,
  "readSync": 10,
  "readExactly": 5,
  "shorten": 4,
};

const WEIGHTS: Readonly<Record<Exclude<Kind, "process">, Weights>> = {
  stream: {
    ...BYTES,
    ...FAULTS,
    ...LIFE,
    "sendMessage": 10,
    "sendMessageSync": 5,
    "receiveMessage": 12,
    "receiveMessageSync": 6,
    "peek": 5,
    "peekSync": 3,
    "shutdown read": 0.3,
    "shutdown write": 0.7,
    "buffer": 2,
    "stand in line": 1,
  },
  fd: {
    ...BYTES,
    ...FAULTS,
    ...LIFE,
    "waitReadable": 5,
    "waitReadableSync": 2,
    "dup": 3,
    "stand in line": 2,
  },
  datagram: messages({ "sendTo": 8, "sendToSync": 3, "receiveInto": 6, "receiveIntoSync": 3 }),
  seqpacket: messages({}),
  listener: {
    ...FAULTS,
    "refuse an accept": 6,
    "connect": 30,
    "connectSync": 8,
    "accept": 24,
    "acceptSync": 8,
    "iterate": 1,
    "close": 0.6,
    "dispose": 0.3,
    "shutdown": 0.5,
    "listen": 8,
    "rewrap": 4,
    "kill": 1,
    "stop": 1,
    "continue": 3,
  },
};

/** What is done to another process at the other end. */
const PEER: Weights = { "kill": 0.7, "stop": 3, "continue": 5 };

function weightsFor(kind: Kind, transport: Transport): Weights {
  return kind === "process" ? { ...WEIGHTS[transport], ...PEER } : WEIGHTS[kind];
}

function messages(more: Weights): Weights {
  return {
    ...FAULTS,
    ...LIFE,
    ...more,
    "send": 20,
    "sendSync": 10,
    "send without waiting": 4,
    "sendMessage": 12,
    "sendMessageSync": 6,
    "sendMany": 8,
    "sendManySync": 4,
    "receive": 20,
    "receiveSync": 10,
    "receiveMessage": 12,
    "receiveMessageSync": 6,
    "receiveMany": 8,
    "receiveManySync": 4,
    "peek": 5,
    "peekSync": 3,
    "shutdown read": 0.3,
    "shutdown write": 0.6,
    "buffer": 2,
  };
}

function chosen(random: Random, weights: Weights): string {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  let left = random(1_000_000) / 1_000_000 * total;
  for (const [what, weight] of Object.entries(weights)) {
    if ((left -= weight) < 0) return what;
  }
  return "turns";
}

function sizeFor(random: Random, kind: Kind | Transport): number {
  const class_ = random(100);
  if (class_ < 4) return 0;
  if (class_ < 30) return 1 + random(16);
  if (class_ < 60) return 17 + random(1000);
  if (kind !== "stream" && kind !== "fd") return 1 + random(class_ < 95 ? 3000 : 40_000);
  if (class_ < 85) return 1000 + random(8000);
  return 1 + random(class_ < 97 ? 70_000 : 300_000);
}

function abortFor(random: Random): Abort {
  const class_ = random(20);
  if (class_ < 13) return "none";
  if (class_ < 14) return "before";
  if (class_ < 15) return "at once";
  return class_ < 18 ? "with data" : "later";
}

function mannerFor(random: Random): Manner {
  const reading = (["readable", "byob", "iteration"] as const)[random(16)] ?? "calls";
  return { reading, writing: random(8) === 0 ? "writable" : "calls" };
}

/** The plan of a seed; `operations` and `kind` override what the seed chooses. */
export function planOf(seed: number, kind?: Kind, operations?: number): Plan {
  const random = generator(seed);
  const ofSeed = KINDS[random(KINDS.length)]!;
  const count = 10 + random(120);
  // Half of the seeds of another process are streams.
  const transports = ["stream", "seqpacket", "stream", "datagram"] as const;
  const drawn = transports[random(transports.length)]!;
  const buffer = () => random(3) === 0 ? 0 : 1 + random(random(2) === 0 ? 8000 : 60_000);
  const head = {
    seed,
    kind: kind ?? ofSeed,
    buffers: [buffer(), buffer()] as [number, number],
    busyPoll: [-1, -1, 0, 1, 100, 10_000][random(6)]!,
    connected: random(3) === 0,
    manners: [mannerFor(random), mannerFor(random)] as [Manner, Manner],
    hasty: random(4) === 0,
    collects: random(2) === 0,
  };
  // Nothing listens for datagrams.
  const isListener = head.kind === "listener" && drawn === "datagram";
  const transport: Transport = isListener ? "seqpacket" : drawn;
  const weights = weightsFor(head.kind, transport);
  const shape = head.kind === "process" ? transport : head.kind;
  const length = operations ?? count;
  const steps = Array.from({ length }, (_, id): Step => ({
    id,
    what: chosen(random, weights),
    end: random(2) as 0 | 1,
    size: sizeFor(random, shape),
    abort: abortFor(random),
    timeout: random(3) === 0 ? 1 + random(3) : 0,
    fds: random(3) === 0 ? random(5) : 0,
    turns: random(3) === 0 ? random(4) : 0,
    choice: random(1_000_000),
  }));
  return { ...head, transport, steps, script: scriptFor(random, head.kind, transport, length) };
}

/** How what is left is taken in the end. */
export const LAST: Omit<Step, "id" | "end" | "size"> = {
  what: "read",
  abort: "none",
  timeout: 0,
  fds: 0,
  turns: 0,
  choice: 1,
};

/** The same plan without some of its steps. */
export function only(plan: Plan, ids: ReadonlySet<number>): Plan {
  const left = <T extends { id: number }>(all: readonly T[]) => all.filter(({ id }) => ids.has(id));
  const script = plan.script && { ...plan.script, actions: left(plan.script.actions) };
  return { ...plan, script, steps: left(plan.steps) };
}

/** A step in one line. */
export function describe(step: Step): string {
  const parts = [`${step.id} ${"ab"[step.end]}.${step.what}`, `size ${step.size}`];
  if (step.abort !== "none") parts.push(`abort ${step.abort}`);
  if (step.what.endsWith("Sync")) parts.push(`timeout ${step.timeout}`);
  if (step.fds > 0) parts.push(`fds ${step.fds}`);
  if (step.turns > 0) parts.push(`turns ${step.turns}`);
  return parts.join(", ");
}
