/**
 * What the demo shows: numbers for people, colours and a progress line where there is a terminal.
 */

import process from "node:process";
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** Text in a colour, on a terminal that has some. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** `5,123 bytes` */
export function formatBytes(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} ${bytes === 1 ? "byte" : "bytes"}`;
}

/** `12.3 ms` */
export function formatTime(milliseconds: number): string {
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return `${milliseconds.toLocaleString("en-US", digits)} ms`;
}

/** `416 MB/s` */
export function formatRate(bytes: number, milliseconds: number): string {
  const perSecond = bytes / milliseconds * 1000;
  const [unit, name] = perSecond >= 1e6 ? [1e6, "MB/s"] : [1e3, "kB/s"];
  return `${Number((perSecond / unit).toPrecision(3)).toLocaleString("en-US")} ${name}`;
}

/** `64 MB` */
export function formatMemory(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** A file's name may have characters in it that a terminal would obey. */
export function printable(name: string): string {
  // deno-lint-ignore no-control-regex -- they are what is replaced
  return name.replace(/[\x00-\x1f\x7f-\x9f]/g, "�");
}

let progressShown = false;

/** Shows a line that the next one replaces. On a terminal only. */
export function showProgress(text: string): void {
  if (!process.stdout.isTTY) return;
  process.stdout.write(`\r\x1b[K${text.slice(0, (process.stdout.columns || 80) - 1)}`);
  progressShown = true;
}

/** Removes that line. */
export function clearProgress(): void {
  if (progressShown) process.stdout.write("\r\x1b[K");
  progressShown = false;
}
