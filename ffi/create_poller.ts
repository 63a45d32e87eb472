/**
 * The one place that chooses the poller of the system.
 * @module
 */

import { createEpoll } from "./linux/epoll.ts";
import { createKqueue } from "./darwin/kqueue.ts";
import { native } from "./native.ts";
import type { Poller } from "./poller.ts";

/** A new set. */
export function createPoller(): Poller {
  return native().abi.os === "darwin" ? createKqueue() : createEpoll();
}
