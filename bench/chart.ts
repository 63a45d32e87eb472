/**
 * The results as one picture (SVG): a panel for each workload, a bar for each contender, as long as
 * its figure is large beside that of C, or beside the largest where there is no C.
 * @module
 */

import { short } from "./statistics.ts";
import type { Report, Result, WorkloadResult } from "./types.ts";

const WIDTH = 600;
const LABEL = 230;
const VALUE = 70;
const BAR = WIDTH - LABEL - VALUE;
const ROW = 18;
const HEAD = 44;
const GAP = 24;
const COLUMNS = 2;

const colours: Record<string, string> = {
  C: "#555555",
  other: "#a0a0a0",
  deno: "#2f9e77",
  bun: "#d9822b",
  node: "#4573c4",
};

export function chart(report: Report): string {
  const columns = Array.from({ length: COLUMNS }, () => ({ height: GAP, panels: "" }));
  for (const workload of report.workloads) {
    const column = columns.reduce((least, each) => each.height < least.height ? each : least);
    const x = GAP + columns.indexOf(column) * (WIDTH + GAP);
    column.panels += panel(workload, x, column.height);
    column.height += HEAD + workload.results.length * ROW + GAP;
  }
  const height = Math.max(...columns.map((column) => column.height));
  const width = GAP + COLUMNS * (WIDTH + GAP);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `font-family="sans-serif" font-size="12" fill="#222222">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...columns.map((column) => column.panels.trimEnd()),
    "</svg>\n",
  ].join("\n");
}

function panel(workload: WorkloadResult, x: number, y: number): string {
  const c = workload.results.find((each) => each.api === "C");
  const useC = c !== undefined && c.median > 0 && !workload.absolute;
  const most = Math.max(...workload.results.map((each) => each.median), Number.MIN_VALUE);
  const shown = (each: Result) => short(useC ? each.median / c.median : each.median);
  const better = workload.better === "less" ? "shorter is better" : "longer is better";
  const measure = useC ? `ratio to C, ${better}` : `${workload.unit}, ${better}`;
  const lines = [
    `<text x="${x}" y="${y + 16}" font-size="14" font-weight="bold">${
      escape(workload.title)
    }</text>`,
    `<text x="${x}" y="${y + 32}" fill="#777777">${escape(measure)}</text>`,
  ];
  workload.results.forEach((each, i) => {
    const top = y + HEAD + i * ROW;
    const length = Math.max(1, Math.round(BAR * Math.max(0, each.median) / most));
    const colour = colours[each.runtime ?? (each.api === "C" ? "C" : "other")];
    const faint = each.api === "own" || each.api === "net" ? ` opacity="0.45"` : "";
    lines.push(
      `<text x="${x + LABEL - 8}" y="${top + 12}" text-anchor="end">${escape(each.label)}</text>`,
      `<rect x="${x + LABEL}" y="${top + 2}" width="${length}" height="${ROW - 5}" ` +
        `fill="${colour}"${faint}/>`,
      `<text x="${x + LABEL + length + 6}" y="${top + 12}">${shown(each)}</text>`,
    );
  });
  return `${lines.join("\n")}\n`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
