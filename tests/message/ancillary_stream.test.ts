import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Fd, UnixListener, type UnixSocketError, UnixStream } from "../../mod.ts";
import { acceptFrom, python } from "../support/interop.ts";
import {
  assertFails,
  bytes,
  fill,
  readText,
  text,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";
import {
  assertNothingArrived,
  closeEach,
  contentOf,
  copiesOf,
  fileOf,
  filesOf,
  targetOf,
  withCarriers,
} from "../support/passing.ts";
import { digest, pattern } from "../support/streams.ts";
import { isPending } from "../support/waiting.ts";

/** What one receipt brought: its bytes, and the contents of its files, which are closed. */
async function next(
  stream: UnixStream,
  size?: number,
): Promise<[data: string, ...files: string[]]> {
  using message = (await stream.receiveMessage({ size }))!;
  return [text(message.data), ...message.fds.map(contentOf)];
}

/** Receives so many bytes; them, and the contents of the files that came with each receipt. */
async function receiveAll(stream: UnixStream, size: number): Promise<[Uint8Array, string[][]]> {
  const data = new Uint8Array(size);
  const files: string[][] = [];
  for (let at = 0; at < size;) {
    using message = (await stream.receiveMessage())!;
    data.set(message.data, at);
    at += message.data.length;
    files.push(message.fds.map(contentOf));
  }
  return [data, files];
}

test("G142 UnixStream.receiveMessage() gets the descriptors of two sends one after the other", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const files = filesOf(3);
    await a.sendMessage(bytes("first"), { fds: [files[0]!] });
    a.sendMessageSync(bytes("second"), { fds: [files[1]!, files[2]!] });
    closeEach(files);
    assertEquals(await next(b), ["first", "0"]);
    assertEquals(await next(b), ["second", "1", "2"]);
    assertNothingArrived(b);
  });
});

test("G142 UnixStream.receiveMessage() runs from bytes without a descriptor into one that has, and stops behind it", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    using file = fileOf("file");
    await a.writeAll(bytes("before "));
    await a.sendMessage(bytes("with"), { fds: [file] });
    await a.writeAll(bytes("after"));
    assertEquals(await next(b), ["before with", "file"]);
    assertEquals(await next(b), ["after"]);
  });
});

for (const size of [1, 2, 3, 4]) {
  test(`G143 UnixStream.receiveMessage({ size: ${size} }) gets the descriptor with the first of 3 bytes, and none later`, async () => {
    await withCarriers("UnixStream", async (a, b) => {
      using file = fileOf("file");
      await a.sendMessage(bytes("abc"), { fds: [file, file] });
      assertEquals(await next(b, size), ["abc".slice(0, size), "file", "file"]);
      await a.writeAll(bytes("end"));
      a.closeWrite();
      let rest = "";
      for (let message; (message = await b.receiveMessage()) !== null;) {
        assertEquals([message.fds, message.controlTruncated], [[], false]);
        rest += text(message.data);
      }
      assertEquals(rest, "abc".slice(size) + "end");
    });
  });
}

test("G143 a descriptor comes with the first byte only if that one is not read without it", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const [reader, writer] = Fd.pipe();
    await a.sendMessage(bytes("abc"), { fds: [writer], transfer: true });
    assertEquals(await readText(b, 1), "a");
    assertEquals(await reader.read(new Uint8Array(1)), null);
    assertEquals(await next(b), ["bc"]);
    reader.close();
  });
});

test("G145 UnixStream.sendMessage() of 300,000 bytes passes the descriptor once, with the first", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const data = pattern(300_000);
    using file = fileOf("file");
    const sending = a.sendMessage(data, { fds: [file] });
    assertEquals(await isPending(sending), true);
    const [received, files] = await receiveAll(b, data.length);
    assertEquals(await sending, data.length);
    assertEquals(digest(received), digest(data));
    assertEquals(files[0], ["file"]);
    assertEquals(files.flat(), ["file"]);
    assertEquals(a.bytesWritten, data.length);
    assertEquals(b.bytesRead, data.length);
    assertNothingArrived(b);
  });
});

