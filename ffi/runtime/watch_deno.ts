/**
 * Waiting for a descriptor on Deno, which has no call for it, where there is no io_uring, or the kernel
 * or a sandbox forbids it. Two ways, the second where the first is missing too; docs/internals/waiting.md
 * has the figures.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { kernelLayouts } from "../abi/linux.ts";
import { UnixSocketError } from "../errors.ts";
import { openEnds, type Relay, type RelayParts } from "./relay.ts";
import type { Runtime, Watcher } from "./runtime.ts";
import { writeField } from "../structs/field.ts";
import type { Libc } from "../libc/symbols.ts";

/**
 * A relay by Linux's asynchronous poll: `io_submit(2)` with IOCB_CMD_POLL makes the kernel write to an
 * eventfd when the descriptor is readable. A process that has used it takes some 40 milliseconds longer
 * to end.
 *
 * Null where io_setup(2) is not permitted, or the kernel does not know the request.
 */
export function relayByAio({ runtime, libc, abi, from, into }: RelayParts): Relay | null {
  const { linux, syscalls, constants } = abi;
  if (linux === null || syscalls === null) return null;
  const numberOf = {
    setup: BigInt(syscalls.io_setup),
    submit: BigInt(syscalls.io_submit),
    destroy: BigInt(syscalls.io_destroy),
  };
  const context = new BigUint64Array(new ArrayBuffer(8));
  const contextAddress = BigInt(runtime.addressOf(context));
  if (libc.syscall(numberOf.setup, 1n, contextAddress, null, 0n) !== 0n) return null;
  const contextId = context[0]!;
  // The kernel maps the ring of completions at the address that names the context. Moving its head
  // up to its tail forgets them, as io_getevents would.
  const ring = new Uint32Array(runtime.viewAt(Number(contextId), 16));
  const [HEAD, TAIL] = [2, 3];

  const request = new DataView(new ArrayBuffer(kernelLayouts.iocb.size));
  const { fields } = kernelLayouts.iocb;
  writeField(request, fields.aio_lio_opcode, linux.IOCB_CMD_POLL);
  writeField(request, fields.aio_flags, linux.IOCB_FLAG_RESFD);
  writeField(request, fields.aio_resfd, into);
  const requests = new BigUint64Array(new ArrayBuffer(8));
  requests[0] = BigInt(runtime.addressOf(request));

  const submit = () => libc.syscall(numberOf.submit, contextId, 1n, requests, 0n) === 1n;
  // Takes back what was asked for, too.
  const destroy = () => void libc.syscall(numberOf.destroy, contextId, 0n, null, 0n);
  // Whether this kernel knows the request at all: one that is over at once.
  writeField(request, fields.aio_fildes, into);
  writeField(request, fields.aio_buf, constants.POLLOUT);
  if (!submit()) {
    destroy();
    return null;
  }
  libc.read(into, context, context.byteLength);

  writeField(request, fields.aio_fildes, from);
  writeField(request, fields.aio_buf, constants.POLLIN);
  return {
    arm() {
      ring[HEAD] = ring[TAIL]!;
      // The ring is empty and has room for one, so that only a signal or a full memory stops this.
      for (let tries = 0; !submit(); tries++) {
        if (tries > 100) throw watchFailed("io_submit");
      }
    },
    close: destroy,
    // Keeps the memory whose addresses the kernel was told.
    ...{ request, requests },
  };
}

interface DenoCore {
  refOpPromise(promise: Promise<unknown>): void;
  unrefOpPromise(promise: Promise<unknown>): void;
}

/** `poll(2)` as a `nonblocking` symbol, with an address for its first argument. */
export type PollLater = (fds: bigint, count: number, timeout: number) => Promise<number>;

/**
 * A thread of Deno's pool waits in `poll(2)`. It goes on waiting when the Worker that asked for it
 * is terminated, so what it writes to is memory of libc's, given up with the Worker.
 */
export function watchByThread(
  runtime: Runtime,
  libc: Libc,
  poll: PollLater,
  abi: Abi,
  fd: number,
  onReadable: () => void,
): Watcher {
  const { pollfd } = abi.layouts;
  // What ends the wait.
  const [stop, into] = openEnds(libc, abi);
  const address = libc.calloc(2, pollfd.size);
  const memory = runtime.viewAt(address, 2 * pollfd.size);
  const entries = [0, 1].map((index) => new DataView(memory, index * pollfd.size, pollfd.size));
  const pollFor = (...fds: number[]) =>
    entries.forEach((entry, index) => writeField(entry, pollfd.fields.fd, fds[index]!));
  for (const entry of entries) writeField(entry, pollfd.fields.events, abi.constants.POLLIN);
  pollFor(fd, stop);
  const core = denoCore();
  let waiting: Promise<number> | null = null;
  let refd = true;
  const applyRef = () => {
    if (waiting === null) return;
    if (refd) core?.refOpPromise(waiting);
    else core?.unrefOpPromise(waiting);
  };
  return {
    arm() {
      if (waiting !== null) return;
      waiting = poll(BigInt(address), 2, -1);
      applyRef();
      waiting.then(() => {
        waiting = null;
        onReadable();
      });
    },
    ref() {
      refd = true;
      applyRef();
    },
    unref() {
      refd = false;
      applyRef();
    },
    close() {
      // Ends the wait of a thread that is in poll(2), and that of one which comes there later.
      if (waiting !== null) libc.write(into, BigUint64Array.of(1n), 8);
      const closeBoth = () => {
        libc.close(stop);
        if (into !== stop) libc.close(into);
      };
      // macOS forgets in poll(2) what is closed, though it was ready. The end of a thread leaves them open.
      if (waiting !== null && abi.os === "darwin") return void waiting.finally(closeBoth);
      pollFor(NEVER_OPEN, NEVER_OPEN);
      closeBoth();
    },
  };
}

/** No descriptor has this number. */
const NEVER_OPEN = 0x7fff_ffff;

/** Deno has no public way to say that a pending call need not keep the process alive. */
function denoCore(): DenoCore | undefined {
  const deno = (globalThis as { Deno?: Record<symbol, unknown> & { internal?: symbol } }).Deno;
  const internal = deno?.internal === undefined ? undefined : deno[deno.internal];
  const core = (internal as { core?: Partial<DenoCore> } | undefined)?.core;
  return typeof core?.unrefOpPromise === "function" ? core as DenoCore : undefined;
}

function watchFailed(syscall: string): UnixSocketError {
  return new UnixSocketError({
    action: "Cannot wait for sockets",
    code: "EAGAIN",
    errno: 0,
    syscall,
  });
}
