/**
 * Addresses of Unix domain sockets: pathname, abstract and unnamed.
 * @module
 */

import { native, refusal, sockaddr } from "../ffi/mod.ts";
import { fromLatin1 } from "./util/latin1.ts";
import { asBytes, isUint8Array } from "./util/validate.ts";

/** A name in the file system. */
export interface PathnameAddress {
  /** Tells the kinds of address apart. */
  readonly kind: "pathname";
  /** The path. Where its bytes are no UTF-8, a readable approximation of {@linkcode bytes}. */
  readonly path: string;
  /** The exact bytes of a path that is not UTF-8; absent where `path` says it all. */
  readonly bytes?: Uint8Array;
}

/**
 * A name in Linux's abstract namespace: not a file, without permissions, gone with the last
 * descriptor of its socket, and private to a network namespace.
 */
export interface AbstractAddress {
  /** Tells the kinds of address apart. */
  readonly kind: "abstract";
  /** The name without the leading NUL: up to 107 bytes of any value, each of them significant. */
  readonly name: Uint8Array;
}

/** No name: a socket that was not bound, or one end of a socketpair. */
export interface UnnamedAddress {
  /** Tells the kinds of address apart. */
  readonly kind: "unnamed";
}

/** The address of a socket, as the library reports it. */
export type Address = PathnameAddress | AbstractAddress | UnnamedAddress;

/**
 * The address of a socket, as callers may write it: a path, a `file:` URL, `"\0name"` for an
 * abstract name, the bytes of either, or an {@linkcode Address}.
 */
export type AddressLike = string | URL | Uint8Array | Address;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The abstract address of a name (Linux).
 *
 * @param name up to 107 bytes; a string is encoded as UTF-8. Do not put the leading NUL in.
 * @throws {RangeError} for a longer name
 *
 * @example
 * ```ts
 * import { abstract, UnixListener } from "@afunix/afunix";
 *
 * using listener = UnixListener.listen(abstract("my-service"));
 * ```
 * See unix(7), "Abstract sockets".
 */
export function abstract(name: string | Uint8Array): AbstractAddress {
  const bytes = typeof name === "string" ? encodeText(name) : name;
  if (!isUint8Array(bytes)) {
    throw new TypeError("Cannot use this as an abstract name: expected a string or Uint8Array");
  }
  if (bytes.length > 107) {
    throw new RangeError(`Cannot use an abstract name of ${bytes.length} bytes: at most 107 fit`);
  }
  return { kind: "abstract", name: copyOf(bytes) };
}

/**
 * An address as text for people and logs: a path as it is (`./@x` for the relative path `@x`),
 * `@name` for an abstract name with unprintable bytes as `\xNN`, and `(unnamed)`.
 * Not a form that can be read back: `@` is an ordinary character in a path.
 */
export function formatAddress(address: Address): string {
  switch (address?.kind) {
    case "pathname":
      if (!isPathname(address)) break;
      return (address.path.startsWith("@") ? "./" : "") +
        escapeBytes(address.bytes ?? encoder.encode(address.path));
    case "abstract":
      if (!isUint8Array(address.name)) break;
      return `@${escapeBytes(address.name)}`;
    case "unnamed":
      return "(unnamed)";
  }
  throw notAnAddress();
}

/** Whether two addresses have the same kind and the same bytes. Two unnamed ones are the same. */
export function sameAddress(a: Address, b: Address): boolean {
  return addressKey(a) === addressKey(b);
}

/** A text that two addresses share exactly when they are the same. */
export function addressKey(address: Address): string {
  switch (address?.kind) {
    case "pathname":
      if (isPathname(address)) return `pathname ${fromLatin1(pathBytes(address))}`;
      break;
    case "abstract":
      if (isUint8Array(address.name)) return `abstract ${fromLatin1(address.name)}`;
      break;
    case "unnamed":
      return "unnamed";
  }
  throw notAnAddress();
}

function isPathname(address: PathnameAddress): boolean {
  return typeof address.path === "string" &&
    (address.bytes === undefined || isUint8Array(address.bytes));
}

function notAnAddress(): TypeError {
  return new TypeError(
    "Cannot use this as an address: expected a path, a file: URL, bytes or an Address",
  );
}

/** A copy that shares nothing: a Buffer's own `slice` would. */
function copyOf(bytes: Uint8Array, start = 0): Uint8Array {
  return new Uint8Array(asBytes(bytes, "an address").subarray(start));
}

function escapeBytes(bytes: Uint8Array): string {
  try {
    return escapeText(strictDecoder.decode(bytes));
  } catch {
    let text = "";
    for (const byte of bytes) {
      text += byte < 0x80 ? escapeText(String.fromCharCode(byte)) : hex(byte);
    }
    return text;
  }
}

