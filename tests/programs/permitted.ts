/**
 * Does one thing of each kind that the library can do, in a directory, and says of each what came of
 * it. The last of them need more than FFI.
 */

import type { Buffer } from "node:buffer";
import { createServer } from "node:http";
import process from "node:process";
import { linesOf } from "../../framing.ts";
import { createFetch, serve } from "../../http.ts";
import {
  Fd,
  ReceiveBatch,
  SendBatch,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixStream,
} from "../../mod.ts";
import { fromNodeSocket, intoNodeSocket } from "../../node.ts";
import { inheritedSocket, spawnScript, spawnWithSocket } from "../../process.ts";
import { Doorbell, SharedMemory } from "../../shm.ts";
import { listenFds, notify, watchdogInterval } from "../../systemd.ts";

const [, , directory, ...wanted] = process.argv;
const one = new Uint8Array([1]);

async function connection(address: string): Promise<[UnixStream, UnixStream, UnixListener]> {
  const listener = UnixListener.listen(address);
  const connecting = UnixStream.connect(address);
  const accepted = await listener.accept();
  return [await connecting, accepted, listener];
}

const THINGS: Record<string, () => unknown> = {
  "paths": async () => {
    const path = `${directory}/s`;
    UnixListener.listen(path, { unlinkOnClose: false }).close();
    using listener = UnixListener.listen(path, { mode: 0o640, authorize: () => true });
    const connecting = UnixStream.connect(path);
    using accepted = await listener.accept();
    using client = await connecting;
    const reading = client.read(new Uint8Array(1));
    await accepted.writeAll(one);
    return await reading;
  },
  "long and relative paths": async () => {
    const path = `${directory}/${"x".repeat(120)}`;
    for (const socket of await connection(path)) socket.close();
    UnixListener.listen(`./afunix-permitted-${process.pid}`).close();
  },
  "abstract names": async () => {
    for (const socket of await connection(`\0afunix-permitted-${process.pid}`)) socket.close();
  },
  "datagrams": async () => {
    using receiver = UnixDatagram.bind(`${directory}/d`);
    using sender = UnixDatagram.unbound();
    await sender.sendTo(one, `${directory}/d`);
    const batch = new SendBatch();
    batch.add(one);
    await sender.connect(receiver.localAddr).sendMany(batch);
    await receiver.receiveMany(new ReceiveBatch());
  },
  "records": async () => {
    using listener = UnixSeqpacketListener.listen(`${directory}/q`);
    const connecting = UnixSeqpacket.connect(`${directory}/q`);
    using accepted = await listener.accept();
    using client = await connecting;
    await client.send(one);
    await accepted.receive();
  },
  "blocking": () => {
    const [a, b] = UnixStream.pair();
    a.writeAllSync(one);
    b.readSync(new Uint8Array(1), { timeout: 1000 });
    a.close();
    b.close();
  },
  "descriptors and credentials": async () => {
    const [a, b] = UnixStream.pair();
    b.passCredentials = true;
    using file = Fd.open("/etc/passwd");
    await a.sendMessage(one, { fds: [file] });
    using message = (await b.receiveMessage())!;
    await message.fds[0]!.read(new Uint8Array(10));
    using pidfd = b.peerPidfd()!;
    const waiting = pidfd.waitReadable({ signal: AbortSignal.abort(1) }).catch(() => {});
    await waiting;
    b.peerGroups();
    a.close();
    b.close();
    return message.credentials!.pid === process.pid;
  },
  "pipes and events": async () => {
    const [reader, writer] = Fd.pipe();
    const reading = reader.read(new Uint8Array(1));
    await writer.writeAll(one);
    await reading;
    reader.close();
    writer.close();
  },
  "shared memory": async () => {
    using memory = SharedMemory.create(4096);
    using bell = Doorbell.create();
    const waiting = bell.wait();
    bell.notify();
    await waiting;
    using again = SharedMemory.map(memory.dup());
    return again.bytes[0] === 0;
  },
  "web streams and lines": async () => {
    const [a, b] = UnixStream.pair();
    const writer = a.writable.getWriter();
    await writer.write(new TextEncoder().encode("line\n"));
    await writer.close();
    return (await linesOf(b).next()).value === "line";
  },
  "node:net": async () => {
    const [a, b] = UnixStream.pair();
    const socket = intoNodeSocket(a);
    await b.writeAll(one);
    const data = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    fromNodeSocket(socket).close();
    b.close();
    return data.length === 1;
  },
  "HTTP": async () => {
    const path = `${directory}/h`;
    const server = createServer((_, response) => response.end("hello"));
    const service = serve(UnixListener.listen(path), server);
    using fetch = createFetch(path);
    const answer = await (await fetch("http://x/")).text();
    service.close();
    return answer === "hello";
  },
  "systemd": async () => {
    listenFds();
    watchdogInterval();
    await notify({ ready: true });
  },
  "inheriting": () => inheritedSocket() === null,
  "starting": async () => {
    await using child = await spawnWithSocket("true", []);
    return (await child.status).code === 0;
  },
  "starting scripts": async () => {
    await using child = await spawnScript(new URL("./idle.ts", import.meta.url), []);
    child.kill();
  },
};

for (const name of wanted.length > 0 ? wanted : Object.keys(THINGS)) {
  try {
    const result = await THINGS[name]!();
    console.log(`${name}: ${result === false ? "wrong" : "works"}`);
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    console.log(`${name}: ${[error, cause].filter(Boolean).join(" | ").replaceAll("\n", " ")}`);
  }
}
process.exit(0);