test("G145 UnixStream.sendMessage() that begins in the middle of a wait passes the descriptor once, with its own first byte", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const before = fill(a);
    const data = pattern(300_000);
    const file = fileOf("file");
    const target = targetOf(file.fd);
    const writing = a.writeAll(bytes("written"));
    const sending = a.sendMessage(data, { fds: [file] });
    const behind = a.writeAll(bytes("behind"));
    file.close();
    assertEquals(copiesOf(target), 1);
    const total = before + 7 + data.length + 6;
    const [received, files] = await receiveAll(b, total);
    await Promise.all([writing, sending, behind]);
    assertEquals(text(received.subarray(before, before + 7)), "written");
    assertEquals(digest(received.subarray(before + 7, total - 6)), digest(data));
    assertEquals(text(received.subarray(total - 6)), "behind");
    assertEquals(files.flat(), ["file"]);
    assertEquals(copiesOf(target), 0);
  });
});

test("G145 UnixStream.sendMessage() that is aborted after a part has passed the descriptor, and says nothing twice", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const data = pattern(1_000_000);
    const file = fileOf("file");
    const target = targetOf(file.fd);
    const controller = new AbortController();
    const { signal } = controller;
    const sending = a.sendMessage(data, { fds: [file], signal, transfer: true });
    assertEquals(await isPending(sending), true);
    assert(file.closed);
    // In the queue alone: the duplicates are gone as soon as the first byte is.
    assertEquals(copiesOf(target), 0);
    const reason = new Error("enough");
    controller.abort(reason);
    assertEquals(await sending.catch((error) => error), reason);
    const taken = a.bytesWritten;
    const writing = a.writeAll(bytes("next"));
    const [received, files] = await receiveAll(b, taken + 4);
    await writing;
    assertEquals(digest(received.subarray(0, taken)), digest(data.subarray(0, taken)));
    assertEquals(text(received.subarray(taken)), "next");
    assertEquals(files.flat(), ["file"]);
  });
});

test("G145 UnixStream.sendMessageSync() that runs out of time after a part has passed the descriptor, and tells how far it came", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const data = pattern(1_000_000);
    using file = fileOf("file");
    const error = await assertFails(
      () => a.sendMessageSync(data, { fds: [file], timeout: 0 }),
      "ETIMEDOUT",
      "sendmsg",
    );
    const taken = error.bytesTransferred!;
    assert(taken > 0 && taken < data.length, `${taken}`);
    a.close();
    const [received, files] = await receiveAll(b, taken);
    assertEquals(digest(received), digest(data.subarray(0, taken)));
    assertEquals(files.flat(), ["file"]);
    assertEquals(await b.receiveMessage(), null);
    assertEquals(b.receiveMessageSync(), null);
  });
});

test("G145 UnixStream.sendMessage() whose peer closes after a part says how many bytes went out", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    using file = fileOf("file");
    const sending = a.sendMessage(pattern(1_000_000), { fds: [file] });
    assertEquals(await isPending(sending), true);
    b.close();
    const error = await assertRejects(() => sending) as UnixSocketError;
    assertEquals(error.code, "EPIPE");
    assertEquals(error.bytesTransferred, a.bytesWritten);
    assert(a.bytesWritten > 0);
    assertEquals(copiesOf(targetOf(file.fd)), 1);
  });
});

for (
  const [what, empty] of [["bytes", new Uint8Array(0)], ["buffer", new ArrayBuffer(0)]] as const
) {
  test(`G146 UnixStream.sendMessage() of an empty ${what} with a descriptor is a RangeError, for the kernel would drop it in silence`, async () => {
    await withCarriers("UnixStream", async (a, b) => {
      using file = fileOf("file");
      for (
        const options of [{ fds: [file] }, { fds: [file], transfer: true }, { credentials: true }]
      ) {
        await assertRejects(() => a.sendMessage(empty, options), RangeError, "without a byte");
        assertThrows(() => a.sendMessageSync(empty, options), RangeError, "without a byte");
      }
      assert(!file.closed);
      assertEquals(await a.sendMessage(empty), 0);
      assertEquals(await a.sendMessage(empty, { fds: [] }), 0);
      assertEquals(a.sendMessageSync(empty), 0);
      assertNothingArrived(b);
    });
  });
}

test("UnixStream.receiveMessage() is null at the end, again and again, and not before all is received", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    using file = fileOf("file");
    await a.sendMessage(bytes("last"), { fds: [file] });
    a.close();
    assertEquals(await next(b), ["last", "file"]);
    for (let i = 0; i < 2; i++) {
      assertEquals(await b.receiveMessage(), null);
      assertEquals(b.receiveMessageSync(), null);
    }
  });
});

