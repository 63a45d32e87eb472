/**
 * The results as tables: for the terminal, and for the document.
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { short } from "./statistics.ts";
import type { Report, Result, TargetResult, WorkloadResult } from "./types.ts";

const runtimeTitles = { deno: "Deno", bun: "Bun", node: "Node.js" };

/** One workload, for the terminal. */
export function terminalTable(workload: WorkloadResult): string {
  const rows = workload.results.map((result) => [
    result.label,
    short(result.median),
    spread(result, 1),
    ...(workload.absolute ? [] : [result.toC, result.bestToC, result.toOwn].map(ratio)),
  ]);
  const ratios = workload.absolute ? [] : ["to C", "at best", "to own"];
  const head = ["", workload.unit, "spread", ...ratios];
  const better = `${workload.better === "less" ? "less" : "more"} is better`;
  return [
    `\n${workload.title} (${workload.unit}, ${better})`,
    ...columns([head, ...rows]).map((cells) => `  ${cells.join("  ")}`.trimEnd()),
    ...workload.leftOut.map((each) => `  left out: ${each}`),
  ].join("\n");
}

/** The targets, for the terminal. */
export function terminalTargets(report: Report): string {
  const rows = report.workloads.flatMap(({ targets }) => targets).map((target) => [
    target.met ? "met" : "MISSED",
    target.limit,
    short(target.value),
    `at best ${short(target.best)}`,
    runtimeTitles[target.runtime],
    target.text,
  ]);
  if (rows.length === 0) return "";
  return `\nTargets\n${columns(rows).map((cells) => `  ${cells.join("  ")}`.trimEnd()).join("\n")}`;
}

const BEGIN = "<!-- bench: begin -->";
const END = "<!-- bench: end -->";

/** Writes the tables between the marks of a document. */
export function rewriteDocument(path: string, report: Report): void {
  const text = readFileSync(path, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${path} lacks ${BEGIN} or ${END}`);
  const block = documentBlock(report);
  writeFileSync(path, `${text.slice(0, begin + BEGIN.length)}\n\n${block}\n\n${text.slice(end)}`);
}

function documentBlock(report: Report): string {
  const { machine } = report;
  const versions = Object.entries(machine.versions).map(([name, version]) =>
    `${runtimeTitles[name as keyof typeof runtimeTitles]} ${version}`
  );
  const leftOut = [...new Set(report.workloads.flatMap((each) => each.leftOut))];
  return [
    `${versions.join(", ")}; ${machine.system}, ${machine.processors} processors; the median of ` +
    `${report.repeats} runs${report.quick ? ", each of them short (`--quick`)" : ""}.`,
    ...(leftOut.length === 0 ? [] : [`Left out: ${leftOut.join("; ")}.`]),
    "### Targets",
    targetTable(report),
    ...report.workloads.flatMap((each) => [`### ${each.title}`, remark(each), workloadTable(each)]),
  ].join("\n\n");
}

function targetTable(report: Report): string {
  const groups = Map.groupBy(
    report.workloads.flatMap(({ targets }) => targets),
    ({ text }) => text,
  );
  const cell = (targets: readonly TargetResult[], runtime: string) => {
    const target = targets.find((each) => each.runtime === runtime);
    if (target === undefined) return "";
    const { value, best, met } = target;
    return `${short(value)} (${short(best)}) ${met ? "met" : "missed"}`;
  };
  const rows = [...groups].map(([text, targets]) => [
    text,
    [...new Set(targets.map(({ limit }) => limit))].join(" or "),
    ...Object.keys(runtimeTitles).map((runtime) => cell(targets, runtime)),
  ]);
  return markdownTable([["", "limit", ...Object.values(runtimeTitles)], ...rows]);
}

function remark(workload: WorkloadResult): string {
  const better = workload.better === "less" ? "Less is better." : "More is better.";
  if (workload.absolute) return `In ${workload.unit}. ${better}`;
  return `${
    workload.unit.startsWith("/") || workload.unit === "MiB/s" ? "Rates" : "Times"
  }. ${better}`;
}

function workloadTable(workload: WorkloadResult): string {
  if (workload.absolute) {
    const rows = workload.results.map((each) => [
      each.label,
      short(each.median),
      spread(each, 1),
    ]);
    return markdownTable([["", workload.unit, "spread"], ...rows]);
  }
  const unit = (each: Result) => each.toC === null ? 0 : each.median / each.toC;
  const rows = workload.results.map((each) => [
    each.label,
    ratio(each.toC),
    unit(each) > 0 ? spread(each, unit(each)) : "",
    ratio(each.bestToC),
    ratio(each.toOwn),
  ]);
  return markdownTable([["", "to C", "spread", "best to best", "to the runtime's own"], ...rows]);
}

function ratio(value: number | null): string {
  return value === null ? "" : short(value);
}

function spread(result: Result, unit: number): string {
  const [least, most] = [Math.min(...result.values), Math.max(...result.values)];
  return `${short(least / unit)}–${short(most / unit)}`;
}

function columns(rows: readonly (readonly string[])[]): string[][] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)));
}

function markdownTable(rows: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]) => `| ${row.join(" | ")} |`;
  const rule = line(rows[0]!.map(() => "---"));
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join("\n");
}
