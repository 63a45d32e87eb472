import { existsSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Fd, type FdLike, UnixDatagram, UnixListener, UnixStream } from "../../mod.ts";
import { assertFails, bytes, readText, text, withTempSocketPath } from "../support/mod.ts";
import {
  assertEnded,
  assertNothingArrived,
  CARRIER_NAMES,
  closeEach,
  contentOf,
  copiesOf,
  fileOf,
  leavesNothing,
  targetOf,
  WAYS,
  withCarriers,
} from "../support/passing.ts";
import { isPending, outcome } from "../support/waiting.ts";

for (const name of CARRIER_NAMES) {
  for (const way of WAYS) {
    test(`${name}: ${way.name} with \`transfer\` close the sender's descriptors, each once`, async () => {
      await withCarriers(name, async (a, b) => {
        const file = fileOf("file");
        const [near, far] = UnixStream.pair();
        const target = targetOf(file.fd);
        await way.send(a, "given", { fds: [file, near, file], transfer: true });
        assertEquals([file.closed, near.closed, file.fd, near.fd], [true, true, -1, -1]);
        assertEquals(copiesOf(target), 0);
        using other = fileOf("another");
        file.close();
        near.close();
        using message = await way.receive(b);
        assertEquals(message.fds.length, 3);
        assertEquals([contentOf(message.fds[0]!), contentOf(message.fds[2]!)], ["file", "file"]);
        using socket = UnixStream.fromFd(message.fds.splice(1, 1)[0]!.intoFd());
        await far.writeAll(bytes("to the new owner"));
        assertEquals(await readText(socket), "to the new owner");
        assertEquals(contentOf(other), "another");
        far.close();
      });
    });

    test(`${name}: ${way.name} with \`transfer: false\` leave the sender's descriptors open`, async () => {
      await withCarriers(name, async (a, b) => {
        using file = fileOf("file");
        await way.send(a, "x", { fds: [file], transfer: false });
        (await way.receive(b)).close();
        assertEquals([file.closed, contentOf(file)], [false, "file"]);
      });
    });

    test(`${name}: ${way.name} refuse to transfer numbers and what owns nothing, and send nothing`, async () => {
      await withCarriers(name, async (a, b) => {
        using file = fileOf("file");
        const like = { fd: file.fd };
        const lists: FdLike[][] = [[file.fd], [file, file.fd], [like], [file, like]];
        for (const fds of lists) {
          await assertRejects(
            () => way.send(a, "x", { fds, transfer: true }),
            TypeError,
            "Cannot transfer this",
          );
        }
        assertNothingArrived(b);
        assertEquals([file.closed, contentOf(file)], [false, "file"]);
      });
    });

    test(`${name}: ${way.name} that fail with \`transfer\` leave all to the caller`, async () => {
      await withCarriers(name, async (a, b) => {
        using file = fileOf("file");
        const closed = fileOf("closed");
        closed.close();
        const fds = [file, closed];
        await assertFails(() => way.send(a, "x", { fds, transfer: true }), "EBADF", "sendmsg");
        assertNothingArrived(b);
        b.close();
        const gone = name === "UnixDatagram" ? "ECONNREFUSED" : "EPIPE";
        await assertFails(() => way.send(a, "x", { fds: [file], transfer: true }), gone, "sendmsg");
        a.close();
        await assertFails(() => way.send(a, "x", { fds: [file], transfer: true }), "EBADF");
        assertEquals([file.closed, contentOf(file)], [false, "file"]);
        assertEquals(copiesOf(targetOf(file.fd)), 1);
      });
    });
  }

  test(`${name}.sendMessage() with a signal that was aborted before leaves all to the caller`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("file");
      const signal = AbortSignal.abort(new Error("before"));
      const options = { fds: [file], transfer: true, signal };
      await assertRejects(() => a.sendMessage(bytes("x"), options), Error, "before");
      assertNothingArrived(b);
      assert(!file.closed);
    });
  });

  test(`${name}.sendMessage() ends what waits on a socket that it transfers`, async () => {
    await withCarriers(name, async (a, b) => {
      const [near, far] = UnixStream.pair();
      const reading = outcome(near.read(new Uint8Array(1)));
      assertEquals(await isPending(reading), true);
      await a.sendMessage(bytes("x"), { fds: [near], transfer: true });
      assertEquals(await reading, "EBADF");
      using message = (await b.receiveMessage())!;
      using received = UnixStream.fromFd(message.fds.shift()!.intoFd());
      await far.writeAll(bytes("nothing lost"));
      assertEquals(await readText(received), "nothing lost");
      far.close();
    });
  });

  test(`${name}: a listener that is transferred keeps its path, and whoever receives it accepts there`, async () => {
    await withTempSocketPath(async (path) => {
      await withCarriers(name, async (a, b) => {
        const listener = UnixListener.listen(path);
        const accepting = outcome(listener.accept());
        assertEquals(await isPending(accepting), true);
        await a.sendMessage(bytes("x"), { fds: [listener], transfer: true });
        assertEquals(await accepting, "EBADF");
        assertEquals([listener.closed, existsSync(path)], [true, true]);
        listener.close();
        assert(existsSync(path));
        using message = (await b.receiveMessage())!;
        using received = UnixListener.fromFd(message.fds.shift()!.intoFd());
        assertEquals(received.addr, { kind: "pathname", path });
        using client = await UnixStream.connect(path);
        using server = await received.accept();
        await server.writeAll(bytes("hello"));
        assertEquals(await readText(client), "hello");
      });
      assert(existsSync(path));
    });
  });

  test(`${name}.sendMessage() transfers its own socket`, async () => {
    await withCarriers(name, async (a, b) => {
      assertEquals(await a.sendMessage(bytes("myself"), { fds: [a], transfer: true }), 6);
      assert(a.closed);
      using message = (await b.receiveMessage())!;
      assertEquals([text(message.data), message.fds[0]!.kind], ["myself", "socket"]);
    });
  });
}

