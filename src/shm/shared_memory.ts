/**
 * Memory that processes share: files in memory, mapped as ArrayBuffers.
 * @module
 */

import { errnoName, failure, Mapping, refusal } from "../../ffi/mod.ts";
import { UnixSocketError } from "../errors.ts";
import { Fd } from "../fd/fd.ts";
import { duplicateOf, type FdLike } from "../fd/fd_like.ts";
import { checkFlag, checkInteger, checkOptions, ifAbsent } from "../util/validate.ts";

/** How to make shared memory. */
export interface CreateMemoryOptions {
  /** What `/proc` shows, at most 249 bytes of UTF-8; "afunix" without it. */
  name?: string | undefined;
}

/** How to map shared memory. */
export interface MapMemoryOptions {
  /**
   * Maps a private copy that is made page by page as it is written to (MAP_PRIVATE): nothing that is
   * written here gets into the file. A page shows what others write into it until it is first
   * written to here. The only way where the file is sealed against writing, or the descriptor is open
   * for reading only.
   */
  readOnly?: boolean | undefined;
  /** How many bytes to map, from the beginning on; all of them without it. From 1 to 2³¹. */
  bytes?: number | undefined;
  /**
   * Maps also what is not sealed against becoming shorter: a file on disk, for instance. The caller
   * vouches for everybody who can write to it: when the file becomes shorter than what is mapped, and
   * a byte beyond its end is used, the kernel kills this process with SIGBUS. The same where a write
   * into a hole of a file finds the disk full.
   */
  unsealed?: boolean | undefined;
}

/** The most bytes: 2 GiB, which every runtime has room for in one ArrayBuffer. */
const MAX_BYTES = 2 ** 31;

/**
 * Memory that several processes see at once: a file without a name (memfd_create(2)), mapped as an
 * ArrayBuffer (mmap(2)). Its descriptor travels over any socket that carries descriptors, and
 * {@linkcode SharedMemory.map} on the other side shows the same bytes, on whatever runtime. Nothing
 * is copied, and no order is kept: when to look is for {@linkcode Doorbell} to say, or a message.
 * Linux.
 *
 * The buffer is an ordinary ArrayBuffer, no SharedArrayBuffer. `Atomics.load`, `store`, `add`,
 * `compareExchange` and the like on integer arrays over it are atomic between all who map it;
 * `Atomics.wait` throws, and `Atomics.notify` wakes nobody.
 *
 * What is mapped stays mapped until {@linkcode close}, or until neither the object nor any view of its
 * buffer can be reached. After `close` every view is empty: reading an element of a typed array gives
 * undefined, DataView throws. No use of any view ever hits memory that is not there:
 *
 * - Await what the runtime itself does with a view (compress, hash, write to a file) before closing.
 *   It sees zeros otherwise, or fails with an error of its own, and Bun leaves a buffer it works on
 *   attached, full of zeros.
 * - A buffer that was transferred (`postMessage` with a list, `structuredClone`,
 *   `ArrayBuffer.prototype.transfer`, a BYOB reader) goes on showing the shared bytes to whoever has
 *   it now, and zeros once this object was closed. It is best not transferred: let the other thread
 *   map the descriptor.
 * - The memory is given back by `close` at once, its range of addresses when the buffer was
 *   collected. What was lost without having been closed, and what was transferred, keeps its range
 *   of addresses until the process ends.
 *
 * A worker that ends unmaps nothing that it has not closed.
 *
 * @example One process makes it and passes it on
 * ```ts
 * import { UnixStream } from "@afunix/afunix";
 * import { SharedMemory } from "@afunix/afunix/shm";
 *
 * using memory = SharedMemory.create(1 << 20);
 * memory.bytes.set(new TextEncoder().encode("hello"));
 * using stream = await UnixStream.connect("/run/frames.sock");
 * await stream.sendMessage(new Uint8Array(1), { fds: [memory] });
 * ```
 *
 * @example The other maps it
 * ```ts
 * import { UnixListener } from "@afunix/afunix";
 * import { SharedMemory } from "@afunix/afunix/shm";
 *
 * using listener = UnixListener.listen("/run/frames.sock");
 * using stream = await listener.accept();
 * using message = await stream.receiveMessage({ maxFds: 1 });
 * using memory = SharedMemory.map(message!.fds[0]!);
 * console.log(new TextDecoder().decode(memory.bytes.slice(0, 5))); // hello
 * ```
 */
export class SharedMemory implements Disposable {
  /** All of it as bytes; empty once closed. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether writes stay in this process, as {@linkcode MapMemoryOptions.readOnly} asked. */
  readonly readOnly: boolean;
  readonly #descriptor: Fd;
  readonly #mapping: Mapping;

  private constructor(descriptor: Fd, mapping: Mapping, readOnly: boolean) {
    this.#descriptor = descriptor;
    this.#mapping = mapping;
    this.bytes = new Uint8Array(mapping.buffer);
    this.readOnly = readOnly;
    mapping.releaseWithOwner(this);
  }

