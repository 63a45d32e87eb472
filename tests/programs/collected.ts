/**
 * Reads and writes while garbage is collected all the time. Says "intact" when no byte was wrong.
 * Argument: what to do.
 */

import process from "node:process";
import { Fd, UnixListener, UnixStream } from "../../mod.ts";
import { countDescriptors, openForSignals } from "../support/descriptor_table.ts";
import { collectNow } from "../support/garbage.ts";

openForSignals();

/** A full collection, with garbage before it so that there is something to move. */
function collect(): void {
  const garbage = Array.from({ length: 100 }, (_, size) => new Uint8Array(size));
  if (garbage.length === 0) throw new Error("unreachable");
  collectNow();
}

/** Fresh bytes that tell their own number, in an array so small that engines keep it on the heap. */
function stamped(number: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (number * 31 + index * 7) & 255);
}

function check(data: Uint8Array, number: number): void {
  const expected = stamped(number, data.length);
  if (data.some((byte, index) => byte !== expected[index])) {
    throw new Error(`message ${number} is ${data}, not ${expected}`);
  }
}

/** How many sockets this process has open. */
const sockets = () => countDescriptors(/^socket:/);

async function small(): Promise<void> {
  const [a, b] = UnixStream.pair();
  for (let i = 0; i < 4000; i++) {
    const length = 1 + i % 60;
    if (i % 2 === 0) await a.writeAll(stamped(i, length));
    else a.writeSync(stamped(i, length));
    if (i % 5 === 0) collect();
    const buffer = new Uint8Array(length);
    const count = i % 3 === 0 ? b.readSync(buffer) : await b.read(buffer);
    if (i % 7 === 0) collect();
    if (count !== length) throw new Error(`message ${i} has ${count} bytes, not ${length}`);
    check(buffer, i);
  }
}

async function waiting(): Promise<void> {
  // Nothing but the pending operations holds the sockets that read.
  for (let round = 0; round < 100; round++) {
    const writers: UnixStream[] = [];
    const reads = Array.from({ length: 20 }, (_, index) => {
      const [a, b] = UnixStream.pair();
      writers.push(a);
      const buffer = new Uint8Array(8);
      return b.read(buffer).then((count) => {
        if (count !== 8) throw new Error(`read ${count}`);
        check(buffer, index);
      });
    });
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    writers.forEach((writer, index) => writer.writeSync(stamped(index, 8)));
    collect();
    await Promise.all(reads);
    for (const writer of writers) writer.close();
  }
}

async function large(): Promise<void> {
  const [a, b] = UnixStream.pair();
  for (let i = 0; i < 20; i++) {
    const writing = a.writeAll(stamped(i, 500_000));
    const received = new Uint8Array(500_000);
    for (let at = 0; at < received.length;) {
      collect();
      const part = new Uint8Array(40_000);
      const count = await b.read(part);
      received.set(part.subarray(0, Math.min(count!, received.length - at)), at);
      at += count!;
    }
    await writing;
    check(received, i);
  }
}

async function lost(): Promise<void> {
  const path = `\0afunix-collected-${process.pid}`;
  const before = sockets();
  const accepted = (() => {
    // Only the pending accept holds the listener.
    return UnixListener.listen(path).accept();
  })();
  (() => {
    for (let i = 0; i < 200; i++) UnixStream.pair();
  })();
  for (let tries = 0; sockets() > before + 20; tries++) {
    if (tries === 100) throw new Error(`${sockets() - before} sockets are still open`);
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  // And this is held by nothing but its pending write.
  const [reader, written] = (() => {
    const [reader, writer] = Fd.pipe();
    return [reader, writer.writeAll(new Uint8Array(200_000))];
  })();
  await new Promise((resolve) => setImmediate(resolve));
  for (let times = 0; times < 10; times++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (let left = 200_000; left > 0;) left -= (await reader.read(new Uint8Array(65536)))!;
  await written;

  const client = UnixStream.connectSync(path);
  const server = await accepted;
  client.writeSync(stamped(1, 8));
  const buffer = new Uint8Array(8);
  await server.read(buffer);
  check(buffer, 1);
}

/** That the library forgets what was closed: its descriptors are no longer reachable. */
async function forgotten(): Promise<void> {
  const descriptors: WeakRef<object>[] = [];
  for (let i = 0; i < 200; i++) {
    const [a, b] = UnixStream.pair();
    const waiting = b.read(new Uint8Array(1));
    a.writeSync(new Uint8Array(1));
    await waiting;
    descriptors.push(new WeakRef((b as unknown as { descriptor: object }).descriptor));
    a.close();
    b.close();
  }
  const left = () => descriptors.filter((descriptor) => descriptor.deref() !== undefined).length;
  for (let tries = 0; left() > 20; tries++) {
    if (tries === 100) throw new Error(`${left()} descriptors are still reachable`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    collect();
  }
}

const programs: Record<string, () => Promise<void>> = {
  forgotten,
  small,
  waiting,
  large,
  lost,
};
await programs[process.argv[2]!]!();
console.log("intact");
