/**
 * Addresses as they are written on a command line.
 * @module
 */

import { abstract, type Address } from "../mod.ts";
import { UsageError } from "./failures.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Reads an address: `@name` is an abstract name, in which `\xNN` is a byte and `\\` a backslash, as
 * every table here shows it; `file:///path%20name` is a path with escapes; anything else is a path. A
 * file called `@x` is given as `./@x`. A single `@` is an abstract name that the kernel chooses, for
 * those who bind.
 */
export function readAddress(text: string): Address {
  if (text === "") throw new UsageError("The address is empty");
  if (text === "@") return { kind: "unnamed" };
  if (text.startsWith("@")) return abstractAddress(unescaped(text.slice(1)), text);
  if (text.startsWith("file:")) {
    let url;
    try {
      url = new URL(text);
    } catch {
      throw new UsageError(`This is no URL: ${text}`);
    }
    // A relative one would become a path of the root, and what follows the path would be lost.
    if (!/^file:\/\/[^?#]*$/.test(text)) {
      throw new UsageError(`A file: URL is file:///… with %NN for ?, # and others; not ${text}`);
    }
    if (url.hostname !== "" && url.hostname !== "localhost") {
      throw new UsageError(`This file is on another host: ${text}`);
    }
    return pathnameAddress(unescapedUrl(url.pathname));
  }
  checkText(text);
  return { kind: "pathname", path: text };
}

/** Reads the name of `--abstract`: as it is, nothing is an escape. */
export function readAbstractName(name: string): Address {
  if (name === "") return { kind: "unnamed" };
  checkText(name);
  return abstractAddress(new TextEncoder().encode(name), name);
}

/** The address of a path that is given by its bytes. */
export function pathnameAddress(bytes: Uint8Array): Address {
  const path = decoder.decode(bytes);
  return path.includes("\ufffd") ? { kind: "pathname", path, bytes } : { kind: "pathname", path };
}

function abstractAddress(name: Uint8Array, text: string): Address {
  if (name.length > 107) {
    throw new UsageError(`An abstract name has at most 107 bytes, this has ${name.length}`);
  }
  if (name.length === 0) throw new UsageError(`This abstract name is empty: ${text}`);
  return abstract(name);
}

function checkText(text: string): void {
  if (!text.isWellFormed()) throw new UsageError("The address is no valid text");
}

function unescaped(text: string): Uint8Array {
  checkText(text);
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const [part, digits] of text.matchAll(/\\x([0-9a-fA-F]{2})|\\\\|[^\\]+|\\/g)) {
    if (digits !== undefined) bytes.push(parseInt(digits, 16));
    else if (part === "\\\\" || part === "\\") bytes.push(0x5c);
    else bytes.push(...encoder.encode(part));
  }
  return Uint8Array.from(bytes);
}

function unescapedUrl(path: string): Uint8Array {
  const bytes: number[] = [];
  for (const [part, digits] of path.matchAll(/%([0-9a-fA-F]{2})|[^]/g)) {
    bytes.push(digits === undefined ? part.charCodeAt(0) : parseInt(digits, 16));
  }
  if (bytes.includes(0)) throw new UsageError("The path has a NUL");
  return Uint8Array.from(bytes);
}
