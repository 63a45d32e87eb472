/**
 * The line on a terminal that tells how many bytes went through, and how fast.
 * @module
 */

import process from "node:process";
import { cut } from "./table.ts";
import { writeErr } from "./writing.ts";

/** Milliseconds between two pictures. */
const INTERVAL_MS = 100;
const BAR_WIDTH = 24;

/** Bytes in a unit that reads well. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/** How many bytes went through, shown while it runs. */
export class Progress {
  /** Bytes so far. */
  sent = 0;
  received = 0;
  /** How many will be sent, where that is known. */
  total: number | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #began = 0;
  #colour: (text: string) => string = (text) => text;

  /** Begins to show it. */
  show(colour: (text: string) => string): void {
    this.#colour = colour;
    this.#began = performance.now();
    this.#timer = setInterval(() => this.#draw(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** Takes the line away, for another that is to be written; it comes again with the next picture. */
  clear(): void {
    if (this.#timer !== null) writeErr("\r\x1b[K");
  }

  /** Ends it; the last picture stays, if anything went through. */
  end(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    if (this.sent + this.received > 0) {
      this.#draw();
      writeErr("\n");
    } else this.clear();
    this.#timer = null;
  }

  #draw(): void {
    const seconds = Math.max((performance.now() - this.#began) / 1000, 0.001);
    // A line that the terminal would break could not be drawn over.
    const width = (process.stderr.columns || 80) - 1;
    writeErr(`\r${this.line(seconds, width, this.#colour)}\x1b[K`);
  }

  /** The line after so many seconds, no wider than this: the bar is what is left out first. */
  line(seconds: number, width: number, colour: (text: string) => string): string {
    const { sent, received, total } = this;
    const rate = formatBytes(Math.round((sent + received) / seconds));
    const speed = `, ${rate}/s, ${seconds.toFixed(1)} s`;
    const after = received > 0 ? [`received ${formatBytes(received)}`] : [];
    if (total === null) {
      if (sent > 0) after.unshift(`sent ${formatBytes(sent)}`);
      return cut((after.join(" ") || "nothing yet") + speed, width);
    }
    const share = total === 0 ? 1 : Math.min(sent / total, 1);
    const before = `sent ${formatBytes(sent)} of ${formatBytes(total)}`;
    after.unshift(`${Math.floor(share * 100)} %`);
    const text = [before, ...after].join(" ") + speed;
    if (text.length + 1 + BAR_WIDTH > width) return cut(text, width);
    const full = Math.round(share * BAR_WIDTH);
    const bar = colour("█".repeat(full)) + "░".repeat(BAR_WIDTH - full);
    return [before, bar, ...after].join(" ") + speed;
  }
}
