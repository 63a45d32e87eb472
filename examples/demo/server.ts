/**
 * The demo's server: sends back what it receives, while it receives it. Then it reads the file itself,
 * by the descriptor that the client opened. It ends with its standard input, so that it does not
 * outlive `main.ts`.
 *
 * Usage: server.ts SOCKET
 */

import { createHash } from "node:crypto";
import process from "node:process";
import { type Fd, UnixListener, type UnixStream } from "../../mod.ts";
import { ownRuntime, peakMemory, report } from "./report.ts";

const runtime = ownRuntime();
const { pid } = process;
const buffer = new Uint8Array(256 * 1024);
/** How often the progress is reported, in milliseconds. */
const PROGRESS_INTERVAL = 100;

async function serve(client: UnixStream): Promise<void> {
  report({ event: "connected", pid, runtime, peer: client.peerCredentials() });
  using message = await client.receiveMessage({ size: 1, maxFds: 1 });
  if (message === null) return; // The client is gone, and `main.ts` knows more of it.
  const [file] = message.fds;
  if (file === undefined) throw new Error("No descriptor came");
  for (let count; (count = await client.read(buffer)) !== null;) {
    // Waits while the client does not read, and meanwhile the client cannot send more.
    await client.writeAll(buffer.subarray(0, count));
  }
  client.closeWrite();
  report({ event: "served", bytes: client.bytesWritten });
  const read = await readThrough(file, client);
  report({ event: "read", sender: message.credentials, ...read });
}

/** Hashes a file that this process has not opened, from its beginning, while the client is there. */
async function readThrough(file: Fd, client: UnixStream) {
  const hash = createHash("sha256");
  const start = performance.now();
  let reported = start;
  let bytes = 0;
  for (let count; !client.closed && (count = await file.pread(buffer, bytes)) !== null;) {
    hash.update(buffer.subarray(0, count));
    bytes += count;
    if (performance.now() - reported < PROGRESS_INTERVAL) continue;
    reported = performance.now();
    report({ event: "progress", bytes });
  }
  return { bytes, sha256: hash.digest("hex"), milliseconds: performance.now() - start };
}

try {
  using listener = UnixListener.listen(process.argv[2]!, { mode: 0o600 });
  listener.passCredentials = true; // Connections have it from their listener.
  let current: UnixStream | undefined;
  const stop = () => {
    listener.close();
    current?.close();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  process.stdin.on("end", stop).resume();

  report({ event: "listening", pid, runtime });
  for await (using client of listener) {
    current = client;
    await serve(client).catch((error) => {
      // The client is gone, or was closed by stop().
      if (!client.closed && !["ECONNRESET", "EPIPE"].includes(error.code)) throw error;
    });
  }
  report({ event: "end", peakMemory: await peakMemory() });
  process.exit(); // The standard input may still be open.
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
