/**
 * Looks at the frames that the producer draws, every pixel of them, in the memory that they share,
 * and ends with the last: how many there were, how many came later than the next one was due, and how
 * many were lost because it was too slow.
 *
 *     deno run --allow-ffi examples/shm_consumer.ts /tmp/frames.sock
 *     bun examples/shm_consumer.ts /tmp/frames.sock
 *     node examples/shm_consumer.ts /tmp/frames.sock
 */

import process from "node:process";
import { UnixStream } from "../mod.ts";
import { Doorbell, SharedMemory } from "../shm.ts";
import { Frames, MEMORY_BYTES, PERIOD } from "./shm_frames.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: shm_consumer.ts PATH");
  process.exit(2);
}

try {
  using producer = await UnixStream.connect(path);
  using message = await producer.receiveMessage({ maxFds: 2 });
  const [frameFd, bellFd] = message?.fds ?? [];
  if (!frameFd || !bellFd) throw new Error("The producer passed no memory");
  using memory = SharedMemory.map(frameFd);
  using doorbell = Doorbell.from(bellFd);
  if (memory.byteLength !== MEMORY_BYTES) throw new Error("This is no memory of frames");
  const frames = new Frames(memory.buffer);
  await producer.writeAll(new Uint8Array(1));

  // The connection ends early only where the producer does.
  const gone = new AbortController();
  producer.read(new Uint8Array(1)).catch(() => null).then(() => gone.abort());

  const seen = { right: 0, wrong: 0, late: 0, lost: 0 };
  let next = 0;
  while (!(frames.ended && next === frames.drawn)) {
    if (next === frames.drawn) {
      await doorbell.wait({ signal: gone.signal }).catch((error) => {
        if (gone.signal.aborted) throw new Error(`The producer left after ${next} frames`);
        throw error;
      });
      continue;
    }
    const checked = frames.check(next++);
    if (checked === null) seen.lost++;
    else {
      if (checked.right) seen.right++;
      else seen.wrong++;
      if (checked.age > PERIOD) seen.late++;
    }
  }
  console.log(
    `${next} frames: ${seen.right} right, ${seen.wrong} wrong, ${seen.lost} lost; ${seen.late} late`,
  );
  if (seen.wrong > 0) process.exitCode = 1;
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
