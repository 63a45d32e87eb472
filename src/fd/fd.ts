/**
 * Plain descriptors: files, pipes, and others that were opened or received.
 * @module
 */

import { checked, errnoNumber, file } from "../../ffi/mod.ts";
import { readableOver, writableOver } from "../io/web_streams.ts";
import { closeWithOwner, Descriptor } from "../io/descriptor.ts";
import { duplicateOf, type FdLike } from "./fd_like.ts";
import { MAX_POSITION, movement, transferAt } from "./position.ts";
import { openEventfd, openFile, openMemfd, type OpenMode } from "./open.ts";
import {
  bitsOfSeals,
  type FdKind,
  type FdStatus,
  readStatus,
  type Seals,
  sealsOfBits,
} from "./status.ts";
import type { Pieces } from "../io/pieces.ts";
import { fulfilled } from "../io/reactor.ts";
import { waitReady, waitReadySync } from "../io/wait_ready.ts";
import { fileCalls } from "../io/byte_calls.ts";
import { assertOpen, ByteTransfer } from "../io/byte_transfer.ts";
import {
  type Bytes,
  checkFd,
  checkFlag,
  checkInteger,
  checkOptions,
  type SignalOption,
  type TimeoutOption,
} from "../util/validate.ts";

/**
 * An owned descriptor: closed exactly once, at {@linkcode close}, at the end of a `using` scope, or
 * at the latest when the object is collected. It is close-on-exec, and non-blocking where that
 * means something.
 *
 * @example
 * ```ts
 * import { Fd } from "@afunix/afunix";
 *
 * const [reader, writer] = Fd.pipe();
 * await writer.writeAll(new TextEncoder().encode("hello"));
 * writer.close();
 * const buffer = new Uint8Array(16);
 * console.log(await reader.read(buffer)); // 5
 * reader.close();
 * ```
 */
export class Fd implements Disposable {
  readonly #descriptor: Descriptor;
  #transfer: ByteTransfer | null = null;
  /** Whether its open file may still be in blocking mode. */
  #perhapsBlocking = false;

