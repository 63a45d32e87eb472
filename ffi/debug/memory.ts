/**
 * In debug mode: the memory whose addresses the library has, as long as it may be used.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { currentPlace, PointerError } from "./errors.ts";

/** What every check works with. */
export interface CallContext {
  readonly abi: Abi;
  readonly memory: MemoryLedger;
}

/** A stretch of memory. */
interface Stretch {
  readonly address: number;
  readonly length: number;
  /** What the memory belongs to; null for what the C library or the kernel made. */
  readonly buffer: WeakRef<ArrayBuffer> | null;
  /** The buffers over foreign memory that were handed out. */
  readonly shown: Set<WeakRef<ArrayBuffer>>;
  /** Where its address was taken, or where it was made. */
  readonly place: string;
  /** Where foreign memory was given back. */
  ended: string | null;
}

/** How many stretches are remembered that are no more, to say of them what they were. */
const MAX_ENDED = 4096;

/** The lower and the higher end of addresses that a program can have: the first page is nobody's. */
const FIRST_ADDRESS = 4096;

/** Reads the runtime's own mind about addresses. */
export interface Addresses {
  addressOf(view: ArrayBufferView): number;
  viewAt(address: number, length: number): ArrayBuffer;
}

/** All stretches of one thread. */
export class MemoryLedger {
  readonly #runtime: Addresses;
  /** Sorted by address; no two overlap. */
  #stretches: Stretch[] = [];
  #sweepAt = MAX_ENDED;
  readonly #foreign = new WeakMap<ArrayBuffer, Stretch>();

  constructor(runtime: Addresses) {
    this.#runtime = runtime;
  }

  /** Takes the address of a view's first byte, which from now on may be used. */
  addressOf(view: ArrayBufferView): number {
    const refuse = (problem: string) => new PointerError("addressOf", "the view", problem);
    if (isEmpty(view)) throw refuse(goneView(view) ?? "is empty, and has no address");
    const address = this.#runtime.addressOf(view);
    // To ask for its buffer gives one to a view that had none, and moves its memory.
    const { buffer } = view;
    if (!(buffer instanceof ArrayBuffer)) {
      throw refuse("is over a SharedArrayBuffer, which says nothing of how long it lives");
    }
    if (buffer.resizable) {
      throw refuse("is over a resizable buffer, whose memory can be taken away");
    }
    const foreign = this.#foreign.get(buffer);
    if (foreign !== undefined) {
      if (foreign.ended !== null) throw refuse(`lies in ${describe(foreign)}`);
      return address;
    }
    const after = this.#runtime.addressOf(view);
    if (after !== address) {
      throw refuse(
        "is small and was in the runtime's heap, where it moves: it needs a buffer first",
      );
    }
    const base = address - view.byteOffset;
    const known = this.#find(base);
    if (known?.buffer?.deref() !== buffer || known.address !== base) {
      this.#add(stretch(base, buffer.byteLength, new WeakRef(buffer)));
    }
    return address;
  }

  /** A buffer over foreign memory. */
  viewAt(address: number, length: number): ArrayBuffer {
    this.checkAddress("viewAt", "the address", address, length);
    const buffer = this.#runtime.viewAt(address, length);
    const around = this.#find(address)!;
    if (around.buffer === null) {
      this.#foreign.set(buffer, around);
      around.shown.add(new WeakRef(buffer));
    }
    return buffer;
  }

  /** The C library or the kernel made memory. */
  made(address: number, length: number): void {
    // Mapped over what is there, it is the same stretch.
    const known = this.#find(address);
    if (known?.ended === null && known.buffer === null && isWithin(known, address, length)) return;
    this.#add(stretch(address, length, null));
  }

  /** @throws {PointerError} unless this is the whole of a mapping that nothing shows any more */
  checkUnmapping(call: string, pointer: string, address: number, length: number): void {
    const trouble = this.#unmappingTrouble(address, length);
    if (trouble !== null) throw new PointerError(call, pointer, trouble);
  }

