/**
 * The arguments of a command: which there are, and their values after all checks.
 * @module
 */

import { parseArgs } from "node:util";
import type { Address } from "../mod.ts";
import { readAbstractName, readAddress } from "./addresses.ts";
import { UsageError } from "./failures.ts";

/** The type of socket. */
export type SocketType = "stream" | "datagram" | "seqpacket";
export const SOCKET_TYPES: readonly SocketType[] = ["stream", "datagram", "seqpacket"];

/** An option as `--help` shows it and as it is read. */
export interface OptionSpec {
  /** What stands for the value in `--help`; absent where the option takes none. */
  value?: string;
  /** One letter for it. */
  short?: string;
  /** Whether it may be given several times. */
  multiple?: boolean;
  /** What it does, in a few words. */
  help: string;
}

/** The options of every command. */
export const COMMON: Record<string, OptionSpec> = {
  json: { help: "one JSON object a line on stdout, errors too, on stderr" },
  verbose: { short: "v", help: "say on stderr what happens, also where it is no terminal" },
  quiet: { short: "q", help: "say nothing on stderr but errors" },
  help: { short: "h", help: "show this help" },
};

/** The arguments of one run. */
export class Arguments {
  readonly #values = new Map<string, string[]>();
  readonly #known: Record<string, OptionSpec>;
  /** What is no option, in order. */
  readonly positionals: string[] = [];
  /** What stands behind `--`, for commands that run another; null where there is no `--`. */
  readonly rest: string[] | null;

  /** @param splits whether `--` separates another command line */
  constructor(argv: readonly string[], specs: Record<string, OptionSpec>, splits = false) {
    this.#known = { ...specs, ...COMMON };
    const at = splits ? argv.indexOf("--") : -1;
    this.rest = at === -1 ? null : argv.slice(at + 1);
    const options = Object.fromEntries(
      Object.entries(this.#known).map(([name, { value, short }]) => [
        name,
        {
          type: value === undefined ? "boolean" as const : "string" as const,
          multiple: true,
          ...(short === undefined ? {} : { short }),
        },
      ]),
    );
    const { tokens } = parseArgs({
      args: [...(at === -1 ? argv : argv.slice(0, at))],
      options,
      strict: false,
      tokens: true,
      allowPositionals: true,
    });
    for (const token of tokens) {
      if (token.kind === "positional") this.positionals.push(token.value);
      else if (token.kind === "option") this.#take(token);
    }
  }

  /** Whether an option was given. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value of an option; undefined where it was not given. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  /** All values of an option that may be repeated. */
  texts(name: string): string[] {
    return this.#values.get(name) ?? [];
  }

  /** The value of an option that is a whole number. */
  integer(name: string, least: number, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : integerOf(text, `--${name}`, least, most);
  }

  /** The value of an option that is one of a few words. */
  word<T extends string>(name: string, words: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined || words.includes(text as T)) return text as T | undefined;
    throw new UsageError(`--${name} is ${words.join(", ")}; not ${JSON.stringify(text)}`);
  }

  /** The type of socket; a stream without the option. */
  get type(): SocketType {
    return this.word("type", SOCKET_TYPES) ?? "stream";
  }

  /** The permissions of `--mode`, in octal digits. */
  get mode(): number | undefined {
    const text = this.text("mode");
    if (text === undefined) return undefined;
    if (!/^(0o)?[0-7]{1,4}$/.test(text) || parseInt(text.replace("0o", ""), 8) > 0o777) {
      throw new UsageError(`--mode is octal, from 0 to 777; not ${JSON.stringify(text)}`);
    }
    return parseInt(text.replace("0o", ""), 8);
  }

  /**
   * Takes the address, from `--abstract` or else the first positional. `binds` tells whether the
   * kernel may choose it.
   */
  takeAddress(binds: boolean): Address {
    const name = this.text("abstract");
    const text = name === undefined ? this.positionals.shift() : undefined;
    if (name === undefined && text === undefined) throw new UsageError("An address is missing");
    const address = name === undefined ? readAddress(text!) : readAbstractName(name);
    if (address.kind === "unnamed" && !binds) throw new UsageError("The address has no name");
    if (address.kind !== "pathname" && this.has("mode")) {
      throw new UsageError("--mode is for a path: an abstract name has no permissions");
    }
    return address;
  }

  /** Nothing may be left of the positionals. */
  finish(): void {
    const [extra] = this.positionals;
    if (extra !== undefined) throw new UsageError(`Too many arguments: ${JSON.stringify(extra)}`);
  }

  /** Two options that contradict each other. */
  exclude(one: string, other: string): void {
    if (this.has(one) && this.has(other)) {
      throw new UsageError(`--${one} and --${other} exclude each other`);
    }
  }

  #take(token: { name: string; rawName: string; value?: unknown; inlineValue?: unknown }): void {
    const { name, rawName, value } = token;
    const spec = Object.hasOwn(this.#known, name) ? this.#known[name] : undefined;
    if (spec === undefined) throw new UsageError(`Unknown option: ${rawName}`);
    if (spec.value === undefined) {
      if (typeof value === "string") throw new UsageError(`${rawName} takes no value`);
      this.#values.set(name, []);
      return;
    }
    const inline = token.inlineValue === true;
    if (typeof value !== "string" || (!inline && value.startsWith("-") && value !== "-")) {
      throw new UsageError(`${rawName} needs a value: ${spec.value}`);
    }
    const values = this.#values.get(name) ?? [];
    if (values.length > 0 && !spec.multiple) throw new UsageError(`${rawName} is given twice`);
    this.#values.set(name, [...values, value]);
  }
}

/** A whole number from text. */
export function integerOf(text: string, what: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    const bounds = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new UsageError(`${what} is a whole number ${bounds}; not ${JSON.stringify(text)}`);
  }
  return value;
}
