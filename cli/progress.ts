/**
 * The line on a terminal that tells how many bytes went through, and how fast.
 * @module
 */

import { writeErr } from "./writing.ts";

/** Milliseconds between two pictures. */
const INTERVAL = 100;
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
    this.#timer = setInterval(() => this.#draw(), INTERVAL);
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
    const parts: string[] = [];
    if (this.sent > 0 || this.total !== null) parts.push(`sent ${formatBytes(this.sent)}`);
    if (this.total !== null) {
      const share = this.total === 0 ? 1 : Math.min(this.sent / this.total, 1);
      const full = Math.round(share * BAR_WIDTH);
      const bar = this.#colour("█".repeat(full)) + "░".repeat(BAR_WIDTH - full);
      parts.push(`of ${formatBytes(this.total)} ${bar} ${Math.floor(share * 100)} %`);
    }
    if (this.received > 0) parts.push(`received ${formatBytes(this.received)}`);
    if (parts.length === 0) parts.push("nothing yet");
    const rate = formatBytes(Math.round((this.sent + this.received) / seconds));
    writeErr(`\r${parts.join(" ")}, ${rate}/s, ${seconds.toFixed(1)} s\x1b[K`);
  }
}
