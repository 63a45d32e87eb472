/**
 * A lock that leaves no file behind: `flock(2)` on the directory of a socket's path. Everybody who
 * removes a socket there that is not his own takes it first.
 * @module
 */

import { errnoNumber, file, native, sockets } from "../../ffi/mod.ts";
import { now } from "../util/clock.ts";

/**
 * Runs `body` under the lock, with a descriptor of the directory: whoever renames it meanwhile, or puts
 * another in its place, cannot change what that leads to. Blocks the thread while another process
 * holds the lock, for at most `patience` milliseconds. Returns what `body` returns, or the negated
 * errno that kept the lock from us: EACCES where the directory may not be read, EAGAIN where the lock
 * stayed taken.
 */
export function withDirectoryLock<T>(
  directory: Uint8Array,
  patience: number,
  body: (directoryFd: number) => T,
): T | number {
  const { O_RDONLY, O_DIRECTORY } = native().abi.constants;
  const fd = file.open(directory, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  try {
    const deadline = now() + patience;
    for (;;) {
      const result = file.flock(fd, "lock");
      if (result === 0) return body(fd);
      if (result !== -errnoNumber("EAGAIN") || now() > deadline) return result;
      sockets.sleepBlocking(1);
    }
  } finally {
    // Closing gives the lock back: the open file is ours alone.
    file.close(fd);
  }
}