  #unmappingTrouble(address: number, length: number): string | null {
    const known = this.#find(address);
    if (known === undefined || known.buffer !== null) {
      return `is ${hex(address)}: nothing is mapped`;
    }
    if (known.ended !== null) return `is ${hex(address)}, in ${describe(known)}`;
    if (known.address !== address || known.length !== length) {
      return `is ${hex(address)} and ${length} bytes, but not the whole of ${describe(known)}`;
    }
    for (const reference of known.shown) {
      const buffer = reference.deref();
      if (buffer !== undefined && !buffer.detached) {
        return `is still shown by a buffer, in ${describe(known)}`;
      }
    }
    return null;
  }

  /** A mapping was given back. */
  unmapped(address: number): void {
    const known = this.#find(address);
    if (known?.address === address) known.ended = currentPlace();
  }

  /**
   * Takes a view over foreign memory for one that does nothing but carry an address into a call,
   * such as mmap(2). False for any other view.
   */
  carriesAddress(view: ArrayBufferView): boolean {
    const shown = this.#foreign.get(view.buffer as ArrayBuffer)?.shown;
    for (const reference of shown ?? []) {
      if (reference.deref() === view.buffer) shown!.delete(reference);
    }
    return shown !== undefined;
  }

  /** @throws {PointerError} unless a view shows at least so many bytes that are there */
  checkView(call: string, pointer: string, view: ArrayBufferView, size: number): void {
    const foreign = this.#foreign.get(view.buffer as ArrayBuffer);
    const ended = foreign !== undefined && foreign.ended !== null;
    const trouble = goneView(view) ?? (ended ? `lies in ${describe(foreign)}` : null);
    if (trouble !== null) throw new PointerError(call, pointer, trouble);
    if (view.byteLength >= size) return;
    const problem = `has ${view.byteLength} bytes, and the call takes ${size}`;
    throw new PointerError(call, pointer, problem);
  }

  /** @throws {PointerError} unless so many bytes from an address on may be used */
  checkAddress(call: string, pointer: string, address: number, length: number): void {
    const trouble = this.#trouble(address, length);
    if (trouble !== null) throw new PointerError(call, pointer, trouble);
  }

  /** What is wrong with using so many bytes from an address on; null for nothing. */
  #trouble(address: number, length: number): string | null {
    const what = `is ${hex(address)}, for ${length} bytes`;
    if (!(address >= FIRST_ADDRESS) || !Number.isSafeInteger(address)) return `${what}: no address`;
    const known = this.#find(address);
    if (known === undefined) return `${what}: nobody took an address there`;
    if (!isWithin(known, address, length)) {
      const over = address + length - known.address - known.length;
      return `${what}, ${over} of them beyond ${describe(known)}`;
    }
    if (known.ended !== null) return `${what}, in ${describe(known)}`;
    if (known.buffer === null) return null;
    const buffer = known.buffer.deref();
    if (buffer === undefined) return `${what}, which were freed, in ${describe(known)}`;
    if (buffer.detached) return `${what}, which were transferred away, in ${describe(known)}`;
    const now = this.#runtime.addressOf(new Uint8Array(buffer));
    if (now === known.address) return null;
    return `${what}, which have moved to ${hex(now)}, in ${describe(known)}`;
  }

  /** Memory without trouble, to look at. */
  bytesAt(address: number, length: number): DataView {
    const { buffer, address: base } = this.#find(address)!;
    if (buffer === null) return new DataView(this.#runtime.viewAt(address, length));
    return new DataView(buffer.deref()!, address - base, length);
  }

  /** The last stretch that begins at an address or before, if it reaches there. */
  #find(address: number): Stretch | undefined {
    const found = this.#stretches[this.#after(address) - 1];
    return found !== undefined && address < found.address + found.length ? found : undefined;
  }

  /** The index of the first stretch that begins after an address. */
  #after(address: number): number {
    let [low, high] = [0, this.#stretches.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#stretches[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes the place of all that it overlaps: memory is given anew only when it is free. */
  #add(added: Stretch): void {
    if (this.#stretches.length > this.#sweepAt) this.#sweep();
    let from = this.#after(added.address);
    const before = this.#stretches[from - 1];
    if (before !== undefined && before.address + before.length > added.address) from--;
    let to = from;
    while ((this.#stretches[to]?.address ?? Infinity) < added.address + added.length) to++;
    this.#stretches.splice(from, to - from, added);
  }

  /** Forgets what is no more. */
  #sweep(): void {
    this.#stretches = this.#stretches.filter(({ buffer, ended }) =>
      ended === null && (buffer === null || buffer.deref()?.detached === false)
    );
    this.#sweepAt = this.#stretches.length + MAX_ENDED;
  }
}

function stretch(address: number, length: number, buffer: Stretch["buffer"]): Stretch {
  return { address, length, buffer, shown: new Set(), place: currentPlace(2), ended: null };
}

function isWithin({ address: base, length: room }: Stretch, address: number, length: number) {
  return address >= base && address + length <= base + room;
}

/** Whether a view shows nothing. A DataView throws where its buffer is gone, or was made too short. */
function isEmpty(view: ArrayBufferView): boolean {
  try {
    return view.byteLength === 0;
  } catch {
    return true;
  }
}

/** Why a view shows nothing, although it was made to; null where it does. */
function goneView(view: ArrayBufferView): string | null {
  if ((view.buffer as ArrayBuffer).detached) return "is over a buffer that was transferred away";
  if (!isEmpty(view)) return null;
  try {
    // Typed arrays say that they begin at 0 then, and a DataView throws.
    if (view.byteOffset <= view.buffer.byteLength && view.byteLength === 0) return null;
  } catch {
    // As below.
  }
  return "is beyond the end of its buffer, which was resized";
}

function describe({ buffer, length, place, ended }: Stretch): string {
  const what = buffer === null ? "memory" : "a buffer";
  const did = buffer === null ? "made" : "its address taken";
  const end = ended === null ? "" : `\nand given back here:\n${ended}`;
  return `${what} of ${length} bytes, ${did} here:\n${place}${end}`;
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
