/**
 * What goes out: bytes or JSON on stdout, words for people on stderr.
 * @module
 */

import process from "node:process";
import { styleText } from "node:util";
import { Failure, lineOf, printable, recordOf } from "../failures.ts";
import { environmentVariable } from "../system/runtime.ts";
import { Progress } from "./progress.ts";
import { errHasRoom, writeErr, writeOut } from "./writing.ts";

/** The styles that are used. */
export type Style = Exclude<Parameters<typeof styleText>[0], readonly unknown[]>;

/** How a run talks. */
export interface Manner {
  json: boolean;
  verbose: boolean;
  quiet: boolean;
}

/** Whether escape sequences may go to a stream: a capable terminal, and nobody objects. */
function isColourful(stream: { isTTY?: boolean | undefined }, json: boolean): boolean {
  return stream.isTTY === true && !json && !environmentVariable("NO_COLOR") &&
    environmentVariable("TERM") !== "dumb";
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes in JSON: `text` where they are UTF-8, else `base64`. */
export function bytesRecord(data: Uint8Array): { text: string } | { base64: string } {
  try {
    return { text: decoder.decode(data) };
  } catch {
    return { base64: data.toBase64() };
  }
}

/** A number and what it counts. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** The two streams. */
export class Output {
  readonly json: boolean;
  readonly progress: Progress = new Progress();
  readonly #notices: boolean;
  readonly #quiet: boolean;
  readonly #onFailure: (error: unknown) => void;
  #pending: Promise<void> = Promise.resolve();
  readonly #broken = Promise.withResolvers<void>();
  /** Lines for which there was no room on stderr. */
  #lost = 0;

  /** @param onFailure is called when stdout cannot be written any more */
  constructor({ json, verbose, quiet }: Manner, onFailure: (error: unknown) => void) {
    this.json = json;
    this.#quiet = quiet;
    this.#notices = !json && !quiet && (verbose || process.stderr.isTTY === true);
    this.#onFailure = onFailure;
  }

  /** Writes bytes, and waits until they are on their way. The bytes may change after that. */
  write(data: Uint8Array | string): Promise<void> {
    return this.#pending = this.#pending.then(async () => {
      try {
        await writeOut(data);
      } catch (error) {
        this.#broken.resolve();
        this.#onFailure(error);
        // From here on, everybody waits for the end of the process.
        await new Promise(() => {});
      }
    });
  }

  /** Writes one line. */
  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** Writes an object as one line. */
  record(record: Record<string, unknown>): Promise<void> {
    return this.line(JSON.stringify(record));
  }

  /** An event: an object with `--json`, else a notice for people. */
  async event(record: { event: string; [key: string]: unknown }, notice: string): Promise<void> {
    if (this.json) await this.record(record);
    else this.notice(notice);
  }

  /** Tells what happens, where somebody is likely to look. */
  notice(text: string): void {
    if (this.#notices) this.#tell(this.#err("dim", printable(text)));
  }

  /** Tells that something went wrong that is not the end. */
  warn(error: unknown): void {
    if (!this.#quiet) this.#tell(this.#warning(error));
  }

  /** Tells why all ends. */
  error(error: unknown, more?: string): void {
    if (this.json) this.#tell(JSON.stringify(recordOf(error)), true);
    else this.#tell(this.#err("red", lineOf(error)) + (more ?? ""), true);
  }

  /** Text in a style, for stdout. */
  style(style: Style, text: string): string {
    return styled(style, text, isColourful(process.stdout, this.json));
  }

  /** Shows the progress, if stderr is a terminal and the bytes do not go to one. */
  showProgress({ reads, writes }: { reads: boolean; writes: boolean }): void {
    if (!isColourful(process.stderr, this.json) || this.#quiet) return;
    if ((reads && process.stdin.isTTY) || (writes && process.stdout.isTTY)) return;
    this.progress.show((text) => this.#err("green", text));
  }

  /** All that was written is on its way, or nobody reads it. */
  async finish(): Promise<void> {
    this.progress.end();
    this.#tellLost();
    await Promise.race([this.#pending, this.#broken.promise]);
  }

  #err(style: Style, text: string): string {
    return styled(style, text, isColourful(process.stderr, this.json));
  }

  #tell(line: string, always = false): void {
    if (!always && !errHasRoom()) {
      this.#lost++;
      return;
    }
    this.#tellLost();
    this.progress.clear();
    writeErr(`${line}\n`);
  }

  #tellLost(): void {
    if (this.#lost === 0) return;
    const lost = counted(this.#lost, "line");
    this.#lost = 0;
    this.#tell(
      this.#warning(new Failure(`Nobody read the standard error: ${lost} left out`)),
      true,
    );
  }

  #warning(error: unknown): string {
    if (this.json) return JSON.stringify({ ...recordOf(error), event: "warning" });
    return this.#err("yellow", lineOf(error));
  }
}

function styled(style: Style, text: string, wanted: boolean): string {
  return wanted ? styleText(style, text, { validateStream: false }) : text;
}
