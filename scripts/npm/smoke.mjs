// The package as its users have it, on any runtime: `smoke.mjs NAME-OF-THE-PACKAGE`. It starts itself
// again, with another word behind, for what needs two processes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const [script, name, role] = process.argv.slice(1);
const { Fd, UnixDatagram, UnixListener, UnixSeqpacket, UnixSocketError, UnixStream } = await import(
  name
);
const { jsonLines, LineFraming, RpcConnection } = await import(`${name}/framing`);
const { createFetch, peerCredentialsOf, serve } = await import(`${name}/http`);
const { nodeSocketFd } = await import(`${name}/node`);
const { inheritedSocket, spawnScript } = await import(`${name}/process`);
const { Doorbell, SharedMemory } = await import(`${name}/shm`);
const { listenFds, notify, startWatchdog, storeFds } = await import(`${name}/systemd`);

const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

function expect(found, wanted) {
  if (found !== wanted) throw new Error(`${found} instead of ${wanted}`);
}

async function streams(directory) {
  using listener = UnixListener.listen(join(directory, "stream.sock"));
  const accepting = listener.accept();
  using client = await UnixStream.connect(listener.addr);
  using server = await accepting;
  const buffer = new Uint8Array(64);
  const reading = server.read(buffer);
  await client.writeAll(bytes("hello"));
  expect(text(buffer.subarray(0, await reading)), "hello");
  client.writeAllSync(bytes("again"));
  expect(server.readSync(buffer), 5);
  client.closeWrite();
  expect(await server.read(buffer), null);
}

async function datagrams(directory) {
  const path = join(directory, "datagram.sock");
  using server = UnixDatagram.bind(path);
  using client = UnixDatagram.unbound();
  await client.sendTo(bytes("a message"), path);
  expect(text((await server.receive()).data), "a message");
  const [a, b] = UnixSeqpacket.pair();
  a.sendSync(bytes("a record"));
  expect(text(b.receiveSync().data), "a record");
  a.close();
  b.close();
}

async function descriptors(directory) {
  const file = join(directory, "file");
  writeFileSync(file, "content");
  const pairs = [UnixStream.pair(), UnixDatagram.pair(), UnixSeqpacket.pair()];
  for (const [a, b] of pairs) {
    await a.sendMessage(bytes("x"), { fds: [Fd.open(file, "read")], transfer: true });
    using message = await b.receiveMessage();
    const buffer = new Uint8Array(64);
    expect(text(buffer.subarray(0, await message.fds[0].read(buffer))), "content");
    a.close();
    b.close();
  }
}

async function credentials() {
  const own = (found) => {
    expect(found.pid, process.pid);
    expect(found.uid, process.geteuid());
    expect(found.gid, process.getegid());
  };
  // Of a connection, and who may make one.
  const everybody = UnixListener.listen(`\0smoke-${process.pid}`);
  const address = everybody.addr;
  const accepting = everybody.accept();
  using client = await UnixStream.connect(address);
  using server = await accepting;
  own(server.peerCredentials());
  own(client.peerCredentials());
  everybody.close();
  using others = UnixListener.listen(address, {
    authorize: ({ uid }) => uid !== process.geteuid(),
  });
  const enough = new AbortController();
  const refused = others.accept({ signal: enough.signal }).catch(() => null);
  using unwanted = await UnixStream.connect(address);
  expect(await unwanted.read(new Uint8Array(1)), null);
  enough.abort();
  expect(await refused, null);
  expect(others.refused, 1);
  // Of each message, on every type of socket.
  for (const [a, b] of [UnixStream.pair(), UnixDatagram.pair(), UnixSeqpacket.pair()]) {
    b.passCredentials = true;
    await a.sendMessage(bytes("x"));
    using message = await b.receiveMessage();
    own(message.credentials);
    a.close();
    b.close();
  }
}

/** The command line of this program in a role. */
function again(role) {
  const runtime = process.versions.deno === undefined
    ? [process.execPath, ...process.execArgv]
    : [process.execPath, "run", "--allow-all", "--node-modules-dir=manual"];
  return [...runtime, script, name, role];
}

