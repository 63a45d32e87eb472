/**
 * A service for the trial under a real systemd: it answers lines, of whoever connects to its socket and
 * of clients that an earlier instance stored.
 */

import process from "node:process";
import { Fd, UnixListener, type UnixStream } from "../../mod.ts";
import { JsonChannel, LineFraming } from "../../framing.ts";
import {
  listenFds,
  notify,
  notifyBarrier,
  notifySync,
  startWatchdog,
  storeFds,
} from "../../systemd.ts";

const passed = listenFds({ unsetEnvironment: true });
const named = (name: string) => passed.filter((each) => each.name === name);
const listener = named("lines")[0]?.toListener() ?? UnixListener.listen("/nowhere/lines.sock");
const records = named("records")[0]?.toSeqpacketListener();
const datagrams = named("datagrams")[0]?.toDatagram();
const counter = named("counter")[0]?.toFd() ?? null;
const watchdog = startWatchdog({ onError: (error) => console.error(error) });

/** How many instances there were before this one, kept in a file in memory. */
async function countStarts(): Promise<number> {
  const bytes = new Uint8Array(1);
  const kept = counter ?? Fd.memfd("counter");
  await kept.pread(bytes, 0);
  await kept.pwrite(Uint8Array.of(bytes[0]! + 1), 0);
  if (counter === null) await storeFds("counter", [kept], { transfer: true });
  return bytes[0]!;
}

async function answer(line: string, stream: UnixStream): Promise<unknown> {
  switch (line) {
    case "about":
      return {
        pid: process.pid,
        runtime: process.versions.deno ? "deno" : process.versions.bun ? "bun" : "node",
        passed: passed.map(({ name, kind }) => `${name} ${kind}`),
        left: Object.keys(process.env).filter((name) => name.startsWith("LISTEN_")),
        watchdog: watchdog?.interval ?? null,
        before,
      };
    case "store":
      return await storeFds("client", [stream]);
    case "reload":
      await notify({ reloading: true });
      await notifyBarrier();
      return "reloading";
    case "ready":
      await notify({ ready: true, status: "again" });
      return await notifyBarrier();
    case "hang":
      for (;;);
    case "abort":
      return process.abort();
  }
  return "what?";
}

async function converse(stream: UnixStream): Promise<void> {
  using channel = new JsonChannel(new LineFraming(stream));
  for await (const line of channel) await channel.send(await answer(String(line), stream));
}

const serve = (stream: UnixStream) => void converse(stream).catch((error) => console.error(error));

const before = await countStarts();
for (const each of named("client")) serve(each.toStream());
process.once("SIGTERM", () => {
  notifySync({ stopping: true, status: "going" });
  process.exit();
});
await notify({ ready: true, status: `start ${before}` });

void (async () => {
  for await (const connection of records ?? []) {
    await connection.send(new TextEncoder().encode(`records of ${process.pid}`));
    connection.close();
  }
})();
void (async () => {
  for await (const { data, from } of datagrams ?? []) await datagrams!.sendTo(data, from);
})();
for await (const stream of listener) serve(stream);
