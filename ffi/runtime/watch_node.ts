/**
 * Waiting for a descriptor on Node.js, whose public interface has no call for it.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { newPipeHandle, noDescriptor } from "./pipe_handle.ts";
import { UnixSocketError } from "../errors.ts";
import type { Watcher } from "./runtime.ts";
import type { Libc } from "../libc/symbols.ts";
import { setImmediate, setTimeout } from "./timers.ts";

/** How long to wait before looking again, in milliseconds, where the next wait does not start. */
const RETRY_DELAY_MS = 10;

/**
 * A pipe handle of Node's own over the descriptor. When it becomes readable, Node reads from it,
 * gets EINVAL (nothing can be read from an epoll set), stops, and reports: that is the callback.
 * Opening the handle again starts the next wait. The handle holds a duplicate, which Node closes
 * when its thread ends, so that terminating a Worker is safe; a `uv_poll_t` of our own in the loop
 * would abort the process there.
 */
export function watchByPipe(
  libc: Libc,
  abi: Abi,
  fd: number,
  onReadable: () => void,
): Watcher {
  const { F_DUPFD_CLOEXEC, O_NONBLOCK, O_CLOEXEC } = abi.constants;
  const handle = newPipeHandle(libc, O_NONBLOCK | O_CLOEXEC);
  if (handle === null) throw unusable("this Node.js has no pipe handles");
  const duplicate = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (duplicate === -1) throw noDescriptor("fcntl");
  let state: "idle" | "armed" | "reporting" = "idle";
  let wanted = false;
  const start = () => {
    wanted = false;
    if (handle.open(duplicate) !== 0 || handle.readStart() !== 0) {
      throw unusable("this Node.js does not adopt an epoll set");
    }
    state = "armed";
  };
  // libuv stops the handle when the report is over, whatever was started meanwhile, and Node runs
  // the microtasks within the report: only the next turn can start again.
  const reported = () => {
    state = "idle";
    if (!wanted) return;
    try {
      start();
    } catch {
      // Short of memory: whoever waits looks for himself, and asks again.
      setTimeout(onReadable, RETRY_DELAY_MS);
    }
  };
  handle.onread = () => {
    if (state !== "armed") return;
    state = "reporting";
    setImmediate(reported);
    onReadable();
  };
  return {
    arm() {
      if (state === "idle") start();
      else if (state === "reporting") wanted = true;
    },
    ref: () => handle.ref(),
    unref: () => handle.unref(),
    close: () => {},
  };
}

function unusable(detail: string): UnixSocketError {
  const action = "Cannot wait for sockets";
  return new UnixSocketError({ action, code: "ENOTSUP", errno: 0, syscall: "epoll_wait", detail });
}
