/**
 * Makes objects, loses them, and collects garbage. Says "ok" when what had to happen did, and what
 * did not otherwise. Argument: what to lose.
 */

import { existsSync, readlinkSync } from "node:fs";
import process from "node:process";
import { abstract, Fd, UnixListener, UnixStream } from "../../mod.ts";
import { reactor } from "../../src/io/reactor.ts";
import { countDescriptors, openForSignals } from "../support/descriptor_table.ts";
import { collect, collectedUntil } from "../support/garbage.ts";

openForSignals();

const [what, path] = process.argv.slice(2) as [string, string];

// What waiting takes once is no loss.
reactor().prepare();

/** The descriptors that are the library's: sockets and pipes. */
const open = () => countDescriptors(/^(socket|pipe):/);

/** Collects often enough to close whatever is not kept. */
async function collectMuch(): Promise<void> {
  const before = open();
  (() => {
    for (let i = 0; i < 50; i++) UnixStream.pair();
  })();
  await collectedUntil(() => open() <= before + 4);
  for (let round = 0; round < 20; round++) await collect();
}

/** Makes many objects within a call that keeps none, and waits until all but those kept are closed. */
async function lose(
  count: number,
  make: (index: number) => unknown,
  kept = 0,
): Promise<string> {
  const before = open();
  await (async () => {
    for (let i = 0; i < count; i++) await make(i);
  })();
  // What is left on a stack or in a register may keep a few.
  const few = Math.ceil(count / 50);
  if (await collectedUntil(() => open() <= before + kept + few)) return "ok";
  return `${open() - before} are still open`;
}

