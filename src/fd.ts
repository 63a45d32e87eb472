/**
 * Plain descriptors: files, pipes, and whatever else was opened or received.
 * @module
 */

import { checked, file, native, refusal } from "../ffi/mod.ts";
import { formatAddress, pathBytes, pathnameAddress, quote } from "./address.ts";
import { readableOver, writableOver } from "./byte_streams.ts";
import { closeWithOwner, Descriptor } from "./descriptor.ts";
import { assertOpen, type ByteCalls, type Bytes, Transfers } from "./transfer.ts";
import {
  type AsyncOptions,
  checkFd,
  checkInteger,
  checkOptions,
  checkWord,
  ifAbsent,
  type SyncOptions,
} from "./validate.ts";

const calls: ByteCalls = { ...file, readName: "read", writeName: "write" };

/** How to open a file. */
export type OpenMode = "read" | "write" | "read-write" | "append";

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
  readonly #transfers: Transfers;

  private constructor(fd: number) {
    this.#descriptor = new Descriptor(fd);
    this.#transfers = new Transfers(this, this.#descriptor, calls);
    closeWithOwner(this, this.#descriptor);
  }

  /**
   * Takes over a descriptor, which nobody else may close from now on. Its open file becomes
   * non-blocking, also for other processes that share it, and the descriptor close-on-exec.
   *
   * @throws {RangeError} for what is no descriptor number
   * @throws {UnixSocketError} EBADF where nothing is open under this number
   */
  static adopt(fd: number): Fd {
    checkFd(fd);
    checked(file.prepareDescriptor(fd), {
      action: `Cannot adopt descriptor ${fd}`,
      syscall: "fcntl",
    });
    return new Fd(fd);
  }

  /**
   * Opens a file (open(2)).
   *
   * @param path a path, or its bytes
   * @param mode `"read"`, `"write"` (made if absent, emptied), `"read-write"` (made if absent) or
   * `"append"` (made if absent)
   * @param options `permissions` of a file that is made, less the umask; 0o666 without it
   * @throws {UnixSocketError} ENOENT, EACCES, EISDIR, EMFILE, EINVAL for an empty path or one with
   * a NUL, …
   */
  static open(
    path: string | Uint8Array,
    // deno-lint-ignore default-param-last -- what follows is a bag of options
    mode: OpenMode = "read",
    options?: { permissions?: number | undefined },
  ): Fd {
    if (typeof path !== "string" && !(path instanceof Uint8Array)) {
      throw new TypeError("Cannot use this as a path: expected a string or Uint8Array");
    }
    checkWord(mode, "a mode of opening", ["read", "write", "read-write", "append"]);
    checkOptions(options);
    const address = pathnameAddress(
      typeof path === "string" ? pathBytes({ kind: "pathname", path }) : path,
    );
    const bytes = pathBytes(address);
    const shown = formatAddress(address);
    const context = { action: `Cannot open ${quote(address)}`, syscall: "open", address: shown };
    if (bytes.length === 0 || bytes.includes(0)) {
      throw refusal("EINVAL", { ...context, detail: "the path is empty or has a NUL" });
    }
    const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_NONBLOCK } =
      native().abi.constants;
    const flags = {
      "read": O_RDONLY,
      "write": O_WRONLY | O_CREAT | O_TRUNC,
      "read-write": O_RDWR | O_CREAT,
      "append": O_WRONLY | O_CREAT | O_APPEND,
    }[mode];
    const permissions = checkInteger(
      ifAbsent(options?.permissions, 0o666),
      "permissions",
      0,
      0o7777,
    );
    return new Fd(checked(file.open(bytes, flags | O_NONBLOCK, permissions), context));
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
    assertOpen(this.#descriptor, "Cannot duplicate", "fcntl");
    const context = { action: "Cannot duplicate", syscall: "fcntl" };
    return new Fd(checked(file.duplicate(this.fd), context));
  }

  /**
   * Reads what is there, at most the whole buffer, and waits while nothing is (read(2)).
   *
   * @returns the number of bytes, or null at the end; 0 only for an empty buffer
   * @throws {UnixSocketError} EBADF once closed or not open for reading, EISDIR, EIO, …
   */
  read(
    buffer: Bytes,
    options?: AsyncOptions,
  ): Promise<number | null> {
    return this.#transfers.read(buffer, options);
  }

  /**
   * {@linkcode read}, blocking the thread.
   *
   * @throws {UnixSocketError} as `read` does, and ETIMEDOUT
   */
  readSync(buffer: Bytes, options?: SyncOptions): number | null {
    return this.#transfers.readSync(buffer, options);
  }

  /**
   * Writes as much as fits now, and waits while nothing does (write(2)).
   *
   * @returns the number of bytes taken, perhaps fewer than there are
   * @throws {UnixSocketError} EPIPE, EBADF once closed or not open for writing, ENOSPC, …
   */
  write(data: Bytes, options?: AsyncOptions): Promise<number> {
    return this.#transfers.write(data, options);
  }

  /**
   * {@linkcode write}, blocking the thread.
   *
   * @throws {UnixSocketError} as `write` does, and ETIMEDOUT
   */
  writeSync(data: Bytes, options?: SyncOptions): number {
    return this.#transfers.writeSync(data, options);
  }

  /**
   * Writes everything. Writes that overlap follow each other whole.
   *
   * @throws {UnixSocketError} as `write` does; `bytesTransferred` says how far it came
   */
  writeAll(data: Bytes, options?: AsyncOptions): Promise<void> {
    return this.#transfers.writeAll(data, options);
  }

  /**
   * {@linkcode writeAll}, blocking the thread.
   *
   * @throws {UnixSocketError} as `write` does, and ETIMEDOUT; `bytesTransferred` says how far it came
   */
  writeAllSync(data: Bytes, options?: SyncOptions): void {
    return this.#transfers.writeAllSync(data, options);
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
}
