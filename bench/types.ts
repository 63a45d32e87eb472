/**
 * What the parts of the benchmark say to each other.
 * @module
 */

export type RuntimeName = "deno" | "bun" | "node";

export const runtimeNames: readonly RuntimeName[] = ["deno", "bun", "node"];

/** Who takes part in a workload; each measurement is a process of its own. */
export interface Contender {
  /** Unique in its workload, as the tables show it. */
  label: string;
  /** What it is compared by, the same on every runtime: "async", "own" and so on. */
  api: string;
  /** The runtime whose own API it is compared with; null for another language. */
  runtime: RuntimeName | null;
  /** One figure, in the workload's unit. */
  measure(): Promise<number>;
}

/** What is to be reached, for one API on each runtime. */
export interface Target {
  /** In words, without the limit. */
  what: string;
  /** The API that has to reach it. */
  api: string;
  /**
   * What it is compared with: "C", an addon, or an API of the same runtime; absent where the figure
   * itself is limited.
   */
  against?: string;
  /** The other workload whose figure of the same contender is the measure. */
  workload?: string;
  /** Whether the difference in the unit is limited, and not the ratio. */
  difference?: boolean;
  /** The limits: one of them, for all runtimes or for some. */
  atMost?: number | Partial<Record<RuntimeName, number>>;
  atLeast?: number | Partial<Record<RuntimeName, number>>;
}

export interface Workload {
  /** For `--only` and the JSON. */
  name: string;
  title: string;
  unit: string;
  /** Which is better. */
  better: "less" | "more";
  /** Whether figures stand in the document as they are: bytes, which no machine makes slower. */
  absolute?: boolean;
  targets: readonly Target[];
  /** Starts what the contenders need, and names them. */
  prepare(bench: Bench): Promise<Contender[]>;
}

export interface Options {
  quick: boolean;
  /** Parts of names of workloads; none means all. */
  only: readonly string[];
  runtimes: readonly RuntimeName[];
  repeats: number;
  json: string | null;
  /** Results to draw again instead of measuring. */
  from: string | null;
}

/** What a workload may use. */
export interface Bench {
  readonly quick: boolean;
  readonly runtimes: readonly RuntimeName[];
  /** A path for a socket that nothing has yet. */
  path(): string;
  /** The command of a contender in another language; null where it cannot run, which is noted. */
  native(language: Language, workload: string): string[] | null;
  /** The command of the contender program on a runtime. */
  script(runtime: RuntimeName, workload: string, api: string, program?: string): string[];
  /** Bundles a program of the contenders'; its path. */
  bundle(name: string): Promise<string>;
  /** The command of an npm addon; null where it is not installed, which is noted. */
  addon(name: string, workload: string): string[] | null;
  /** The command of a peer: in C, or in Python where nothing compiles it. */
  peerCommand(name: string, args: readonly string[]): string[];
  /** The command on one processor, 0 or 1, where there are two and taskset(1). */
  onProcessor(processor: number | null, command: readonly string[]): readonly string[];
  /** Starts a peer; it ends with the workload. */
  startPeer(name: string, args: readonly string[], processor?: number | null): Promise<void>;
}

export type Language = "C" | "Python" | "Rust" | "Go";

/** The figures of one contender. */
export interface Result {
  label: string;
  api: string;
  runtime: RuntimeName | null;
  values: number[];
  median: number;
  /** The least time or the highest rate. */
  best: number;
  /** The median divided by that of C, and of the runtime's own API; null where there is none. */
  toC: number | null;
  toOwn: number | null;
  /** The best divided by the best of C. */
  bestToC: number | null;
}

export interface TargetResult {
  text: string;
  runtime: RuntimeName;
  limit: string;
  /** By the medians, which decide. */
  value: number;
  /** By the best figures. */
  best: number;
  met: boolean;
}

export interface WorkloadResult {
  name: string;
  title: string;
  unit: string;
  better: "less" | "more";
  absolute: boolean;
  results: Result[];
  targets: TargetResult[];
  leftOut: string[];
}

export interface Report {
  quick: boolean;
  repeats: number;
  machine: { processors: number; system: string; versions: Record<string, string> };
  workloads: WorkloadResult[];
}
