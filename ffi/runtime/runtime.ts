/**
 * All that differs between Deno, Bun and Node.js.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import type { Libc } from "../libc/symbols.ts";

/**
 * Calls back when one descriptor becomes readable. One shot: each {@linkcode Watcher.arm} buys at
 * most one callback, and a descriptor that is readable already calls back at the next turn.
 */
export interface Watcher {
  /** Asks for the next callback. Without effect while one is due. */
  arm(): void;
  /** An armed watcher keeps the process alive. Watchers start this way. */
  ref(): void;
  /** An armed watcher no longer keeps the process alive; callbacks still come while it lives. */
  unref(): void;
  /** Gives up, as its thread ends, the descriptors that the runtime would leave open. */
  close(): void;
}

export interface Runtime {
  readonly name: "deno" | "bun" | "node";
  /**
   * Whether a function of up to three arguments is called by a shorter way, so that it pays to use
   * one where there is a choice.
   */
  readonly prefersFewArguments: boolean;
  /** Opens libc and binds every function of the table that the system has. */
  bind(abi: Abi): Libc;
  /** The address of a view's first byte. Valid while the view's buffer is neither freed nor resized. */
  addressOf(view: ArrayBufferView): number;
  /** `length` bytes of memory at an address, as an ArrayBuffer that does not own them. */
  viewAt(address: number, length: number): ArrayBuffer;
  /** Whether this thread may end before the process does. */
  isWorker(): boolean;
  /** Watches a descriptor, which stays the caller's, by way of libc with all functions of Linux. */
  watch(fd: number, onReadable: () => void, libc: Libc, abi: Abi): Watcher;
}
