import { test } from "node:test";
import { readFileSync, readlinkSync } from "node:fs";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { file } from "../../ffi/mod.ts";
import { Fd, UnixStream } from "../../mod.ts";
import {
  assertNoFdLeak,
  bytes,
  openDescriptors,
  readText,
  settled,
  text,
  withSocketPair,
} from "../support/mod.ts";
import { closeAll, isPending, outcome, pairs } from "../support/waiting.ts";

test("K217 UnixStream.close() of another socket that is ready in the same turn is safe", async () => {
  for (let round = 0; round < 50; round++) {
    const list = pairs(3);
    const [first, second, third] = list.map(([, b]) => b) as [UnixStream, UnixStream, UnixStream];
    const results = [first, second, third].map(async (stream, index) => {
      const result = await outcome(stream.read(new Uint8Array(4)));
      if (index === round % 3) {
        first.close();
        second.close();
        third.close();
      }
      return result;
    });
    await settled();
    for (const [a] of list) a.writeSync(bytes("data"));
    // What the kernel has given up is delivered, what it has not is refused.
    for (const result of await Promise.all(results)) assert(result === 4 || result === "EBADF");
    closeAll(list);
  }
});

test("K217 UnixStream.close() in a read's continuation, whose read stood before others, ends an iteration", async () => {
  await withSocketPair(async (a, b) => {
    const chunks: string[] = [];
    const loop = (async () => {
      for await (const chunk of b) {
        chunks.push(text(chunk));
        b.close();
      }
    })();
    await settled();
    a.writeSync(bytes("only"));
    await loop;
    assertEquals(chunks, ["only"]);
  });
});

test("K217 a socket that gets the number of one closed in the same turn hears nothing of the other's events", async () => {
  for (let round = 0; round < 50; round++) {
    const [oldPeer, old] = UnixStream.pair();
    const waiting = outcome(old.read(new Uint8Array(1)));
    await settled();
    const number = old.fd;
    oldPeer.writeSync(bytes("for the old one"));
    old.close();
    const [a, b] = UnixStream.pair();
    const renewed = [a, b].find((stream) => stream.fd === number);
    assert(renewed !== undefined, "the kernel gives the lowest free number");
    const peer = renewed === a ? b : a;
    const reading = readText(renewed);
    assertEquals(await waiting, "EBADF");
    if (round < 3) assert(await isPending(reading));
    peer.writeSync(bytes("for the new one"));
    assertEquals(await reading, "for the new one");
    closeAll([[a, b, oldPeer]]);
  }
});

test("K217 a closed socket's events stop even where a duplicate keeps its open file", async () => {
  await withSocketPair(async (a, b) => {
    const enrolled = readText(b);
    assert(await isPending(enrolled));
    a.writeSync(bytes("1"));
    await enrolled;
    const duplicate = Fd.adopt(file.duplicate(b.fd));
    const number = b.fd;
    assert(isInEpollSet(duplicate.fd));
    b.close();
    assert(!isInEpollSet(duplicate.fd));
    const [c, d] = UnixStream.pair();
    const renewed = c.fd === number ? c : d;
    assertEquals(renewed.fd, number);
    const reading = readText(renewed);
    a.writeSync(bytes("for the duplicate"));
    assert(await isPending(reading));
    const own = new Uint8Array(64);
    assertEquals(await duplicate.read(own), 17);
    closeAll([[c, d, duplicate]]);
    await assertRejects(() => reading);
  });
});

test("UnixStream.close() with waiting operations leaves no descriptor behind", async () => {
  await assertNoFdLeak(async () => {
    for (let round = 0; round < 100; round++) {
      const [a, b] = UnixStream.pair();
      const waiting = [outcome(a.read(new Uint8Array(1))), outcome(b.read(new Uint8Array(1)))];
      if (round % 2 === 0) await settled(1);
      a.close();
      b.close();
      await Promise.all(waiting);
    }
  });
});

/** Whether an epoll set of this process holds the open file of a socket. */
function isInEpollSet(fd: number): boolean {
  // "socket:[4711]" has the inode, which the entries of a set have in hexadecimal.
  const inode = Number(/\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))![0]).toString(16);
  const entry = new RegExp(`^tfd:.* ino:${inode} `, "m");
  const sets = [...openDescriptors()].filter(([, target]) => target === "anon_inode:[eventpoll]");
  return sets.some(([number]) => entry.test(readFileSync(`/proc/self/fdinfo/${number}`, "utf8")));
}