test("a transfer by UnixDatagram.sendMessage() to an address that nobody has leaves all to the caller", async () => {
  await withTempSocketPath(async (path) => {
    await leavesNothing(async () => {
      using socket = UnixDatagram.unbound();
      using file = fileOf("file");
      const options = { fds: [file], transfer: true, to: path };
      await assertFails(() => socket.sendMessage(bytes("x"), options), "ENOENT", "sendmsg");
      await assertFails(() => socket.sendMessageSync(bytes("x"), options), "ENOENT", "sendmsg");
      assert(!file.closed);
      using receiver = UnixDatagram.bind(path);
      await socket.sendMessage(bytes("x"), options);
      assert(file.closed);
      using message = await receiver.receiveMessage();
      assertEquals(message.fds.map(contentOf), ["file"]);
      const [reader, writer] = Fd.pipe();
      socket.sendMessageSync(bytes("y"), { fds: [writer], transfer: true, to: path });
      receiver.receiveMessageSync().close();
      await assertEnded(reader);
      reader.close();
    });
  });
});

// Arguments

for (const name of CARRIER_NAMES) {
  for (const way of WAYS) {
    test(`${name}: ${way.name} check descriptors before they send anything`, async () => {
      await withCarriers(name, async (a, b) => {
        using file = fileOf("file");
        const closed = fileOf("closed");
        closed.close();
        // deno-lint-ignore no-explicit-any
        const send = (fds: any, more: any = {}) => () => way.send(a, "x", { fds, ...more });
        const many = Array.from({ length: 254 }, () => file);
        await assertRejects(send(many), RangeError, "at most 253");
        await assertRejects(send(many, { transfer: true }), RangeError, "at most 253");
        await assertRejects(send([file, -2]), RangeError);
        await assertRejects(send([2 ** 31]), RangeError);
        for (const wrong of [file, null, 3, "3", {}, new Set([file]), new Int32Array([file.fd])]) {
          await assertRejects(send(wrong), TypeError, "expected an array");
        }
        for (const wrong of [null, undefined, "3", {}, { fd: "3" }, [file], true, 3n]) {
          await assertRejects(send([file, wrong]), TypeError);
        }
        for (const wrong of [1.5, NaN]) await assertRejects(send([wrong]), Error);
        for (const wrong of [0, 1, "yes", {}]) {
          await assertRejects(send([file], { transfer: wrong }), TypeError, "transfer");
        }
        const error = await assertFails(send([file, closed]), "EBADF", "sendmsg");
        assertEquals(error.message, "Cannot send a descriptor: EBADF (the descriptor is closed)");
        const [near, far] = UnixStream.pair();
        closeEach([near, far]);
        await assertFails(send([near]), "EBADF", "sendmsg");
        assertNothingArrived(b);
        assertEquals([file.closed, copiesOf(targetOf(file.fd))], [false, 1]);
      });
    });
  }

  test(`${name}.sendMessage() refuses null as transfer`, async () => {
    await withCarriers(name, async (a) => {
      const options = { transfer: null as unknown as boolean };
      await assertRejects(() => a.sendMessage(bytes("x"), options), TypeError, "transfer");
    });
  });

  test(`${name}.receiveMessage() checks maxFds and size before it takes anything`, async () => {
    await withCarriers(name, async (a, b) => {
      using file = fileOf("file");
      await a.sendMessage(bytes("x"), { fds: [file] });
      for (const maxFds of [-1, 254, 2 ** 32]) {
        await assertRejects(async () => await b.receiveMessage({ maxFds }), RangeError);
        assertThrows(() => b.receiveMessageSync({ maxFds }), RangeError);
      }
      // deno-lint-ignore no-explicit-any
      for (const wrong of ["1", null, {}] as any[]) {
        await assertRejects(async () => await b.receiveMessage({ maxFds: wrong }), TypeError);
        await assertRejects(async () => await b.receiveMessage({ size: wrong }), TypeError);
        assertThrows(() => b.receiveMessageSync({ maxFds: wrong }), TypeError);
      }
      await assertRejects(async () => await b.receiveMessage({ size: -1 }), RangeError);
      if (name === "UnixStream") {
        await assertRejects(async () => await b.receiveMessage({ size: 0 }), RangeError);
      }
      using message = (await b.receiveMessage({ maxFds: 1 }))!;
      assertEquals([message.fds.map(contentOf), message.controlTruncated], [["file"], false]);
    });
  });
}

