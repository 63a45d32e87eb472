/**
 * A main thread whose Workers use the library, and end or are ended while they wait.
 * Arguments: what to do, the kind of Workers, a directory, and perhaps what the kernel refuses.
 */

import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { setTimeout } from "node:timers";
import { UnixListener, UnixStream } from "../../mod.ts";
import type { Job } from "./worker.ts";
import { refuse, type Refused } from "../support/refuse.ts";
import { startWorker, type WorkerKind } from "../support/workers.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const [what, kind, directory, way] = process.argv.slice(2) as [string, WorkerKind, string, string];
refuse(way as Refused | undefined);

/** A Worker that waits in the same way. */
const start = (what: Job["what"], path: string) => startWorker(kind, { what, path, way });

/** That this thread's sockets work. */
async function echoHere(): Promise<void> {
  using listener = UnixListener.listen(`${directory}/main.sock`);
  const accepting = listener.accept();
  using client = await UnixStream.connect(`${directory}/main.sock`);
  using server = await accepting;
  for (let i = 0; i < 20; i++) {
    const buffer = new Uint8Array(4);
    const reading = server.read(buffer);
    await client.writeAll(Uint8Array.of(i));
    if (await reading !== 1 || buffer[0] !== i) throw new Error(`round ${i} gave ${buffer}`);
  }
}

async function expect(worker: { next(): Promise<string> }, message: string): Promise<void> {
  const answer = await worker.next();
  if (answer !== message) throw new Error(`The worker says ${answer}`);
}

const programs: Record<string, () => Promise<void>> = {
  async "terminate"() {
    for (let round = 0; round < 5; round++) {
      const worker = start("wait", `${directory}/${round}.sock`);
      await expect(worker, "ready");
      await worker.terminate();
      await echoHere();
    }
  },

  async "terminate many"() {
    // While this thread waits too.
    const [a, b] = UnixStream.pair();
    const reading = a.read(new Uint8Array(1));
    const workers = Array.from(
      { length: 4 },
      (_, index) => start("wait", `${directory}/${index}.sock`),
    );
    await Promise.all(workers.map((worker) => expect(worker, "ready")));
    await Promise.all(workers.map((worker) => worker.terminate()));
    await b.writeAll(new Uint8Array(1));
    if (await reading !== 1) throw new Error("The main thread's read is lost");
    a.close();
    b.close();
    await echoHere();
  },

  async "terminate busy"() {
    for (let round = 0; round < 5; round++) {
      const path = `${directory}/${round}.sock`;
      const worker = start("serve", path);
      await expect(worker, "ready");
      const streams = await Promise.all(Array.from({ length: 4 }, () => UnixStream.connect(path)));
      let rounds = 0;
      const ends = streams.map(async (stream) => {
        try {
          for (;;) {
            await stream.writeAll(new Uint8Array(1000));
            if (await stream.read(new Uint8Array(1000)) === null) return;
            rounds++;
          }
        } catch {
          // It was closed below.
        }
      });
      while (rounds < 20) await new Promise((resolve) => setImmediate(resolve));
      await worker.terminate();
      // Its sockets may stay open: the thread is gone, and nobody closes its descriptors.
      for (const stream of streams) stream.close();
      await Promise.all(ends);
      await echoHere();
    }
  },

  async "exit"() {
    const worker = start("wait", `${directory}/w.sock`);
    await expect(worker, "ready");
    await echoHere();
    console.log("ok");
    process.exit(0);
  },

  async "end"() {
    const worker = start("wait", `${directory}/w.sock`);
    await expect(worker, "ready");
    await echoHere();
    worker.unref();
  },

  async "throw"() {
    const worker = start("wait", `${directory}/w.sock`);
    await expect(worker, "ready");
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 1);
  },

  async "worker ends"() {
    const worker = start("idle", `${directory}/w.sock`);
    await expect(worker, "ready");
    const code = await worker.ended;
    if (code !== 0) throw new Error(`The worker ended with ${code}`);
    await echoHere();
  },

  async "worker leaves"() {
    const own = () => {
      const links = readdirSync("/proc/self/fd").map((name) => {
        try {
          return readlinkSync(`/proc/self/fd/${name}`);
        } catch {
          return "";
        }
      });
      return links.filter((link) => /io_uring|eventpoll|eventfd/.test(link)).length;
    };
    const ways = ["end", "end waiting", "end closing", "exit", "exit of the runtime"] as const;
    for (const what of ways) {
      // What the runtime itself keeps of its first Workers is there by then.
      for (let i = 0; i < 2; i++) await start(what, "").ended;
      const before = own();
      for (let i = 0; i < 4; i++) await start(what, "").ended;
      // Deno keeps the two descriptors of a Worker's event loop after process.exit().
      const runtimes = what.startsWith("exit") && "Deno" in globalThis ? 4 * 2 : 0;
      const since = performance.now();
      // A thread is said to have ended a little before it has.
      while (own() > before + runtimes) {
        if (performance.now() - since > 20_000) {
          throw new Error(`${what}: ${own() - before} descriptors are left`);
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  },

  async "worker stays"() {
    const worker = start("wait", `${directory}/w.sock`);
    await expect(worker, "ready");
    setTimeout(() => {
      console.log("still alive");
      process.exit(0);
    }, 200).unref();
  },
};

await programs[what]!();
console.log("ok");
