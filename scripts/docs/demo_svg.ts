/**
 * Makes docs/demo.svg, a picture of what `npm start` prints on a terminal: the demonstration is run on
 * one (by python3's pty), and its output, colours included, is drawn as it came.
 *
 *     node scripts/docs/demo_svg.ts
 */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { escapeHtml } from "./highlight.ts";

const root = join(import.meta.dirname!, "..", "..");

const PTY = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/** A piece of a line in one style. */
interface Piece {
  text: string;
  styles: ReadonlySet<string>;
}

/** What `npm start` prints on a terminal, without what npm itself says. */
function record(): string {
  const { NO_COLOR: _, NODE_DISABLE_COLORS: __, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(
    "python3",
    ["-c", PTY, "npm", "--silent", "start"],
    { cwd: root, encoding: "utf8", env: { ...env, TERM: "xterm-256color" } },
  );
  if (status !== 0) throw new Error(`Cannot run the demonstration: ${stderr || stdout}`);
  return stdout;
}

/** What is left of a line after the progress lines that replaced each other in it. */
function settled(line: string): string {
  // deno-lint-ignore no-control-regex -- they are what a terminal obeys
  return line.replace(/\r$/, "").split(/\r\x1b\[K/).at(-1)!;
}

const BEGINS: Record<string, string> = {
  1: "bold",
  2: "dim",
  31: "red",
  32: "green",
  33: "yellow",
};

/** A line by its styles. */
function pieces(line: string): Piece[] {
  const found: Piece[] = [];
  const styles = new Set<string>();
  // deno-lint-ignore no-control-regex -- they are what a terminal obeys
  for (const part of line.split(/(\x1b\[[\d;?]*[A-Za-z])/)) {
    // deno-lint-ignore no-control-regex -- as above
    const code = /^\x1b\[(\d+)m$/.exec(part)?.[1];
    if (part.startsWith("\x1b")) {
      if (code === undefined) continue;
      const begins = BEGINS[code];
      if (begins !== undefined) styles.add(begins);
      else if (code === "22") ["bold", "dim"].forEach((style) => styles.delete(style));
      else if (code === "39") ["red", "green", "yellow"].forEach((style) => styles.delete(style));
      else styles.clear();
    } else if (part !== "") {
      found.push({ text: part, styles: new Set(styles) });
    }
  }
  return found;
}

const WIDTH_OF_CHARACTER = 8.43;
const HEIGHT_OF_LINE = 20;
const MARGIN = 16;
const BAR = 30;

/** A terminal as a picture. The ground is dark on any page. */
function draw(lines: readonly Piece[][]): string {
  const longest = Math.max(...lines.map((line) => line.map(({ text }) => text).join("").length));
  const width = Math.ceil(longest * WIDTH_OF_CHARACTER) + 2 * MARGIN;
  const height = lines.length * HEIGHT_OF_LINE + 2 * MARGIN + BAR;
  const rows = lines.map((line, i) => {
    const y = BAR + MARGIN + i * HEIGHT_OF_LINE + 14;
    const spans = line.map(({ text, styles }) => {
      const inner = escapeHtml(text);
      return styles.size === 0 ? inner : `<tspan class="${[...styles].join(" ")}">${inner}</tspan>`;
    }).join("");
    const length = line.map(({ text }) => text).join("").length;
    // The length keeps columns in place whichever font there is.
    const room = (length * WIDTH_OF_CHARACTER).toFixed(1);
    return length === 0
      ? ""
      : `<text x="${MARGIN}" y="${y}" textLength="${room}" lengthAdjust="spacingAndGlyphs">${spans}</text>\n`;
  }).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="What npm start prints: a file crosses three runtimes and comes back identical">
<style>
text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d7dce2; white-space: pre }
.bold { font-weight: 700; fill: #ffffff }
.dim { fill: #8d98a5 }
.green { fill: #6fd08c }
.red { fill: #ff7b72 }
.yellow { fill: #e3b341 }
</style>
<rect width="${width}" height="${height}" rx="8" fill="#15191e" stroke="#3a424c"/>
<circle cx="20" cy="17" r="5" fill="#ff5f57"/><circle cx="38" cy="17" r="5" fill="#febc2e"/><circle cx="56" cy="17" r="5" fill="#28c840"/>
${rows}</svg>
`;
}

const output = record().trimEnd().split("\n").map(settled);
// npm moves the cursor once more at its end.
const lines = output.map(pieces);
while (lines.length > 0 && lines.at(-1)!.every(({ text }) => text.trim() === "")) lines.pop();
const prompt: Piece[] = [
  { text: "$ ", styles: new Set(["dim"]) },
  { text: "npm start", styles: new Set(["bold"]) },
];
const target = join(root, "docs", "demo.svg");
writeFileSync(target, draw([prompt, ...lines]));
console.log(`Wrote ${target}`);
