/**
 * Mapped files as ArrayBuffers, which a mapping must outlive, whatever a program does with them.
 *
 * An ArrayBuffer over foreign memory does not own it: memory that is unmapped under a view kills
 * the process when the view is used. What can hold a view of it:
 *
 * - The program. The buffer is detached, after which all its views have length 0. Every runtime can.
 * - The runtime's own threads, which compress, hash or write what a view shows, and keep the address
 *   after the buffer was detached. They keep the buffer's object until they are done.
 * - Another buffer. Transferring (`postMessage`, `structuredClone`, `ArrayBuffer.prototype.transfer`,
 *   a BYOB reader) moves the address into a new buffer that nobody here knows, perhaps into another
 *   thread, and detaches the first.
 *
 * So nothing is unmapped that anybody might see: zeros take the place of the file at once, which gives
 * the memory back, and the range of addresses is unmapped when the buffer's object has been collected;
 * never where the buffer had been moved.
 * @module
 */

import { notSupported } from "./failure.ts";
import { native } from "../native.ts";

/** Where a mapping is. It knows no buffer, so that the buffer can be collected. */
interface Range {
  readonly address: number;
  readonly length: number;
}

/** The beginning of a file in memory, writable. */
export class Mapping {
  /** The memory. Detached by {@linkcode Mapping.release}. */
  readonly buffer: ArrayBuffer;
  readonly #range: Range;
  #released = false;

  private constructor(range: Range) {
    this.#range = range;
    this.buffer = native().runtime.viewAt(range.address, range.length);
  }

  /**
   * Maps the first bytes of a file, of which it must have so many as long as it is mapped; or a
   * negated errno. Where `shared` is false, what is written here stays here.
   */
  static of(fd: number, length: number, shared: boolean): Mapping | number {
    const { calls, abi } = native();
    if (abi.linux === null) return notSupported();
    const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE } = abi.linux;
    const flags = shared ? MAP_SHARED : MAP_PRIVATE;
    const address = calls.mmap(null, length, PROT_READ | PROT_WRITE, flags, fd, 0n);
    if (address < 0) return address;
    const range = { address, length };
    try {
      return new Mapping(range);
    } catch (error) {
      // No buffer of this length, on this runtime.
      unmap(range);
      throw error;
    }
  }

  /** Unmaps when neither `owner` nor a view can be reached any more, unless it was released. */
  releaseWithOwner(owner: object): void {
    lostOwners.register(owner, this, this);
  }

  /** Detaches the buffer, and gives the memory back. A second call does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    lostOwners.unregister(this);
    const { buffer } = this;
    const moved = buffer.detached;
    putZeros(this.#range);
    if (moved) return;
    detach(buffer);
    // Bun does not detach what a thread of its own has pinned.
    if (buffer.detached) closedBuffers.register(buffer, this.#range);
  }

  /** The owner is lost; views may not be. */
  abandon(): void {
    // Whoever moved it goes on using it.
    if (!this.buffer.detached) lostBuffers.register(this.buffer, this.#range);
  }
}

const lostOwners = new FinalizationRegistry<Mapping>((mapping) => mapping.abandon());
/** A view may have been moved after its owner was lost: the range stays, without the memory. */
const lostBuffers = new FinalizationRegistry<Range>(putZeros);
const closedBuffers = new FinalizationRegistry<Range>(unmap);

/** Leaves no other buffer with the memory: what is moved is 0 bytes long. */
function detach(buffer: ArrayBuffer): void {
  buffer.transfer(0);
}

/**
 * Puts memory of this process, all zeros, in the place of what is mapped; at no moment is there
 * nothing. Where the kernel refuses, what is mapped stays.
 */
function putZeros({ address, length }: Range): void {
  const { calls, abi, runtime } = native();
  const { PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE } = abi
    .linux!;
  const at = new Uint8Array(runtime.viewAt(address, 1));
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  calls.mmap(at, length, PROT_READ | PROT_WRITE, flags, -1, 0n);
}

function unmap({ address, length }: Range): void {
  native().calls.munmap(BigInt(address), length);
}
