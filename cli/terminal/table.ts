/**
 * Tables of text.
 * @module
 */

import { stripVTControlCharacters } from "node:util";

/** Rows with their columns in line; the last column is as wide as it is. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.slice(0, -1).entries()) {
      widths[i] = Math.max(widths[i] ?? 0, widthOf(cell));
    }
  }
  return rows.map((row) =>
    row.map((cell, i) =>
      i === row.length - 1 ? cell : cell + " ".repeat(widths[i]! - widthOf(cell))
    )
      .join("  ").trimEnd()
  );
}

/** A line cut to a width, with a mark where something is missing. Without escape sequences. */
export function cut(line: string, width: number): string {
  const characters = [...line];
  return characters.length <= width ? line : `${characters.slice(0, width - 1).join("")}…`;
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