  /**
   * Makes memory of this size, all zeros, and maps it. The size is for ever: the file is sealed
   * against becoming shorter, longer, and against further seals (F_SEAL_SHRINK, F_SEAL_GROW,
   * F_SEAL_SEAL), so that whoever receives it can map it without fear. The kernel takes memory for
   * a page when it is first used.
   *
   * @param bytes from 1 to 2³¹
   * @throws {RangeError} for any other size
   * @throws {UnixSocketError} ENOMEM: there is not so much memory, or no room for it among the
   * addresses. EINVAL: the name is too long. EMFILE, ENFILE. ENOTSUP: macOS
   */
  static create(bytes: number, options?: CreateMemoryOptions): SharedMemory {
    checkInteger(bytes, "a size in bytes", 1, MAX_BYTES);
    checkOptions(options);
    const descriptor = Fd.memfd(ifAbsent(options?.name, "afunix"), { sealable: true });
    try {
      descriptor.truncate(bytes);
      descriptor.addSeals({ shrink: true, grow: true, seal: true });
      return new SharedMemory(descriptor, mapped(descriptor, bytes, false), false);
    } catch (error) {
      descriptor.close();
      throw error;
    }
  }

  /**
   * Maps a file in memory that another process made, or this one. The descriptor stays the
   * caller's, and may be closed: this object has a duplicate.
   *
   * @param descriptor a memfd of any origin that is sealed against becoming shorter
   * (F_SEAL_SHRINK), or with `unsealed` any file
   * @throws {RangeError} for `bytes` that are no integer from 1 to 2³¹
   * @throws {UnixSocketError} EBADF: closed. ENODEV: no file. EPERM: not sealed against becoming
   * shorter; or sealed against writing, and `readOnly` was not asked for. EACCES: the descriptor is not
   * open for both reading and writing, and `readOnly` was not asked for. EINVAL: the file is empty, or
   * shorter than `bytes`. EFBIG: it is longer than 2³¹ bytes, and `bytes` was not given. EMFILE, ENOMEM
   */
  static map(descriptor: FdLike, options?: MapMemoryOptions): SharedMemory {
    checkOptions(options);
    const wanted = options?.bytes;
    if (wanted !== undefined) checkInteger(wanted, "a size in bytes", 1, MAX_BYTES);
    const readOnly = checkFlag(options?.readOnly, "readOnly");
    const unsealed = checkFlag(options?.unsealed, "unsealed");
    // Nobody can close the duplicate while this looks at it.
    const own = Fd.received(duplicateOf(descriptor, "Cannot map the descriptor"));
    try {
      const bytes = mappableBytes(own, wanted, unsealed);
      return new SharedMemory(own, mapped(own, bytes, readOnly), readOnly);
    } catch (error) {
      own.close();
      throw error;
    }
  }

  /** The memory; detached once closed. */
  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** How many bytes are mapped; 0 once closed. */
  get byteLength(): number {
    return this.bytes.byteLength;
  }

  /** The descriptor's number, or −1 once closed: this object can be sent as a descriptor. Do not close it. */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /**
   * A descriptor of its own for the same memory, which outlives this object.
   *
   * @throws {UnixSocketError} EBADF once closed, EMFILE
   */
  dup(): Fd {
    return this.#descriptor.dup();
  }

  /**
   * Ends the mapping and closes the descriptor: every view of the buffer is empty from now on. Others
   * that map the same memory keep it. A second call does nothing.
   */
  close(): void {
    this.#descriptor.close();
    this.#mapping.release();
  }

  /** Closes it at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** How much of a file to map, after making sure that this much is there and stays. */
function mappableBytes(fd: Fd, wanted: number | undefined, unsealed: boolean): number {
  const refuse = (code: string, syscall: string, detail: string) =>
    refusal(code, { action: "Cannot map the descriptor", syscall, detail });
  // Seals before size: what is sealed keeps the size that is read after.
  const sealed = isSealed(fd);
  const { kind, size } = fd.stat();
  if (kind !== "file") throw refuse("ENODEV", "mmap", `this is no file: ${kind}`);
  if (!sealed && !unsealed) {
    throw refuse("EPERM", "fcntl", "the file is not sealed against becoming shorter");
  }
  if (size === 0) throw refuse("EINVAL", "mmap", "the file is empty");
  if (wanted === undefined && size > MAX_BYTES) {
    throw refuse("EFBIG", "mmap", `the file has ${size} bytes, and at most 2^31 can be mapped`);
  }
  if (wanted !== undefined && wanted > size) {
    throw refuse("EINVAL", "mmap", `the file has ${size} bytes, not ${wanted}`);
  }
  return wanted ?? size;
}

/** Whether a file can never become shorter. Only a file in memory has seals. */
function isSealed(fd: Fd): boolean {
  try {
    return fd.seals.shrink === true;
  } catch (error) {
    if (error instanceof UnixSocketError && error.code === "EINVAL") return false;
    throw error;
  }
}

/** Why the kernel refuses to share, where that can be told. */
const DETAILS: Record<string, string> = {
  EPERM: "the file is sealed against writing: map it with readOnly",
  EACCES: "the descriptor is not open for reading and writing: readOnly needs it for reading only",
};

function mapped(descriptor: Fd, bytes: number, readOnly: boolean): Mapping {
  const mapping = Mapping.of(descriptor.fd, bytes, !readOnly);
  if (typeof mapping !== "number") return mapping;
  const detail = readOnly ? undefined : DETAILS[errnoName(-mapping)];
  throw failure(mapping, { action: `Cannot map ${bytes} bytes`, syscall: "mmap", detail });
}