test("UnixStream.receiveMessage() and read() that wait together are served in the order of their calls", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const [reader, writer] = Fd.pipe();
    const buffer = new Uint8Array(1);
    const receipts = [b.receiveMessage({ size: 1 }), b.read(buffer), b.receiveMessage({ size: 1 })];
    for (const each of ["a", "b", "c"]) await a.sendMessage(bytes(each), { fds: [writer] });
    const [first, count, third] = await Promise.all(receipts);
    assertEquals(count, 1);
    assertEquals(text(buffer), "b");
    for (const [message, expected] of [[first, "a"], [third, "c"]] as const) {
      assert(message !== null && typeof message === "object");
      assertEquals([text(message.data), message.fds.length], [expected, 1]);
      message.close();
    }
    writer.close();
    assertEquals(await reader.read(buffer), null);
    reader.close();
  });
});

// Urgent bytes

test(
  "G160 UnixStream.takeOutOfBand() gets a byte without the descriptor that Python sent with it, which is closed",
  { skip: unlessProgram("python3") },
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using peer = python(
        `
        client = connected(args[0])
        reader, writer = os.pipe()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))]
        say(client.sendmsg([b"!"], rights, socket.MSG_OOB))
        os.close(writer)
        hear()
        client.sendmsg([b"in order"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reader]))])
        say("sent")
        hear()
        ready = select.select([reader], [], [], 30)[0]
        say("closed" if ready and os.read(reader, 1) == b"" else "still open")
        `,
        [path],
      );
      using server = await acceptFrom(peer, listener);
      assertEquals(await peer.line(), "1");
      assertEquals(server.takeOutOfBand(), "!".charCodeAt(0));
      peer.tell();
      assertEquals(await peer.line(), "sent");
      // The kernel lets go of it when the reading comes past its place.
      using message = (await server.receiveMessage())!;
      assertEquals([text(message.data), message.fds.length], ["in order", 1]);
      peer.tell();
      assertEquals(await peer.line(), "closed");
      await peer.succeeded();
    });
  },
);

test("G160 UnixStream.receiveMessage() stops before an urgent byte, and goes on behind it with the descriptors there", async () => {
  await withCarriers("UnixStream", async (a, b) => {
    const files = filesOf(2);
    await a.sendMessage(bytes("before"), { fds: [files[0]!] });
    a.sendOutOfBand(33);
    await a.sendMessage(bytes("behind"), { fds: [files[1]!] });
    closeEach(files);
    assertEquals(await next(b), ["before", "0"]);
    assertEquals(b.takeOutOfBand(), 33);
    assertEquals(await next(b), ["behind", "1"]);
  });
});

/** Why descriptors cannot be refused here, or false. */
const withoutRefusal = (() => {
  const [a, b] = UnixStream.pair();
  try {
    a.passDescriptors = false;
    return false;
  } catch (error) {
    return `needs SO_PASSRIGHTS, of Linux 6.16: ${(error as UnixSocketError).code}`;
  } finally {
    closeEach([a, b]);
  }
})();

test(
  "G160 UnixStream.sendMessage() with a descriptor fails with EPERM where the peer takes none, and bytes alone go through",
  { skip: withoutRefusal },
  async () => {
    await withCarriers("UnixStream", async (a, b) => {
      using file = fileOf("file");
      await a.sendMessage(bytes("queued"), { fds: [file] });
      b.passDescriptors = false;
      for (const transfer of [false, true]) {
        await assertFails(
          () => a.sendMessage(bytes("x"), { fds: [file], transfer }),
          "EPERM",
          "sendmsg",
        );
        await assertFails(() => a.sendMessageSync(bytes("x"), { fds: [file] }), "EPERM", "sendmsg");
      }
      assert(!file.closed);
      await a.sendMessage(bytes("bare"));
      assertEquals(await next(b), ["queued", "file"]);
      assertEquals(await next(b), ["bare"]);
      b.passDescriptors = true;
      await a.sendMessage(bytes("again"), { fds: [file] });
      assertEquals(await next(b), ["again", "file"]);
    });
  },
);
