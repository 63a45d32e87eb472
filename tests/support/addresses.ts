/**
 * What the tests of addresses share.
 * @module
 */

import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync } from "node:fs";
import { type Address, type AddressLike, type UnixListener, UnixStream } from "../../mod.ts";
import { afterClosing } from "./late_closing.ts";
import { bytes, readText } from "./sockets.ts";

export const encoder = new TextEncoder();
export const UNNAMED: Address = { kind: "unnamed" };
export const AUTOBOUND = /^[0-9a-f]{5}$/;

/** A path below a directory that is exactly so many bytes long; its last name has 20. */
export function pathOfLength(directory: string, length: number): string {
  let parent = directory;
  for (let left; (left = length - 21 - parent.length) > 0;) {
    // Never a rest of one byte, which a slash and a name do not fit into.
    parent += `/${"d".repeat(left - 1 <= 100 ? left - 1 : left === 102 ? 99 : 100)}`;
  }
  mkdirSync(parent, { recursive: true });
  const path = `${parent}/${"s".repeat(20)}`;
  assertEquals(encoder.encode(path).length, length);
  return path;
}

/** The bytes of the names in a directory; not every runtime lists those that are not UTF-8. */
export function namesIn(directory: string): number[][] {
  const script = `cd "$0" && printf '%s\\0' *`;
  const listing = afterClosing(() => execFileSync("sh", ["-c", script, directory]));
  const names: number[][] = [[]];
  for (const byte of listing) {
    if (byte === 0) names.push([]);
    else names.at(-1)!.push(byte);
  }
  return names.slice(0, -1);
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function pathname(path: string): Address {
  return { kind: "pathname", path };
}

export function isSocket(path: string | Uint8Array): boolean {
  return lstatSync(typeof path === "string" ? path : Buffer.from(path)).isSocket();
}

/** Asserts that what is written to one end of a new connection is read at the other. */
export async function assertConnects(listener: UnixListener, address: AddressLike): Promise<void> {
  const connecting = UnixStream.connect(address);
  using accepted = await listener.accept();
  using client = await connecting;
  await client.writeAll(bytes("ping"));
  assertEquals(await readText(accepted), "ping");
}
