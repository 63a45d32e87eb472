/**
 * The contenders that most workloads have in common.
 * @module
 */

import { run, type RunOptions } from "../processes.ts";
import type { Bench, Contender, Language, RuntimeName } from "../types.ts";

const runtimeTitles: Record<RuntimeName, string> = { deno: "Deno", bun: "Bun", node: "Node.js" };

/** What a runtime calls its own sockets. */
export const ownClient: Record<RuntimeName, string> = {
  deno: "Deno.connect",
  bun: "Bun.connect",
  node: "node:net",
};
export const ownServer: Record<RuntimeName, string> = {
  deno: "Deno.listen",
  bun: "Bun.listen",
  node: "node:net",
};

/** The APIs of one workload, and how a table names them on a runtime. */
export type Apis = Record<string, string | Record<RuntimeName, string>>;

/** The arguments of a contender, made anew for each measurement. */
export type Arguments = () => readonly string[];

/** Measures with a contender's command. */
export type Measure = (command: readonly string[]) => Promise<number>;

/** Measures what the command itself prints. */
export function printed(args: Arguments, options?: RunOptions): Measure {
  return (command) => run([...command, ...args()], options);
}

/** The contenders in other languages, as far as they run here. */
export function inLanguages(
  bench: Bench,
  workload: string,
  measure: Measure,
  languages: readonly Language[] = ["C", "Python", "Rust", "Go"],
): Contender[] {
  return languages.flatMap((language) => {
    const command = bench.native(language, workload);
    if (command === null) return [];
    return { label: language, api: language, runtime: null, measure: () => measure(command) };
  });
}

/** The contender program on each runtime by each API. node:net is Node's own, and not there twice. */
export function onRuntimes(
  bench: Bench,
  workload: string,
  apis: Apis,
  measure: Measure,
  program?: string,
): Contender[] {
  return bench.runtimes.flatMap((runtime) =>
    Object.entries(apis)
      .filter(([api]) => runtime !== "node" || api !== "net" || !("own" in apis))
      .map(([api, name]) => ({
        label: `${runtimeTitles[runtime]}: ${typeof name === "string" ? name : name[runtime]}`,
        api,
        runtime,
        measure: () => measure(bench.script(runtime, workload, api, program)),
      }))
  );
}

/** npm's native addons, as far as they are installed. */
export function asAddons(
  bench: Bench,
  names: readonly string[],
  workload: string,
  measure: Measure,
): Contender[] {
  return names.flatMap((name) => {
    const command = bench.addon(name, workload);
    if (command === null) return [];
    const label = `addon: ${name}`;
    return { label, api: name, runtime: null, measure: () => measure(command) };
  });
}
