/**
 * The figures as a file: what was measured, for each contender of each workload.
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { median, withRatios } from "./statistics.ts";
import type { Report, Result, RuntimeName } from "./types.ts";
import { workloads } from "./workloads/mod.ts";

/** What a file holds. A workload that it lacks was not measured. */
interface Figures extends Omit<Report, "workloads"> {
  workloads: Record<string, {
    leftOut: string[];
    contenders: [label: string, api: string, runtime: RuntimeName | null, ...values: number[]][];
  }>;
}

/** The least, the median and the greatest: what the document and the chart are made of. */
export function summary(values: readonly number[]): number[] {
  return [Math.min(...values), median(values), Math.max(...values)];
}

/** Writes of each contender's values what `keep` keeps; a line for each contender. */
export function writeFigures(
  path: string,
  report: Report,
  keep: (values: readonly number[]) => readonly number[],
): void {
  const row = ({ label, api, runtime, values }: Result) =>
    [label, api, runtime, ...keep(values)] as const;
  const measured = report.workloads.map(({ name, leftOut, results }) =>
    [name, { leftOut, contenders: results.map(row) }] as const
  );
  const text = JSON.stringify({ ...report, workloads: Object.fromEntries(measured) }, null, 2);
  const innermost = /\[[^[\]{}]*\]/g;
  writeFileSync(path, `${text.replaceAll(innermost, (list) => list.replaceAll(/\s+/g, " "))}\n`);
}

/** Reads a file that `writeFigures()` wrote; the targets are not judged yet. */
export function readFigures(path: string): Report {
  const figures: Figures = JSON.parse(readFileSync(path, "utf8"));
  const measured = Object.entries(figures.workloads).map(([name, { leftOut, contenders }]) => {
    const workload = workloads.find((each) => each.name === name);
    if (workload === undefined) throw new Error(`No workload "${name}" exists`);
    const { title, unit, better, absolute = false } = workload;
    const results = withRatios(
      better,
      contenders.map(([label, api, runtime, ...values]) => ({ label, api, runtime, values })),
    );
    return { name, title, unit, better, absolute, results, targets: [], leftOut };
  });
  return { ...figures, workloads: measured };
}
