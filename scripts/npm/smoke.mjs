// The package as its users have it, on any runtime: `smoke.mjs NAME-OF-THE-PACKAGE`.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const name = process.argv[2];
const { Fd, UnixDatagram, UnixListener, UnixSeqpacket, UnixSocketError, UnixStream } = await import(
  name
);
const { nodeSocketFd } = await import(`${name}/node`);
const { notify } = await import(`${name}/systemd`);
const { SharedMemory } = await import(`${name}/shm`);
const directory = mkdtempSync(join(tmpdir(), "afunix-smoke-"));
const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

function expect(found, wanted) {
  if (found !== wanted) throw new Error(`${found} instead of ${wanted}`);
}

async function streams() {
  using listener = UnixListener.listen(join(directory, "stream.sock"));
  const accepting = listener.accept();
  using client = await UnixStream.connect(listener.addr);
  using server = await accepting;
  const buffer = new Uint8Array(64);
  const reading = server.read(buffer);
  await client.writeAll(bytes("hello"));
  expect(text(buffer.subarray(0, await reading)), "hello");
  expect(server.peerCredentials().pid, process.pid);
  client.writeAllSync(bytes("again"));
  expect(server.readSync(buffer), 5);
}

async function datagrams() {
  using server = UnixDatagram.bind(join(directory, "datagram.sock"));
  using client = UnixDatagram.unbound();
  await client.sendTo(bytes("a message"), join(directory, "datagram.sock"));
  expect(text((await server.receive()).data), "a message");
  const [a, b] = UnixSeqpacket.pair();
  a.sendSync(bytes("a record"));
  expect(text(b.receiveSync().data), "a record");
  a.close();
  b.close();
}

async function descriptors() {
  const [a, b] = UnixStream.pair();
  const file = join(directory, "file");
  writeFileSync(file, "content");
  await a.sendMessage(bytes("x"), { fds: [Fd.open(file, "read")], transfer: true });
  using message = await b.receiveMessage();
  const buffer = new Uint8Array(64);
  expect(text(buffer.subarray(0, await message.fds[0].read(buffer))), "content");
  a.close();
  b.close();
}

async function systemd() {
  using manager = UnixDatagram.bind(join(directory, "notify.sock"));
  process.env.NOTIFY_SOCKET = join(directory, "notify.sock");
  expect(await notify({ ready: true }), true);
  expect(text((await manager.receive()).data).trim(), "READY=1");
}

function memory() {
  using shared = SharedMemory.create(4096);
  using same = SharedMemory.map(shared);
  shared.bytes[5] = 7;
  expect(same.bytes[5], 7);
}

async function errors() {
  try {
    await UnixStream.connect(join(directory, "nobody.sock"));
    throw new Error("connected to nobody");
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    expect(error.code, "ENOENT");
    expect(error.constructor.name, "UnixSocketError");
  }
}

try {
  await streams();
  await datagrams();
  await descriptors();
  await systemd();
  memory();
  await errors();
  expect(typeof nodeSocketFd, "function");
  expect(readdirSync(directory).join(), "file");
  console.log("ok");
} finally {
  rmSync(directory, { recursive: true, force: true });
}