async function systemd(directory) {
  const path = join(directory, "notify.sock");
  using manager = UnixDatagram.bind(path);
  manager.passCredentials = true;
  const next = async () => {
    using message = await manager.receiveMessage();
    return { lines: text(message.data), pid: message.credentials.pid, count: message.fds.length };
  };
  Object.assign(process.env, { NOTIFY_SOCKET: path, WATCHDOG_USEC: "60000000" });
  expect(await notify({ ready: true, status: "here" }), true);
  const ready = await next();
  expect(ready.lines, "READY=1\nSTATUS=here");
  expect(ready.pid, process.pid);
  using _watchdog = startWatchdog();
  expect((await next()).lines, "WATCHDOG=1");
  using file = Fd.memfd("state");
  await storeFds("state", [file]);
  const stored = await next();
  expect(stored.lines, "FDSTORE=1\nFDNAME=state");
  expect(stored.count, 1);
  // A service that is started with the socket, by the first connection.
  const address = join(directory, "activated.sock");
  using listener = UnixListener.listen(address);
  using client = await UnixStream.connect(address);
  const command = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=smoke exec "$@"';
  const service = spawn("sh", ["-c", command, "sh", ...again("service")], {
    stdio: ["ignore", "inherit", "inherit", listener.fd],
  });
  const ended = once(service, "exit");
  expect((await next()).lines, "READY=1\nSTATUS=smoke");
  const buffer = new Uint8Array(64);
  expect(text(buffer.subarray(0, await client.read(buffer))), `activated by ${process.pid}`);
  expect((await ended)[0], 0);
}

/** What `systemd()` starts. */
async function service() {
  const [passed] = listenFds({ unsetEnvironment: true });
  expect(passed.kind, "stream-listener");
  using listener = passed.toListener();
  await notify({ ready: true, status: passed.name });
  using stream = await listener.accept();
  await stream.writeAll(bytes(`activated by ${stream.peerCredentials().pid}`));
}

async function processes() {
  await using child = await spawnScript(script, [name, "child"], {
    runtimeArgs: process.versions.deno === undefined
      ? []
      : ["--allow-all", "--node-modules-dir=manual"],
  });
  await child.socket.writeAll(bytes("hello"));
  child.socket.closeWrite();
  let answer = "";
  for await (const chunk of child.socket) answer += text(chunk);
  expect(answer, "HELLO");
  expect((await child.status).code, 0);
}

/** What `processes()` starts. */
async function child() {
  using socket = inheritedSocket();
  for await (const chunk of socket) await socket.writeAll(bytes(text(chunk).toUpperCase()));
}

async function memory() {
  using shared = SharedMemory.create(4096);
  using same = SharedMemory.map(shared);
  using doorbell = Doorbell.create();
  const ringing = doorbell.wait();
  shared.bytes[5] = 7;
  doorbell.notify();
  expect(await ringing, 1);
  expect(same.bytes[5], 7);
}

async function http(directory) {
  const server = createServer((request, response) => {
    response.end(String(peerCredentialsOf(request).pid));
  });
  const address = join(directory, "http.sock");
  await using _service = serve(UnixListener.listen(address), server);
  using fetch = createFetch(address);
  expect(await (await fetch("/")).text(), String(process.pid));
}

async function framing() {
  const [a, b] = UnixStream.pair();
  using _answering = new RpcConnection(new LineFraming(b), {
    handlers: { add: ([x, y]) => x + y },
  });
  using asking = new RpcConnection(new LineFraming(a));
  expect(await asking.request("add", [1, 2]), 3);
  const [c, d] = UnixStream.pair();
  using sending = jsonLines(c);
  using receiving = jsonLines(d);
  await sending.send({ x: 1 });
  expect((await receiving.receive()).x, 1);
}

async function errors(directory) {
  try {
    await UnixStream.connect(join(directory, "nobody.sock"));
    throw new Error("connected to nobody");
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    expect(error.code, "ENOENT");
    expect(error.constructor.name, "UnixSocketError");
  }
}

if (role === "service") await service();
else if (role === "child") await child();
else {
  const directory = mkdtempSync(join(tmpdir(), "afunix-smoke-"));
  try {
    const parts = [streams, datagrams, descriptors, credentials, systemd, processes];
    for (const part of [...parts, memory, http, framing, errors]) await part(directory);
    expect(typeof nodeSocketFd, "function");
    expect(readdirSync(directory).join(), "file");
    console.log("ok");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
