import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Fd, type FdLike, UnixStream } from "../../mod.ts";
import { BUS, BusConnection, type Incoming, withBus } from "../support/dbus.ts";
import type { Variant } from "../support/dbus_values.ts";
import { pattern } from "../support/interop.ts";
import { contentsOf, filesOf, numbers } from "../support/message_peers.ts";
import { bytes, openDescriptors, readText, text, unlessProgram } from "../support/mod.ts";
import { uniqueName } from "../support/raw.ts";

const options = { skip: unlessProgram("dbus-daemon") };

/** Two connections to a bus, and what the names of files begin with that must be closed at the end. */
async function withConnections(
  body: (a: BusConnection, b: BusConnection, prefix: string) => Promise<void>,
): Promise<void> {
  const prefix = uniqueName();
  await withBus(async (path) => {
    using a = await BusConnection.open(path);
    using b = await BusConnection.open(path);
    await body(a, b, prefix);
  });
  const left = [...openDescriptors().values()].filter((target) => target.includes(prefix));
  assertEquals(left, []);
}

/** Where the tests send their messages. */
const PLACE = { path: "/org/example", interface: "org.example.Files", member: "Take" };

/** Calls a method of the second connection from the first, and returns the call as it arrived there. */
async function deliver(
  a: BusConnection,
  b: BusConnection,
  content: { signature: string; body: unknown[]; fds: FdLike[] },
): Promise<Incoming> {
  const calling = a.call({ ...PLACE, ...content, destination: b.name });
  const answered = calling.then((reply) => {
    throw new Error(`The bus answers by itself: ${reply.errorName} ${reply.body}`);
  });
  const call = await Promise.race([b.receive(), answered]);
  await b.send({ type: "return", destination: a.name, replySerial: call.serial });
  await calling;
  return call;
}

function closeAll(fds: readonly Fd[]): void {
  for (const fd of fds) fd.close();
}

/** The files of a message, in the order in which its body names them. */
function named({ fds }: Incoming, indices: unknown): string[] {
  return contentsOf((indices as number[]).map((index) => fds[index]!));
}

test(
  "H164 dbus-daemon knows this process by the credentials of a UnixStream",
  options,
  async () => {
    await withBus(async (path, daemon) => {
      using connection = await BusConnection.open(path);
      assertMatch(connection.name, /^:1\.\d+$/);
      const credentialsOf = async (name: string) => {
        const { type, body } = await connection.callBus("GetConnectionCredentials", "s", name);
        assertEquals(type, "return");
        return body[0] as Map<string, Variant>;
      };
      const ours = await credentialsOf(connection.name);
      assertEquals(ours.get("ProcessID"), { signature: "u", value: process.pid });
      assertEquals(ours.get("UnixUserID"), { signature: "u", value: process.geteuid!() });
      const theirs = await credentialsOf(BUS);
      const { pid, uid } = connection.stream.peerCredentials()!;
      assertEquals(theirs.get("ProcessID")?.value, pid);
      assertEquals(theirs.get("UnixUserID")?.value, uid);
      assertEquals(pid, daemon.pid);
    });
  },
);

test(
  "H164 dbus-daemon has the groups that UnixStream.peerGroups() has of it",
  options,
  async () => {
    await withBus(async (path) => {
      using connection = await BusConnection.open(path);
      const { name, stream } = connection;
      const { body } = await connection.callBus("GetConnectionCredentials", "s", name);
      const groups = (body[0] as Map<string, Variant>).get("UnixGroupIDs")?.value as number[];
      const all = new Set([process.getegid!(), ...stream.peerGroups()!]);
      assertEquals(new Set(groups), all);
    });
  },
);

test(
  "G130 UnixStream passes a file in a D-Bus call, and gets two back in the answer",
  options,
  async () => {
    await withConnections(async (a, b, prefix) => {
      const [file] = filesOf(prefix, ["the question"]);
      const body = ["take", 0];
      const calling = a.call({
        ...PLACE,
        destination: b.name,
        signature: "sh",
        body,
        fds: [file!],
      });
      const call = await b.receive();
      assertEquals([call.type, call.sender, call.member], ["call", a.name, PLACE.member]);
      assertEquals([call.signature, call.body, call.unixFds], ["sh", ["take", 0], 1]);
      assertEquals(named(call, [call.body[1]]), ["the question"]);
      // The same open file, not another one of the same contents.
      assertEquals(call.fds[0]!.stat().identity, file!.stat().identity);
      const answers = filesOf(prefix, ["first", "second"]);
      await b.send({
        ...{ type: "return", destination: a.name, replySerial: call.serial },
        ...{ signature: "ah", body: [[1, 0]], fds: answers },
      });
      const reply = await calling;
      assertEquals([reply.type, reply.sender, reply.unixFds], ["return", b.name, 2]);
      assertEquals(named(reply, reply.body[0]), ["second", "first"]);
      closeAll([file!, ...answers, ...call.fds, ...reply.fds]);
    });
  },
);

