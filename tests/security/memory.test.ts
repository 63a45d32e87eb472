import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { linesOf } from "../../framing.ts";
import {
  ReceiveBatch,
  SendBatch,
  UnixDatagram,
  UnixListener,
  UnixSeqpacket,
  UnixStream,
} from "../../mod.ts";
import { freshName, python } from "../support/interop.ts";
import { bytes, text, unlessProgram } from "../support/mod.ts";
import { fileOf } from "../support/passing.ts";

const options = { skip: unlessProgram("python3") };

/** What nobody may see who was not sent it. */
const SECRET = "the secret that stood here before, ".repeat(3).slice(0, 100);

/** Whether the secret, or a good part of it, is anywhere in the memory behind these. */
function shows(...views: Uint8Array[]): boolean {
  return views.some(({ buffer }) => text(new Uint8Array(buffer)).includes(SECRET.slice(20, 60)));
}

test("an address carries nothing of a longer one that was used before", options, async () => {
  const name = freshName();
  await using peer = python(
    `
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(bytes.fromhex(args[0]))
    say("bound")
    for _ in range(3):
        data, address = server.recvfrom(65536)
        say(shown(address))
    `,
    [bytes(`\0${name}`)],
  );
  assertEquals(await peer.line(), "bound");
  // The longest name, and after it a short one, by each of the ways to send to an address.
  const long = `\0${freshName()}-${SECRET}`.slice(0, 108);
  for (const own of [long, "\0a", "\0b"].map((each) => each === long ? each : `${each}${name}`)) {
    using socket = UnixDatagram.bind(own);
    if (own.startsWith("\0b")) {
      await socket.sendMessage(bytes("x"), { to: `\0${name}`, credentials: true });
    } else await socket.sendTo(bytes("x"), `\0${name}`);
    assertEquals(
      await peer.line(),
      bytes(own).reduce((hex, byte) => hex + byte.toString(16).padStart(2, "0"), ""),
    );
  }
  await peer.succeeded();
});

test("a message carries nothing of a longer one that was sent before", options, async () => {
  using listener = UnixListener.listen({ kind: "unnamed" });
  const { addr } = listener;
  assert(addr.kind === "abstract");
  await using peer = python(
    `
    peer = connected(b"\\0" + bytes.fromhex(args[0]))
    say("connected")
    for _ in range(4):
        hear()
        data, controls, _, _ = peer.recvmsg(65536, 65536)
        for _, kind, held in controls:
            if kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(held)
                for fd in fds:
                    os.close(fd)
        say(data.decode(), len(controls), sum(len(held) for _, _, held in controls))
    `,
    [addr.name],
  );
  assertEquals(await peer.line(), "connected");
  using stream = await listener.accept();
  using file = fileOf("file");
  const send = async (data: string, fds: typeof file[]) => {
    await stream.sendMessage(bytes(data), { fds });
    peer.tell();
    return await peer.line();
  };
  assertEquals(await send(SECRET, new Array(253).fill(file)), `${SECRET} 1 1012`);
  assertEquals(await send("short", [file]), "short 1 4");
  assertEquals(await send("s", []), "s 0 0");
  assertEquals(await send("end", [file, file, file]), "end 1 12");
  await peer.succeeded();
});

test("what is received shares its memory with no other message", async () => {
  const [a, b] = UnixSeqpacket.pair();
  const [c, d] = UnixStream.pair();
  const [e, f] = UnixDatagram.pair();
  for (const data of [SECRET, "s"]) {
    a.sendSync(bytes(data));
    a.sendSync(bytes(data));
    e.sendSync(bytes(data));
    c.writeSync(bytes(`${data}\n`));
  }
  const [first, , second] = [await b.receive(), await b.receiveMessage(), await b.receive()];
  assertEquals([shows(first!.data), shows(second!.data)], [true, false]);
  assert(!shows((await b.receiveMessage())!.data));
  f.receiveSync();
  assert(!shows(f.receiveSync().data));
  const lines = linesOf(d);
  assertEquals((await lines.next()).value, SECRET);
  assertEquals((await lines.next()).value, "s");
  c.writeSync(bytes(SECRET));
  const chunks = d[Symbol.asyncIterator]();
  await chunks.next();
  c.writeSync(bytes("s"));
  const chunk = (await chunks.next()).value;
  assertEquals(text(chunk!), "s");
  assert(!shows(chunk!));
  for (const socket of [a, b, c, d, e, f]) socket.close();
});

test("a batch sends nothing of what it held before it was cleared", async () => {
  const [a, b] = UnixDatagram.pair();
  const sending = new SendBatch();
  const receiving = new ReceiveBatch();
  for (const data of [SECRET, "s"]) {
    sending.clear();
    sending.add(bytes(data));
    await a.sendMany(sending);
  }
  await b.receiveMany(receiving);
  const lengths = Array.from({ length: receiving.count }, (_, i) => text(receiving.data(i)));
  assertEquals(lengths, [SECRET, "s"]);
  a.close();
  b.close();
});
