/**
 * A program as a service of systemd, or of a manager that speaks as it does: sockets that it passes,
 * what the service tells it, the watchdog, and descriptors that it keeps. Without libsystemd.
 *
 * @example A service with a socket unit, of `Type=notify`
 * ```ts
 * import { UnixListener } from "@afunix/afunix";
 * import { listenFds, notify, startWatchdog } from "@afunix/afunix/systemd";
 *
 * const [passed] = listenFds({ unsetEnvironment: true });
 * using listener = passed?.toListener() ?? UnixListener.listen("/run/echo.sock");
 * using watchdog = startWatchdog();
 * await notify({ ready: true, status: `Serving, watchdog ${watchdog?.interval ?? "off"}` });
 * for await (const stream of listener) {
 *   stream.readable.pipeTo(stream.writable).catch((error) => console.error(error.message));
 * }
 * ```
 *
 * @module
 */

export {
  listenFds,
  PassedFd,
  type PassedFdFamily,
  type PassedFdKind,
} from "./src/systemd/listen_fds.ts";
export {
  notify,
  notifyBarrier,
  notifyBarrierSync,
  type NotifyOptions,
  notifySync,
} from "./src/systemd/notify.ts";
export type { NotifyDescriptors } from "./src/systemd/manager.ts";
export type { NotifyState } from "./src/systemd/state.ts";
export {
  removeStoredFds,
  removeStoredFdsSync,
  storeFds,
  storeFdsSync,
  type StoreOptions,
} from "./src/systemd/fd_store.ts";
export {
  startWatchdog,
  Watchdog,
  watchdogInterval,
  type WatchdogOptions,
} from "./src/systemd/watchdog.ts";
export type { EnvironmentOptions } from "./src/systemd/environment.ts";
