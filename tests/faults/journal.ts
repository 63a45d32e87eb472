/**
 * What a run did, line by line: in a file, so that it outlives a crash, and a hang that nothing in the
 * process can tell of.
 * @module
 */

import { ftruncateSync, openSync, writeSync } from "node:fs";

/** What happened in all runs of a process, by name. */
export type Counts = Record<string, number>;

export class Journal {
  readonly counts: Counts = {};
  readonly #fd: number;
  #position = 0;

  /** @param path a file that is emptied for each run */
  constructor(path: string) {
    this.#fd = openSync(path, "w");
  }

  /** Begins with a run. */
  begin(title: string): void {
    ftruncateSync(this.#fd, 0);
    this.#position = 0;
    this.note(title);
  }

  note(line: string): void {
    const data = new TextEncoder().encode(`${line}\n`);
    this.#position += writeSync(this.#fd, data, 0, data.length, this.#position);
  }

  /** Counts what happened. */
  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }
}
