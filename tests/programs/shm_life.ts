/**
 * What becomes of shared memory when it is closed, lost or transferred, while garbage is collected.
 * Prints "ok", or what is wrong. Argument: what to do.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { brotliCompress } from "node:zlib";
import { SharedMemory } from "../../shm.ts";
import { countDescriptors, openForSignals } from "../support/descriptor_table.ts";
import { collectNow } from "../support/garbage.ts";

openForSignals();

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

async function collectMuch(): Promise<void> {
  for (let times = 0; times < 20; times++) {
    collectNow();
    await turn();
  }
}

/** Collects until a condition holds; whether it does. */
async function collectedUntil(condition: () => boolean): Promise<boolean> {
  for (let tries = 0; !condition(); tries++) {
    if (tries === 1000) return false;
    collectNow();
    await turn();
  }
  return true;
}

const lines = () => readFileSync("/proc/self/maps", "utf8").split("\n");
/** How many mappings and descriptors lead to shared memory. */
const mappings = () => lines().filter((line) => line.includes("/memfd:afunix ")).length;
const descriptors = () => countDescriptors(/^\/memfd:afunix /);
/** KiB of addresses in use. */
const addresses = () =>
  Number(/^VmSize:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);

const FRAME = 1920 * 1080 * 4;

function useAndClose(size: number): void {
  const memory = SharedMemory.create(size);
  const other = SharedMemory.map(memory);
  memory.bytes[size - 1] = 1;
  if (other.bytes[size - 1] !== 1) throw new Error("other bytes");
  memory.close();
  other.close();
}

function transferred(memory: SharedMemory): Uint8Array {
  return new Uint8Array(structuredClone(memory.buffer, { transfer: [memory.buffer] }));
}

const programs: Record<string, () => Promise<string>> = {
  async "cycles"() {
    for (let i = 0; i < 100; i++) useAndClose(FRAME);
    await collectMuch();
    const [linesBefore, addressesBefore] = [lines().length, addresses()];
    for (let i = 0; i < 3000; i++) {
      useAndClose(i % 2 ? FRAME : 1 + i);
      if (i % 50 > 0) continue;
      if (mappings() + descriptors() > 0) return `${mappings()} mappings, ${descriptors()} open`;
      await turn();
    }
    const most = addressesBefore + 2 ** 20;
    if (!await collectedUntil(() => addresses() < most)) return `${addresses()} KiB`;
    // The engine's heap has grown too.
    const more = lines().length - linesBefore;
    return more < 1000 ? "ok" : `${more} more mappings`;
  },

  async "addresses"() {
    useAndClose(1);
    await collectMuch();
    const before = addresses();
    // As many addresses as nothing else takes: 200 GiB.
    for (let i = 0; i < 200; i++) useAndClose(2 ** 29);
    const least = before + 50 * 2 ** 20;
    return await collectedUntil(() => addresses() < least) ? "ok" : `${addresses()} KiB`;
  },

  async "lost"() {
    (() => {
      for (let i = 0; i < 200; i++) SharedMemory.create(FRAME).bytes.fill(1, 0, 10);
    })();
    const left = () => mappings() + descriptors();
    return await collectedUntil(() => left() <= 4) ? "ok" : `${left()} are left`;
  },

  async "view"() {
    const views = (() =>
      Array.from({ length: 20 }, (_, i) => {
        const memory = SharedMemory.create(8192);
        memory.bytes.fill(i + 1);
        return i % 2 ? memory.bytes.subarray(4096) : new DataView(memory.buffer, 4096);
      }))();
    if (!await collectedUntil(() => descriptors() <= 2)) return `${descriptors()} open`;
    await collectMuch();
    const wrong = views.filter((view, i) =>
      (view instanceof DataView ? view.getUint8(4095) : view[4095]) !== i + 1
    );
    if (wrong.length > 0) return `${wrong.length} views show something else`;
    if (mappings() < 20) return `${mappings()} mappings`;
    views.length = wrong.length = 0;
    return await collectedUntil(() => mappings() <= 2) ? "ok" : `${mappings()} are left`;
  },

  async "transferred"() {
    const views = (() =>
      Array.from({ length: 20 }, (_, i) => {
        const view = transferred(SharedMemory.create(8192));
        return view.fill(i + 1);
      }))();
    if (!await collectedUntil(() => descriptors() <= 2)) return `${descriptors()} open`;
    await collectMuch();
    const wrong = views.filter((view, i) => view[8191] !== i + 1);
    return wrong.length === 0 ? "ok" : `${wrong.length} views show something else`;
  },

  async "transferred late"() {
    const views =
      (() => Array.from({ length: 20 }, () => SharedMemory.create(8192).bytes.fill(1)))();
    if (!await collectedUntil(() => descriptors() <= 2)) return `${descriptors()} open`;
    const moved = views.splice(0).map(({ buffer }) =>
      new Uint8Array(structuredClone(buffer, { transfer: [buffer] }))
    );
    await collectMuch();
    for (const view of moved) {
      if (view.some((byte) => byte !== view[0])) return "neither zeros nor what was there";
      view.fill(3);
    }
    return moved.every((view) => view[8191] === 3) ? "ok" : "writing does nothing";
  },

  async "moved"() {
    const views = (() =>
      Array.from({ length: 20 }, () => {
        const memory = SharedMemory.create(100_000);
        const view = transferred(memory);
        view.fill(1);
        memory.close();
        return view;
      }))();
    await collectMuch();
    for (const view of views) {
      if (view.some((byte) => byte !== 0)) return "not zeros";
      view[99_999] = 1;
    }
    return mappings() === 0 ? "ok" : `${mappings()} mappings`;
  },

  async "at work"() {
    const work: Promise<unknown>[] = [];
    (() => {
      for (let i = 0; i < 4; i++) {
        const memory = SharedMemory.create(8 << 20);
        const compressed = new Promise<void>((resolve) =>
          brotliCompress(memory.bytes, () => resolve())
        );
        work.push(compressed, crypto.subtle.digest("SHA-256", memory.bytes).catch(() => {}));
        memory.close();
      }
    })();
    let done = false;
    const all = Promise.all(work).then(() => void (done = true));
    while (!done) {
      collectNow();
      await turn();
    }
    await all;
    return "ok";
  },

  async "thread"() {
    const source = `
      const { parentPort } = require("node:worker_threads");
      parentPort.once("message", (buffer) => {
        const bytes = new Uint8Array(buffer);
        const flag = new Int32Array(buffer);
        Atomics.store(flag, 0, 1);
        parentPort.postMessage("running");
        let sum = 0;
        // Until the zeros come, and long after.
        while (Atomics.load(flag, 0) !== 0) sum += bytes[bytes.length - 1];
        for (let i = 0; i < 2e6; i++) sum += bytes[i % bytes.length]++;
        parentPort.postMessage("done");
      });
    `;
    const worker = new Worker(source, { eval: true });
    const messages: string[] = [];
    const said = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => messages.includes(text) && resolve();
        worker.on("message", (message) => {
          messages.push(message);
          look();
        });
        worker.once("error", reject);
        look();
      });
    const [running, done] = [said("running"), said("done")];
    const memory = SharedMemory.create(1 << 20);
    worker.postMessage(memory.buffer, [memory.buffer]);
    await running;
    memory.close();
    await collectMuch();
    await done;
    await worker.terminate();
    return "ok";
  },
};

console.log(await programs[process.argv[2]!]!());
process.exit(0);
