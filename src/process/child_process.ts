/**
 * A process that was started with a socket.
 * @module
 */

import {
  builtinModule,
  checked,
  errnoNumber,
  failure,
  isShortage,
  openPidfd,
  refusal,
  signalPidfd,
} from "../../ffi/mod.ts";
import { Fd } from "../fd/fd.ts";
import { signalNumber, type SocketType, type SocketTypes } from "./options.ts";
import type { Child, NodeStream } from "./start_program.ts";
import { ifAbsent } from "../util/validate.ts";

/** How a process ended. */
export interface ExitStatus {
  /** Whether it exited with 0. */
  success: boolean;
  /** The exit code; null where a signal ended it. */
  code: number | null;
  /** The signal that ended it, such as `"SIGKILL"`; null where it exited. */
  signal: string | null;
}

/** What a {@linkcode SpawnedProcess} is made of. */
export interface Started<T extends SocketType> {
  child: Child;
  pid: number;
  socket: SocketTypes[T];
  killSignal: number;
  signal: AbortSignal | undefined;
}

interface StreamModule {
  Readable: { toWeb(stream: NodeStream): ReadableStream<Uint8Array<ArrayBuffer>> };
  Writable: { toWeb(stream: NodeStream): WritableStream<Uint8Array> };
}

let construct: <T extends SocketType>(started: Started<T>, pidfd: Fd | null) => SpawnedProcess<T>;

/**
 * A running process and this side's end of the socket that it inherited.
 *
 * Until it has ended, it keeps this process alive; {@linkcode unref} changes that. `await using`
 * ends it: see there.
 *
 * @example
 * ```ts
 * import { spawnWithSocket } from "@afunix/afunix/process";
 *
 * await using child = await spawnWithSocket("./worker");
 * await child.socket.writeAll(new TextEncoder().encode("work\n"));
 * child.socket.closeWrite();
 * console.log(await child.status);
 * ```
 */
export class SpawnedProcess<T extends SocketType = SocketType>
  implements Disposable, AsyncDisposable {
  /**
   * This side's end of the pair. The kernel records the creator of a pair as the peer of both, so
   * `peerCredentials()` tells of this process. Messages can tell who sent them: see
   * `passCredentials`.
   */
  readonly socket: SocketTypes[T];
  /** The process id: of the child as long as `status` waits, of nobody or another after that. */
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. Piped output may not be read yet. */
  readonly status: Promise<ExitStatus>;
  /** What is written here is the child's standard input; null unless `stdin` is `"pipe"`. */
  readonly stdin: WritableStream<Uint8Array> | null;
  /** The child's standard output; null unless `stdout` is `"pipe"`. */
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  /** The child's error output; null unless `stderr` is `"pipe"`. */
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  readonly #child: Child;
  readonly #pidfd: Fd | null;
  readonly #killSignal: number;
  #ended = false;

  static {
    construct = (started, pidfd) => new SpawnedProcess(started, pidfd);
  }

  private constructor(started: Started<T>, pidfd: Fd | null) {
    const { child, pid, socket, killSignal, signal } = started;
    this.socket = socket;
    this.pid = pid;
    this.#child = child;
    this.#pidfd = pidfd;
    this.#killSignal = killSignal;
    const abort = () => this.#killQuietly();
    this.status = new Promise((resolve) => {
      child.on("exit", (code, signalName) => {
        this.#ended = true;
        pidfd?.close();
        signal?.removeEventListener("abort", abort);
        resolve({ success: code === 0, code, signal: signalName });
      });
    });
    signal?.addEventListener("abort", abort, { once: true });
    const { Readable, Writable } = builtinModule<StreamModule>("node:stream")!;
    // Now, not when asked for: Node.js throws away what nobody has begun to read at the end.
    const reading = (stream: NodeStream | null) => stream && Readable.toWeb(stream);
    this.stdin = child.stdin && Writable.toWeb(child.stdin);
    this.stdout = reading(child.stdout);
    this.stderr = reading(child.stderr);
  }

  /**
   * Sends a signal (pidfd_send_signal(2)), to this process and never to another that has got its
   * number since.
   *
   * @param signal a name like `"SIGUSR1"`, or a number; `killSignal` without it, 0 only asks
   * @returns whether there was a process to send it to; false once it has ended
   * @throws {UnixSocketError} EPERM: it runs as another user now
   * @throws {TypeError} for an unknown name
   * @throws {RangeError} for a number beyond 64
   */
  kill(signal?: string | number): boolean {
    const number = signalNumber(ifAbsent(signal, this.#killSignal));
    if (this.#ended) return false;
    const result = this.#pidfd === null
      ? sendByNumber(this.pid, number)
      : signalPidfd(this.#pidfd.fd, number);
    if (result === -errnoNumber("ESRCH")) return false;
    checked(result, {
      action: `Cannot send a signal to process ${this.pid}`,
      syscall: "pidfd_send_signal",
    });
    return true;
  }

  /**
   * A pidfd of the process (pidfd_open(2), Linux 5.3), which the caller closes. It becomes readable
   * when the process ends, and can be sent to others.
   *
   * @throws {UnixSocketError} ESRCH: it has ended. ENOSYS: the kernel cannot. EMFILE
   */
  pidfd(): Fd {
    const context = { action: "Cannot get a pidfd of the process", syscall: "pidfd_open" };
    if (this.#ended) throw refusal("ESRCH", { ...context, detail: "it has ended" });
    if (this.#pidfd === null) throw refusal("ENOSYS", context);
    return this.#pidfd.dup();
  }

  /** The process keeps this one alive again while it runs. It starts this way. */
  ref(): this {
    this.#child.ref();
    return this;
  }

  /**
   * The process no longer keeps this one alive. What waits on the socket still does: see
   * `socket.unref()`.
   */
  unref(): this {
    this.#child.unref();
    return this;
  }

  /** Closes the socket and the pipes, and sends `killSignal`. Does not wait for the end. */
  [Symbol.dispose](): void {
    this.socket.close();
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      stream?.destroy();
    }
    this.#killQuietly();
  }

  /**
   * At the end of an `await using` scope: closes the socket and the pipes, sends `killSignal`, and
   * waits until the process has ended, however long it takes.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.status;
  }

  #killQuietly(): void {
    try {
      this.kill();
    } catch {
      // Of another user: it gets the end of the socket.
    }
  }
}

/**
 * The object of a process that has just been started, in the same turn: its number cannot belong to
 * another yet.
 *
 * @throws {UnixSocketError} EMFILE, ENFILE, ENOMEM; the process was killed then
 */
export function startedProcess<T extends SocketType>(started: Started<T>): SpawnedProcess<T> {
  const opened = openPidfd(started.pid);
  if (isShortage(opened)) {
    sendByNumber(started.pid, signalNumber("SIGKILL"));
    for (const name of ["stdin", "stdout", "stderr"] as const) started.child[name]?.destroy();
    throw failure(opened, { action: "Cannot follow the process", syscall: "pidfd_open" });
  }
  // Otherwise the kernel has none, or a filter forbids them: the number has to do.
  return construct(started, opened < 0 ? null : Fd.received(opened));
}

function sendByNumber(pid: number, signal: number): number {
  const own = builtinModule<{ kill(pid: number, signal: number): void }>("node:process")!;
  try {
    own.kill(pid, signal);
    return 0;
  } catch (error) {
    const errno = errnoNumber((error as { code?: string }).code ?? "");
    if (Number.isNaN(errno)) throw error;
    return -errno;
  }
}