for (const sync of [false, true]) {
  const method = sync ? "sendMessageSync" : "sendMessage";
  for (const how of ["shrunk", "detached"]) {
    test(`UnixStream.${method}() of a message that intoFd() has ${how} fails, and sends no byte that is not in it`, async () => {
      const [a, b] = UnixStream.pair();
      using _a = a;
      using _b = b;
      const memory = new ArrayBuffer(150_000, { maxByteLength: 150_000 });
      const file = Fd.memfd("m");
      const owner = {
        get fd() {
          return file.fd;
        },
        intoFd() {
          if (how === "shrunk") memory.resize(1000);
          else structuredClone(memory, { transfer: [memory] });
          return file.intoFd();
        },
      };
      const options = { fds: [owner], transfer: true };
      const send = async () => await a[method](new Uint8Array(memory), options);
      await assertRejects(send, TypeError, "detached or shrunk");
      assertEquals(a.bytesWritten, 65_536);
      a.close();
      let received = 0;
      for await (const chunk of b) received += chunk.length;
      assertEquals(received, 65_536);
    });
  }

  test(`UnixStream.${method}() of nothing makes no system call`, async () => {
    const [a, b] = UnixStream.pair();
    using _a = a;
    using _b = b;
    a.closeWrite();
    assertEquals(await a[method](new Uint8Array(0)), 0);
  });
}