const programs: Record<string, () => Promise<string>> = {
  "streams": () => lose(500, () => void UnixStream.pair()),
  "pipes": () => lose(200, () => void Fd.pipe()),
  "duplicates": () => lose(200, () => void Fd.pipe()[0].dup()),
  "listeners": () => lose(200, () => void UnixListener.listen({ kind: "unnamed" })),

  "streams that were read from"() {
    return lose(200, async () => {
      const [a, b] = UnixStream.pair();
      const reading = b.read(new Uint8Array(4));
      await a.writeAll(new Uint8Array(4));
      await reading;
    });
  },

  "streams with an aborted read"() {
    return lose(200, async () => {
      const [a] = UnixStream.pair();
      const controller = new AbortController();
      const reading = a.read(new Uint8Array(4), { signal: controller.signal });
      controller.abort();
      await reading.catch(() => {});
    });
  },

  async "connections"() {
    const listener = UnixListener.listen(path);
    const result = await lose(200, async () => {
      const client = await UnixStream.connect(path);
      const server = await listener.accept();
      await client.writeAll(new Uint8Array(4));
      await server.read(new Uint8Array(4));
    });
    listener.close();
    return result;
  },

  async "connections of a loop"() {
    const listener = UnixListener.listen(path);
    let served = 0;
    const loop = (async () => {
      for await (const _ of listener) served++;
    })();
    // The loop's variable keeps the last one.
    const result = await lose(200, () => UnixStream.connect(path), 1);
    listener.close();
    await loop;
    return served === 200 ? result : `${served} connections`;
  },

  async "web streams"() {
    return await lose(100, async () => {
      const [a, b] = UnixStream.pair();
      const writer = a.writable.getWriter();
      await writer.write(new Uint8Array(4));
      const reader = b.readable.getReader();
      await reader.read();
      reader.releaseLock();
      writer.releaseLock();
    });
  },

  async "a listener with a path"() {
    (() => void UnixListener.listen(path))();
    if (!existsSync(path)) return "there is no path";
    // More of them, because one alone may be what the collector holds on to.
    (() => {
      for (let i = 0; i < 20; i++) UnixListener.listen(`${path}.${i}`);
    })();
    const paths = [path, ...Array.from({ length: 20 }, (_, i) => `${path}.${i}`)];
    const left = () => paths.filter((each) => existsSync(each)).length;
    return await collectedUntil(() => left() <= 2) ? "ok" : `${left()} paths are left`;
  },

  async "a listener with a path that was told to leave it"() {
    const before = open();
    (() => void UnixListener.listen(path, { unlinkOnClose: false }))();
    await collectedUntil(() => open() === before);
    await collectMuch();
    return existsSync(path) ? "ok" : "the path is gone";
  },

  async "a stream whose descriptor was given away"() {
    const numbers = (() =>
      Array.from({ length: 50 }, () => {
        const [a, b] = UnixStream.pair();
        b.close();
        return a.intoFd();
      }))();
    await collectMuch();
    const links = numbers.map((number) => readlinkSync(`/proc/self/fd/${number}`));
    return links.every((link) => link.startsWith("socket:")) ? "ok" : "one was closed";
  },

  async "a closed stream whose number is another's"() {
    const kept: UnixStream[] = [];
    // The first of these is closed before the second gets its number.
    (() => {
      for (let i = 0; i < 100; i++) {
        const [a, b] = UnixStream.pair();
        a.close();
        b.close();
        kept.push(...UnixStream.pair());
        kept.splice(0, kept.length > 20 ? 2 : 0).forEach((stream) => stream.close());
      }
    })();
    await collectMuch();
    for (let i = 0; i < kept.length; i += 2) {
      await kept[i]!.writeAll(new Uint8Array([i]));
      const buffer = new Uint8Array(1);
      if (await kept[i + 1]!.read(buffer) !== 1 || buffer[0] !== i) return `stream ${i} is broken`;
    }
    return "ok";
  },

  async "a stream with a pending read"() {
    const writers: UnixStream[] = [];
    let arrived = 0;
    (() => {
      for (let i = 0; i < 50; i++) {
        const [a, b] = UnixStream.pair();
        writers.push(a);
        b.read(new Uint8Array(4)).then((count) => arrived += count === 4 ? 1 : 0, () => {});
      }
    })();
    await collectMuch();
    for (const writer of writers) await writer.writeAll(new Uint8Array(4));
    return await collectedUntil(() => arrived === 50) ? "ok" : `${arrived} of 50 reads`;
  },

  async "a stream with a pending write"() {
    const readers: UnixStream[] = [];
    const size = 1_000_000;
    (() => {
      for (let i = 0; i < 10; i++) {
        const [a, b] = UnixStream.pair();
        readers.push(b);
        a.writeAll(new Uint8Array(size)).catch(() => {});
      }
    })();
    await collectMuch();
    for (const reader of readers) {
      const buffer = new Uint8Array(65536);
      for (let total = 0; total < size;) {
        const count = await reader.read(buffer);
        if (count === null) return `${total} of ${size} bytes`;
        total += count;
      }
    }
    return "ok";
  },

  async "a stream in a loop"() {
    const writers: UnixStream[] = [];
    let arrived = 0;
    (() => {
      for (let i = 0; i < 20; i++) {
        const [a, b] = UnixStream.pair();
        writers.push(a);
        (async () => {
          for await (const chunk of b) arrived += chunk.length;
        })();
      }
    })();
    for (let round = 1; round <= 3; round++) {
      await collectMuch();
      for (const writer of writers) await writer.writeAll(new Uint8Array(1));
      if (!await collectedUntil(() => arrived === 20 * round)) return `${arrived} in ${round}`;
    }
    return "ok";
  },

  async "a listener with a pending accept"() {
    let accepted = 0;
    const address = (index: number) => abstract(`afunix-lost-${process.pid}-${index}`);
    (() => {
      for (let i = 0; i < 20; i++) {
        UnixListener.listen(address(i)).accept().then(() => accepted++, () => {});
      }
    })();
    await collectMuch();
    const clients: UnixStream[] = [];
    for (let i = 0; i < 20; i++) clients.push(await UnixStream.connect(address(i)));
    return await collectedUntil(() => accepted === 20) ? "ok" : `${accepted} of 20 accepts`;
  },

  async "a listener in a loop"() {
    (() => {
      const listener = UnixListener.listen(path);
      (async () => {
        for await (const stream of listener) {
          await stream.writeAll(new Uint8Array(1));
          stream.close();
        }
      })();
    })();
    for (let round = 0; round < 3; round++) {
      await collectMuch();
      const client = await UnixStream.connect(path);
      if (await client.read(new Uint8Array(1)) !== 1) return "no answer";
      client.close();
    }
    return "ok";
  },
};

console.log(await programs[what]!());
process.exit(0);
