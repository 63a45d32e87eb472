/**
 * The demo's client: opens a file and passes the descriptor to the server, then sends it the bytes,
 * reads at the same time what comes back, and hashes both. No more of the file is in memory than two
 * buffers hold.
 *
 * Usage: client.ts SOCKET FILE
 */

import { createHash } from "node:crypto";
import process from "node:process";
import { Fd, UnixStream } from "../../mod.ts";
import { ownRuntime, peakMemory, report } from "./report.ts";

const BUFFER_SIZE = 256 * 1024;
/** How often the progress is reported, in milliseconds. */
const PROGRESS_INTERVAL = 100;

async function send(stream: UnixStream, file: Fd) {
  const start = stream.bytesWritten;
  const hash = createHash("sha256");
  const buffer = new Uint8Array(BUFFER_SIZE);
  for (let at = 0, count; (count = await file.pread(buffer, at)) !== null; at += count) {
    const part = buffer.subarray(0, count);
    hash.update(part);
    await stream.writeAll(part);
  }
  stream.closeWrite();
  return { bytes: stream.bytesWritten - start, sha256: hash.digest("hex") };
}

async function receive(stream: UnixStream) {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(BUFFER_SIZE);
  let reported = performance.now();
  for (let count; (count = await stream.read(buffer)) !== null;) {
    hash.update(buffer.subarray(0, count));
    if (performance.now() - reported < PROGRESS_INTERVAL) continue;
    reported = performance.now();
    report({ event: "progress", bytes: stream.bytesRead });
  }
  return { bytes: stream.bytesRead, sha256: hash.digest("hex") };
}

try {
  const [socket, path] = process.argv.slice(2) as [string, string];
  const start = performance.now();
  using stream = await UnixStream.connect(socket);
  const peer = stream.peerCredentials();
  report({ event: "connected", pid: process.pid, runtime: ownRuntime(), peer });
  using file = Fd.open(path);
  // Descriptors go along with at least one byte. The server now has the open file as well.
  await stream.sendMessage(Uint8Array.of(0), { fds: [file], credentials: true });
  const [sent, received] = await Promise.all([send(stream, file), receive(stream)]);
  const milliseconds = performance.now() - start;
  report({ event: "received", sent, received, milliseconds });
  report({ event: "end", peakMemory: await peakMemory() });
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
