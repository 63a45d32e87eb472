/**
 * From figures to medians, ratios and targets.
 * @module
 */

import type {
  Result,
  RuntimeName,
  Target,
  TargetResult,
  Workload,
  WorkloadResult,
} from "./types.ts";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Adds medians, best figures and ratios. */
export function withRatios(
  better: Workload["better"],
  measured: readonly Pick<Result, "label" | "api" | "runtime" | "values">[],
): Result[] {
  const best = better === "less" ? Math.min : Math.max;
  const medians = measured.map((each) => ({
    ...each,
    median: median(each.values),
    best: best(...each.values),
  }));
  const find = (api: string, runtime: RuntimeName | null) =>
    medians.find((each) => each.api === api && each.runtime === runtime);
  const ratio = (value: number, unit: number | undefined) =>
    unit === undefined || unit <= 0 ? null : value / unit;
  return medians.map((each) => ({
    ...each,
    toC: ratio(each.median, find("C", null)?.median),
    toOwn: each.runtime === null ? null : ratio(each.median, find("own", each.runtime)?.median),
    bestToC: ratio(each.best, find("C", null)?.best),
  }));
}

type Figures = Pick<Result, "median" | "best">;

/** Judges a workload's targets, as far as both sides were measured. */
export function judge(workload: Workload, all: readonly WorkloadResult[]): TargetResult[] {
  const find = (api: string, runtime: RuntimeName, name = workload.name): Figures | undefined => {
    // What Node.js has of its own is node:net.
    const wanted = runtime === "node" && api === "net" ? "own" : api;
    return all.find((each) => each.name === name)?.results.find((each) =>
      each.api === wanted && (each.runtime === null || each.runtime === runtime)
    );
  };
  return workload.targets.flatMap((target) =>
    (["deno", "bun", "node"] as const).flatMap((runtime) => {
      const limit = limitOf(target, runtime);
      const figures = find(target.api, runtime);
      const unit = target.workload === undefined
        ? target.against === undefined ? { median: 1, best: 1 } : find(target.against, runtime)
        : find(target.api, runtime, target.workload);
      if (limit === undefined || figures === undefined || unit === undefined) return [];
      const measure = (which: keyof Figures) =>
        target.difference ? figures[which] - unit[which] : figures[which] / unit[which];
      const value = measure("median");
      const atMost = target.atMost !== undefined;
      return {
        text: `${workload.title}: ${target.what}`,
        runtime,
        limit: `${atMost ? "≤" : "≥"} ${limit}${target.difference ? ` ${workload.unit}` : ""}`,
        value,
        best: measure("best"),
        met: atMost ? value <= limit : value >= limit,
      };
    })
  );
}

function limitOf({ atMost, atLeast }: Target, runtime: RuntimeName): number | undefined {
  const limit = atMost ?? atLeast;
  return typeof limit === "object" ? limit[runtime] : limit;
}

/** A number as short as its size allows. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