  private constructor(fd: number, shared = false) {
    this.#descriptor = new Descriptor(fd, shared);
    closeWithOwner(this, this.#descriptor);
  }

  /**
   * Takes over a descriptor, which nobody else may close from now on. Its open file becomes
   * non-blocking, also for other processes that share it, and the descriptor close-on-exec.
   *
   * @throws {RangeError} if `fd` is not a descriptor number
   * @throws {UnixSocketError} EBADF where nothing is open under this number
   */
  static adopt(fd: number): Fd {
    const number = checkFd(fd);
    checked(file.prepareDescriptor(number), {
      action: `Cannot adopt descriptor ${number}`,
      syscall: "fcntl",
    });
    return new Fd(number, true);
  }

  /**
   * Owns a descriptor that the kernel made for us, close-on-exec. Its open file may be another
   * process's too, and stays in the mode that this one chose until something is read or written.
   * @ignore
   */
  static received(fd: number): Fd {
    const owner = new Fd(fd, true);
    owner.#perhapsBlocking = true;
    return owner;
  }

  /**
   * Duplicates an open descriptor, whoever owns it, with fcntl(2) F_DUPFD_CLOEXEC. The original stays
   * open and its owner's. The two share position and status flags: the first read or write through the
   * duplicate makes the open file non-blocking for all who share it.
   *
   * @param descriptor a number, or an object that has one, as every socket and `Fd` does
   * @throws {TypeError|RangeError} if `descriptor` is neither
   * @throws {UnixSocketError} EBADF: it is closed. EMFILE: no number is free
   *
   * @example
   * ```ts
   * import { Fd } from "@afunix/afunix";
   *
   * using output = Fd.duplicate(1);
   * console.log(output.kind); // such as "pipe"
   * ```
   */
  static duplicate(descriptor: FdLike): Fd {
    return Fd.received(duplicateOf(descriptor, "Cannot duplicate"));
  }

  /**
   * A file without a name that lives in memory (memfd_create(2), Linux).
   *
   * @param name what `/proc` shows, at most 249 bytes of UTF-8
   * @param options `sealable` allows {@linkcode addSeals}
   * @throws {UnixSocketError} EINVAL: the name is too long. EMFILE, ENFILE, ENOMEM. ENOTSUP: macOS
   */
  static memfd(name: string, options?: { sealable?: boolean | undefined }): Fd {
    return new Fd(openMemfd(name, options));
  }

  /**
   * A counter that can be waited for (eventfd(2), Linux): writing eight bytes adds them, as an
   * unsigned integer in the machine's byte order; reading eight gets the sum and clears it, and waits
   * while it is zero.
   *
   * @param initial from 0 to 2³² − 1
   * @param options `semaphore`: reading gets 1 and takes 1 away
   * @throws {UnixSocketError} EMFILE, ENFILE, ENOMEM, ENOTSUP: macOS
   */
  static eventfd(
    // deno-lint-ignore default-param-last -- what follows is a bag of options
    initial = 0,
    options?: { semaphore?: boolean | undefined },
  ): Fd {
    return new Fd(openEventfd(initial, options));
  }

  /**
   * Opens a file (open(2)).
   *
   * @param path a path, or its bytes
   * @param mode `"read"`, `"write"` (made if absent, emptied), `"read-write"` (made if absent) or
   * `"append"` (made if absent); or the flags of open(2) as a number, to which O_CLOEXEC and
   * O_NONBLOCK are added
   * @param options `permissions` of a file that is made, less the umask; 0o666 without it
   * @throws {UnixSocketError} ENOENT, EACCES, EISDIR, EMFILE, EINVAL for an empty path or one with
   * a NUL, ENXIO for a named pipe that nobody reads and a socket, …
   */
  static open(
    path: string | Uint8Array,
    // deno-lint-ignore default-param-last -- what follows is a bag of options
    mode: OpenMode | number = "read",
    options?: { permissions?: number | undefined },
  ): Fd {
    return new Fd(openFile(path, mode, options));
  }

  /**
   * A pipe (pipe2(2)): what is written to the second is read from the first.
   *
   * @throws {UnixSocketError} EMFILE, ENFILE
   */
  static pipe(): [reader: Fd, writer: Fd] {
    const ends: [number, number] = [-1, -1];
    checked(file.pipe(ends), { action: "Cannot create a pipe", syscall: "pipe2" });
    return [new Fd(ends[0]), new Fd(ends[1])];
  }

  /** The number, or −1 once closed or given away. Do not close it. */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** Whether it was closed, or given away with {@linkcode intoFd}. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /**
   * Another descriptor for the same open file (fcntl(2) F_DUPFD_CLOEXEC): position and status
   * flags are shared.
   *
   * @throws {UnixSocketError} EBADF once closed, EMFILE
   */
  dup(): Fd {
    const made = this.#call("duplicate", "fcntl", (fd) => file.duplicate(fd));
    const duplicate = new Fd(made, this.#descriptor.shared);
    duplicate.#perhapsBlocking = this.#perhapsBlocking;
    return duplicate;
  }

  /**
   * Reads what is there, at most the whole buffer, and waits while nothing is (read(2)).
   *
   * @returns the number of bytes, or null at the end; 0 only for an empty buffer
   * @throws {UnixSocketError} EBADF once closed or not open for reading, EISDIR, EIO, …
   */
  read(
    buffer: Bytes,
    options?: SignalOption,
  ): Promise<number | null> {
    return this.#ready().read(buffer, options);
  }

  /**
   * {@linkcode read}, blocking the thread.
   *
   * @throws {UnixSocketError} as `read` does, and ETIMEDOUT
   */
  readSync(buffer: Bytes, options?: TimeoutOption): number | null {
    return this.#ready().readSync(buffer, options);
  }

  /**
   * Writes as much as fits now, and waits while nothing does (write(2)).
   *
   * @returns the number of bytes taken, perhaps fewer than there are
   * @throws {UnixSocketError} EPIPE: nobody reads the pipe (every runtime ignores SIGPIPE; a program that
   * gives it back its default effect, as removing the last listener of it does, is ended instead). EBADF
   * once closed or not open for writing, ENOSPC, …
   */
  write(data: Bytes, options?: SignalOption): Promise<number> {
    return this.#ready().write(data, options);
  }

  /**
   * {@linkcode write}, blocking the thread.
   *
   * @throws {UnixSocketError} as `write` does, and ETIMEDOUT
   */
  writeSync(data: Bytes, options?: TimeoutOption): number {
    return this.#ready().writeSync(data, options);
  }

  /**
   * Writes everything: one piece, or several one after another. Writes that overlap follow each other
   * whole.
   *
   * @throws {UnixSocketError} as `write` does; `bytesTransferred` says how far it came
   */
  writeAll(data: Pieces, options?: SignalOption): Promise<void> {
    return this.#ready().writeAll(data, options);
  }

  /**
   * {@linkcode writeAll}, blocking the thread.
   *
   * @throws {UnixSocketError} as `write` does, and ETIMEDOUT; `bytesTransferred` says how far it came
   */
  writeAllSync(data: Pieces, options?: TimeoutOption): void {
    return this.#ready().writeAllSync(data, options);
  }

  /**
   * The bytes as a web stream. The descriptor closes when the stream ends or is cancelled.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const close = () => this.close();
    return readableOver((view) => this.read(view), close, close);
  }

  /**
   * A web stream that writes. The descriptor closes when the stream is closed or aborted.
   */
  get writable(): WritableStream<Uint8Array> {
    const close = () => this.close();
    const write = (chunk: Uint8Array, signal: AbortSignal) => this.writeAll(chunk, { signal });
    return writableOver(write, close, close, close);
  }

  /**
   * Waits until reading would not have to (poll(2)), and takes nothing away: there are data, or the
   * end. For descriptors that are waited for and not read: a pidfd whose process ends, an eventfd.
   *
   * @throws {UnixSocketError} EBADF: closed, also while this waited
   */
  waitReadable(options?: SignalOption): Promise<void> {
    return waitReady(this, this.#descriptor, "readable", options);
  }

  /**
   * {@linkcode waitReadable}, blocking the thread.
   *
   * @throws {UnixSocketError} as `waitReadable` does, and ETIMEDOUT
   */
  waitReadableSync(options?: TimeoutOption): void {
    waitReadySync(this, this.#descriptor, "readable", options);
  }

  /**
   * Waits until writing would not have to (poll(2)), and writes nothing: there is buffer space, or
   * nobody reads any more. For data that shall be made only when there is room for them.
   *
   * @throws {UnixSocketError} EBADF: closed, also while this waited
   *
   * @example
   * ```ts
   * import { Fd } from "@afunix/afunix";
   *
   * using output = Fd.duplicate(1);
   * await output.waitWritable();
   * await output.writeAll(new TextEncoder().encode(`${new Date().toISOString()}\n`));
   * ```
   */
  waitWritable(options?: SignalOption): Promise<void> {
    return waitReady(this, this.#descriptor, "writable", options);
  }

  /**
   * {@linkcode waitWritable}, blocking the thread. With `timeout: 0` it only asks.
   *
   * @throws {UnixSocketError} as `waitWritable` does, and ETIMEDOUT
   */
  waitWritableSync(options?: TimeoutOption): void {
    waitReadySync(this, this.#descriptor, "writable", options);
  }

  /**
   * Reads at a position, whatever the open file's own is (pread(2)). Never waits: for files, not for
   * pipes or sockets.
   *
   * @param at bytes from the beginning
   * @returns the number of bytes, fewer than there is room for at the end; null at the end
   * @throws {UnixSocketError} EBADF, ESPIPE: it has no positions, EISDIR, EIO
   */
  preadSync(buffer: Bytes, at: number): number | null {
    const { view, length, position } = transferAt(buffer, "a buffer to read into", at);
    const count = this.#call("read", "pread", (fd) => file.pread(fd, view, length, position));
    return count === 0 && length > 0 ? null : count;
  }

  /** {@linkcode preadSync}, whose work is done before this returns: no file is ever waited for. */
  async pread(buffer: Bytes, at: number): Promise<number | null> {
    return await fulfilled(this.preadSync(buffer, at));
  }

  /**
   * Writes at a position, whatever the open file's own is (pwrite(2)). Where it was opened to
   * append, Linux appends all the same.
   *
   * @param at bytes from the beginning
   * @returns the number of bytes taken, perhaps fewer than there are where the disk is full
   * @throws {UnixSocketError} EBADF, ESPIPE: it has no positions, ENOSPC, EFBIG, EPERM: it is sealed
   */
  pwriteSync(data: Bytes, at: number): number {
    const { view, length, position } = transferAt(data, "data to write", at);
    return this.#call("write", "pwrite", (fd) => file.pwrite(fd, view, length, position));
  }

  /** {@linkcode pwriteSync}, whose work is done before this returns. */
  async pwrite(data: Bytes, at: number): Promise<number> {
    return await fulfilled(this.pwriteSync(data, at));
  }

  /**
   * Moves the position at which reading and writing go on (lseek(2)). Duplicates and other
   * processes share it.
   *
   * @param offset in bytes; may be below zero for `"current"` and `"end"`
   * @returns the new position, from the beginning
   * @throws {UnixSocketError} EBADF, ESPIPE: it has no positions, EINVAL: before the beginning
   */
  seek(offset: number, from: "start" | "current" | "end" = "start"): number {
    const { by, whence } = movement(offset, from);
    return this.#call("seek", "lseek", (fd) => file.seek(fd, by, whence));
  }

  /**
   * Makes a file so many bytes long; new ones are zeros (ftruncate(2)).
   *
   * @throws {UnixSocketError} EBADF, EINVAL: not a file, or not open for writing, EFBIG, EPERM: it is
   * sealed
   */
  truncate(length: number): void {
    const bytes = checkInteger(length, "a length", 0, MAX_POSITION);
    this.#call("truncate", "ftruncate", (fd) => file.truncate(fd, bytes));
  }

  /**
   * Blocks the thread until all that was written is on the disk (fsync(2)).
   *
   * @param options `dataOnly` leaves out what is not needed to read it again (fdatasync(2))
   * @throws {UnixSocketError} EBADF, EIO, EINVAL: not a file
   */
  syncSync(options?: { dataOnly?: boolean | undefined }): void {
    checkOptions(options);
    const all = !checkFlag(options?.dataOnly, "dataOnly");
    this.#call("sync", all ? "fsync" : "fdatasync", (fd) => file.sync(fd, all));
  }

  /** {@linkcode syncSync}; it blocks the thread too, and is for code that expects a promise. */
  async sync(options?: { dataOnly?: boolean | undefined }): Promise<void> {
    await fulfilled(this.syncSync(options));
  }

  /**
   * What is behind it, its size, owner and permissions (statx(2)).
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  stat(): FdStatus {
    assertOpen(this.#descriptor, "Cannot get the status", "statx");
    return readStatus(this.fd);
  }

  /** Whether its open file is in non-blocking mode, which the first read or write through this sets. */
  get nonBlocking(): boolean {
    return this.#call("get the status", "fcntl", (fd) => file.isNonBlocking(fd) ? 1 : 0) === 1;
  }

  /** {@linkcode stat}`().kind`: what is behind it. */
  get kind(): FdKind {
    return this.stat().kind;
  }

  /**
   * Forbids changes of a file in memory for ever, whoever holds it (fcntl(2) F_ADD_SEALS): a receiver
   * that finds them can map it without fear.
   *
   * @throws {UnixSocketError} EBADF; EPERM: sealed against it, not made with `sealable`, or not open for
   * writing; EINVAL: no memfd; EBUSY: it is mapped for writing; ENOTSUP: macOS
   */
  addSeals(seals: Seals): void {
    const bits = bitsOfSeals(seals);
    this.#call("seal", "fcntl", (fd) => file.addSeals(fd, bits));
  }

  /**
   * Which changes are forbidden (fcntl(2) F_GET_SEALS).
   *
   * @throws {UnixSocketError} EBADF, EINVAL: no file in memory, ENOTSUP: macOS
   */
  get seals(): Required<Seals> {
    return sealsOfBits(this.#call("read the seals", "fcntl", (fd) => file.getSeals(fd)));
  }

  /**
   * Gives the number away: the caller owns it and has to close it.
   *
   * @throws {UnixSocketError} EBADF once closed
   */
  intoFd(): number {
    assertOpen(this.#descriptor, "Cannot give the descriptor away", "fcntl");
    return this.#descriptor.release();
  }

  /** Pending operations keep the process alive again. Descriptors start this way. */
  ref(): this {
    this.#descriptor.setRef(true);
    return this;
  }

  /** Pending operations no longer keep the process alive. */
  unref(): this {
    this.#descriptor.setRef(false);
    return this;
  }

  /** Closes it (close(2)). What waits rejects with EBADF. A second call does nothing. */
  close(): void {
    this.#descriptor.close();
  }

  /** Closes it at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The reads and writes, after making the open file non-blocking if it may not be. */
  #ready(): ByteTransfer {
    if (this.#perhapsBlocking && !this.closed) {
      this.#perhapsBlocking = false;
      // A path that was only named (O_PATH) has no flags to set: reading tells.
      const result = file.prepareDescriptor(this.fd);
      if (result !== -errnoNumber("EBADF")) {
        checked(result, { action: "Cannot use this descriptor", syscall: "fcntl" });
      }
    }
    const { shared } = this.#descriptor;
    return this.#transfer ??= new ByteTransfer(this, this.#descriptor, fileCalls(this.fd, shared));
  }

  /** One call on the open descriptor that never waits. */
  #call(action: string, syscall: string, call: (fd: number) => number): number {
    assertOpen(this.#descriptor, `Cannot ${action}`, syscall);
    return checked(call(this.fd), { action: `Cannot ${action}`, syscall });
  }
}
