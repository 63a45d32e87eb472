/**
 * Tells the service manager how a service is doing, by the socket that systemd names in
 * $NOTIFY_SOCKET. With arguments, sends them in one message, as systemd-notify does:
 *
 *     deno run --allow-ffi --allow-env examples/sd_notify.ts READY=1 "STATUS=Serving"
 *     bun examples/sd_notify.ts READY=1 "STATUS=Serving"
 *     node examples/sd_notify.ts READY=1 "STATUS=Serving"
 *
 * Without, it is a service that does nothing: it reports that it is ready, that it lives
 * (twice in each $WATCHDOG_USEC microseconds) and, on SIGTERM or Ctrl-C, that it stops.
 * Where no service manager is there, it ends at once and says nothing.
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { abstract, type AddressLike, UnixDatagram } from "../mod.ts";

/** The address in $NOTIFY_SOCKET; null where none is set. */
function notifySocket(): AddressLike | null {
  const { NOTIFY_SOCKET: name = "" } = process.env;
  if (name === "") return null;
  if (name.startsWith("/")) return name;
  if (name.startsWith("@")) return abstract(name.slice(1));
  throw new Error(`Cannot use NOTIFY_SOCKET=${name}: neither a path nor an abstract name`);
}

/** Sends assignments in one message. The kernel adds who sent it, which the manager checks. */
async function notify(manager: UnixDatagram, ...assignments: string[]): Promise<void> {
  await manager.send(new TextEncoder().encode(assignments.join("\n")));
}

async function serve(manager: UnixDatagram): Promise<void> {
  const stopping = new AbortController();
  process.once("SIGINT", () => stopping.abort());
  process.once("SIGTERM", () => stopping.abort());

  await notify(manager, "READY=1", "STATUS=Serving");
  const watchdog = Number(process.env.WATCHDOG_USEC ?? 0) / 1000;
  while (!stopping.signal.aborted) {
    // Without a watchdog this only waits for the signal.
    const pause = watchdog > 0 ? watchdog / 2 : 0x7fff_ffff;
    await setTimeout(pause, null, { signal: stopping.signal }).catch(() => {});
    if (!stopping.signal.aborted && watchdog > 0) await notify(manager, "WATCHDOG=1");
  }
  await notify(manager, "STOPPING=1", "STATUS=Stopping");
}

const assignments = process.argv.slice(2);
if (assignments.some((each) => !/^[A-Z0-9_]+=[^\n]*$/.test(each))) {
  console.error("Usage: sd_notify.ts [NAME=VALUE...]");
  process.exit(2);
}

try {
  const address = notifySocket();
  if (address !== null) {
    using manager = UnixDatagram.unbound();
    manager.connect(address);
    if (assignments.length > 0) await notify(manager, ...assignments);
    else await serve(manager);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