function escapeText(text: string): string {
  // deno-lint-ignore no-control-regex -- they are what has to be escaped
  return text.replace(/[\x00-\x1f\x7f-\x9f\\]/g, (c) => c === "\\" ? "\\\\" : hex(c.charCodeAt(0)));
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

function encodeText(text: string): Uint8Array {
  if (!text.isWellFormed()) {
    throw new TypeError("Cannot use this text as an address: it has an unpaired surrogate");
  }
  return encoder.encode(text);
}

/** The bytes of a pathname. */
export function pathBytes(address: PathnameAddress): Uint8Array {
  return address.bytes ?? encodeText(address.path);
}

/** The address with this pathname. */
export function pathnameAddress(bytes: Uint8Array): PathnameAddress {
  try {
    return { kind: "pathname", path: strictDecoder.decode(bytes) };
  } catch {
    return { kind: "pathname", path: lenientDecoder.decode(bytes), bytes: copyOf(bytes) };
  }
}

/** An address that was checked, with the bytes that go into its sockaddr. */
export interface ParsedAddress {
  readonly address: Address;
  readonly raw: sockaddr.RawAddress;
}

/**
 * Checks an address as callers may write it, and converts it once.
 *
 * @throws {TypeError} if `value` is not an address
 * @throws {UnixSocketError} EINVAL for an empty path and one with a NUL, ENAMETOOLONG for an
 * abstract name that is too long, ENOTSUP for an abstract name on macOS: `syscall` names the call that
 * the address was for
 */
export function parseAddress(value: AddressLike, syscall: "bind" | "connect"): ParsedAddress {
  const parsed = readAddress(value);
  const { raw } = parsed;
  const invalid = (code: string, detail: string) =>
    refusal(code, {
      action: `Cannot ${syscall === "bind" ? "bind to" : "connect to"} ${quote(parsed.address)}`,
      syscall,
      address: formatAddress(parsed.address),
      detail,
    });
  if (raw.kind === "abstract") {
    const { abi } = native();
    if (abi.os !== "linux") throw invalid("ENOTSUP", "abstract names are Linux's alone");
    const max = sockaddr.longestAbstractName(abi.layouts.sockaddr_un);
    if (raw.bytes.length > max) {
      throw invalid("ENAMETOOLONG", `an abstract name has at most ${max} bytes`);
    }
  } else if (raw.kind === "pathname") {
    if (raw.bytes.length === 0) throw invalid("EINVAL", "the path is empty");
    if (raw.bytes.includes(0)) throw invalid("EINVAL", "the path has a NUL");
  }
  return parsed;
}

function readAddress(value: AddressLike): ParsedAddress {
  if (typeof value === "string") {
    return value.startsWith("\0") ? named(encodeText(value.slice(1))) : atPath(value);
  }
  if (isUint8Array(value)) return value[0] === 0 ? named(copyOf(value, 1)) : atBytes(copyOf(value));
  if (value instanceof URL) return atBytes(urlPath(value));
  if (typeof value === "object" && value !== null) {
    if (value.kind === "pathname" && typeof value.path === "string") {
      if (value.bytes === undefined) return atPath(value.path);
      if (isUint8Array(value.bytes)) return atBytes(copyOf(value.bytes));
    }
    if (value.kind === "abstract" && isUint8Array(value.name)) return named(copyOf(value.name));
    if (value.kind === "unnamed") return { address: { kind: "unnamed" }, raw: { kind: "unnamed" } };
  }
  throw notAnAddress();
}

function atPath(path: string): ParsedAddress {
  return {
    address: { kind: "pathname", path },
    raw: { kind: "pathname", bytes: encodeText(path) },
  };
}

function atBytes(bytes: Uint8Array): ParsedAddress {
  return { address: pathnameAddress(bytes), raw: { kind: "pathname", bytes } };
}

function named(name: Uint8Array): ParsedAddress {
  return { address: { kind: "abstract", name }, raw: { kind: "abstract", bytes: name } };
}

function urlPath(url: URL): Uint8Array {
  if (url.protocol !== "file:" || (url.hostname !== "" && url.hostname !== "localhost")) {
    throw new TypeError(`Cannot use ${url.href} as an address: expected a file: URL of this host`);
  }
  const bytes: number[] = [];
  const text = url.pathname;
  for (let i = 0; i < text.length; i++) {
    const escaped = text[i] === "%" && /^[0-9a-f]{2}$/i.test(text.slice(i + 1, i + 3));
    bytes.push(escaped ? parseInt(text.slice(i + 1, i + 3), 16) : text.charCodeAt(i));
    if (escaped) i += 2;
  }
  return new Uint8Array(bytes);
}

/** An address inside a sentence: a path in quotation marks. */
export function quote(address: Address): string {
  const text = formatAddress(address);
  return address.kind === "pathname" ? `"${text}"` : text;
}

/** What the kernel reported, as a public address. */
export function fromRawAddress(raw: sockaddr.RawAddress): Address {
  switch (raw.kind) {
    case "pathname":
      return pathnameAddress(raw.bytes);
    case "abstract":
      return { kind: "abstract", name: raw.bytes };
    case "unnamed":
      return raw;
  }
}
