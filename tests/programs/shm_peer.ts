/**
 * Connects to a path, receives shared memory and two doorbells, and does in the memory what its first
 * 32 bits ask for whenever the first doorbell rings; rings the second when that is done.
 */

import process from "node:process";
import { UnixStream } from "../../mod.ts";
import { Doorbell, SharedMemory } from "../../shm.ts";
import { ADDITIONS, BODY, COMMAND, COMMANDS, COUNTER, invert } from "../support/shared_memory.ts";

using stream = await UnixStream.connect(process.argv[2]!);
using message = await stream.receiveMessage({ maxFds: 3 });
const [memoryFd, askingFd, doneFd] = message!.fds;
using memory = SharedMemory.map(memoryFd!);
using asking = Doorbell.from(askingFd!);
using done = Doorbell.from(doneFd!);
const words = new Int32Array(memory.buffer, 0, 2);

for (;;) {
  await asking.wait();
  const command = Atomics.load(words, COMMAND);
  if (command === COMMANDS.end) break;
  if (command === COMMANDS.invert) invert(memory.bytes.subarray(BODY));
  if (command === COMMANDS.count) {
    for (let i = 0; i < ADDITIONS; i++) Atomics.add(words, COUNTER, 1);
  }
  done.notify();
}
const seen = memory.bytes;
memory.close();
process.stdout.write(`${seen.length}\n`);
