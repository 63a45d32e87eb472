/**
 * The demo's server: sends back what it receives, while it receives it. It ends with its standard
 * input, so that it does not outlive `main.ts`.
 *
 * Usage: server.ts SOCKET
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../../mod.ts";
import { ownRuntime, peakMemory, report } from "./report.ts";

const runtime = ownRuntime();
const { pid } = process;
const buffer = new Uint8Array(256 * 1024);

async function serve(client: UnixStream): Promise<void> {
  report({ event: "connected", pid, runtime, peer: client.peerCredentials() });
  for (let count; (count = await client.read(buffer)) !== null;) {
    // Waits while the client does not read, and meanwhile the client cannot send more.
    await client.writeAll(buffer.subarray(0, count));
  }
  client.closeWrite();
  report({ event: "served", bytes: client.bytesWritten });
}

try {
  using listener = UnixListener.listen(process.argv[2]!, { mode: 0o600 });
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
    await serve(client);
  }
  report({ event: "end", peakMemory: await peakMemory() });
  process.exit(); // The standard input may still be open.
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