test(
  "G142 UnixStream.receiveMessage() gets each D-Bus signal's descriptors with its bytes",
  options,
  async () => {
    await withConnections(async (a, b, prefix) => {
      await b.callBus("AddMatch", "s", `type='signal',interface='${PLACE.interface}'`);
      const counts = [1, 0, 3, 0, 2, 1];
      for (const [number, count] of counts.entries()) {
        const fds = filesOf(prefix, numbers(count).map((each) => `${number}.${each}`));
        const indices = fds.map((_, i) => count - 1 - i);
        await a.send({ ...PLACE, type: "signal", signature: "uah", body: [number, indices], fds });
        closeAll(fds);
      }
      for (const [number, count] of counts.entries()) {
        const signal = await b.receive();
        assertEquals([signal.type, signal.body[0]], ["signal", number]);
        const expected = numbers(count).map((each) => `${number}.${each}`).reverse();
        assertEquals(named(signal, signal.body[1]), expected);
        assertEquals(signal.fds.length, count);
        closeAll(signal.fds);
      }
    });
  },
);

test("G131 UnixStream passes 200 descriptors in one D-Bus message", options, async () => {
  await withConnections(async (a, b, prefix) => {
    const files = filesOf(prefix, numbers(200));
    const body = [files.map((_, i) => i)];
    const message = await deliver(a, b, { signature: "ah", body, fds: files });
    assertEquals(named(message, message.body[0]), numbers(200));
    closeAll([...files, ...message.fds]);
  });
});

test("G145 UnixStream passes a file with 2 MiB of a D-Bus message once", options, async () => {
  await withConnections(async (a, b, prefix) => {
    const [file] = filesOf(prefix, ["along"]);
    const value = text(pattern(2 << 20).map((byte) => 97 + byte % 26));
    const content = { signature: "sh", body: [value, 0], fds: [file!] };
    const message = await deliver(a, b, content);
    assert(message.body[0] === value, "the text is another");
    assertEquals([message.fds.length, named(message, [0])], [1, ["along"]]);
    closeAll([file!, ...message.fds]);
  });
});

test(
  "G152 two D-Bus connections talk past the bus through a pair that one sends the other",
  options,
  async () => {
    await withConnections(async (a, b) => {
      const [ours, given] = UnixStream.pair();
      using kept = ours;
      const call = await deliver(a, b, { signature: "h", body: [0], fds: [given] });
      given.close();
      const [received] = call.fds;
      {
        using direct = UnixStream.fromFd(received!);
        await direct.writeAll(bytes("past the bus"));
        assertEquals(await readText(kept), "past the bus");
        await kept.writeAll(bytes("and back"));
        assertEquals(await readText(direct), "and back");
      }
      assertEquals(await readText(kept), null);
    });
  },
);

test(
  "G154 dbus-daemon closes the descriptors of a call that nobody is there for",
  options,
  async () => {
    await withConnections(async (a) => {
      const [reader, writer] = Fd.pipe();
      const call = { ...PLACE, destination: ":1.4711", signature: "h", body: [0], fds: [writer] };
      const calling = a.call(call);
      writer.close();
      const reply = await calling;
      assertEquals([reply.type, reply.errorName], ["error", `${BUS}.Error.ServiceUnknown`]);
      assertEquals(await reader.read(new Uint8Array(1)), null);
      reader.close();
    });
  },
);

test(
  "G154 UnixStream.close() releases descriptors that a bus passed on and nobody received",
  options,
  async () => {
    await withConnections(async (a, b) => {
      const [reader, writer] = Fd.pipe();
      const call = { ...PLACE, destination: b.name, signature: "h", body: [0], fds: [writer] };
      await a.send({ ...call, type: "call" });
      writer.close();
      // A bus serves a connection in order: after this reply it has passed the call on.
      await a.callBus("GetId");
      b.stream.close();
      assertEquals(await reader.read(new Uint8Array(1)), null);
      reader.close();
    });
  },
);

test(
  "G146 dbus-daemon ends a connection that announces a descriptor and sends none",
  options,
  async () => {
    await withConnections(async (a, b) => {
      const call = { ...PLACE, destination: b.name, signature: "h", body: [0], unixFds: 1 };
      const calling = a.call(call);
      await assertRejects(() => calling, Error, "The bus ended the connection");
    });
  },
);
