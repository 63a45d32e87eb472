/**
 * Draws a frame of 1920 × 1080 pixels every 16 ms into memory that it shares with the consumer: no
 * byte of it is copied or sent. The first argument is where the consumer connects, the second how many
 * frames there are; it waits for nobody, and ends after them.
 *
 *     deno run --allow-ffi examples/shm_producer.ts /tmp/frames.sock [FRAMES]
 *     bun examples/shm_producer.ts /tmp/frames.sock [FRAMES]
 *     node examples/shm_producer.ts /tmp/frames.sock [FRAMES]
 */

import process from "node:process";
import { UnixListener } from "../mod.ts";
import { Doorbell, SharedMemory } from "../shm.ts";
import { FRAME_BYTES, Frames, MEMORY_BYTES, PERIOD } from "./shm_frames.ts";

const [path, count = "300", ...rest] = process.argv.slice(2);
const wanted = /^[1-9]\d{0,8}$/.test(count) ? Number(count) : 0;
if (path === undefined || path.startsWith("-") || wanted === 0 || rest.length > 0) {
  console.error("Usage: shm_producer.ts PATH [FRAMES]");
  process.exit(2);
}

try {
  using listener = UnixListener.listen(path, { mode: 0o600 });
  console.log(`Listening on ${path}`);
  using consumer = await listener.accept();
  listener.close();

  using memory = SharedMemory.create(MEMORY_BYTES, { name: "frames" });
  using doorbell = Doorbell.create();
  const frames = new Frames(memory.buffer);
  await consumer.sendMessage(new Uint8Array(1), { fds: [memory, doorbell] });
  // It answers when it has mapped the memory, and closes when it has seen the last frame.
  const buffer = new Uint8Array(1);
  if (await consumer.read(buffer) === null) throw new Error("The consumer left before it began");
  let left = false;
  const leaving = consumer.read(buffer).catch(() => null).then(() => void (left = true));

  const start = performance.now();
  let drawn = 0;
  for (; drawn < wanted && !left; drawn++) {
    const due = start + drawn * PERIOD;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    frames.draw(drawn);
    doorbell.notify();
  }
  if (left) throw new Error(`The consumer left after ${drawn} frames`);
  frames.end();
  doorbell.notify();
  await leaving;
  console.log(`Drew ${drawn} frames of ${FRAME_BYTES} bytes`);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
