// Takes over stale paths as often as it can, in competition with others like it. A path is left stale
// each time. Prints "won" for each takeover, and "VIOLATION" where two own a path or it leads elsewhere.

import { mkdirSync, rmdirSync } from "node:fs";
import process from "node:process";
import { UnixListener, UnixSocketError, UnixStream } from "../../mod.ts";

const paths = process.argv.slice(2);
let running = true;
process.stdin.on("end", () => running = false).resume();

/** Connects to the path and looks for this connection among those that were accepted. */
function leadsHere(listener: UnixListener, path: string): boolean {
  const token = crypto.getRandomValues(new Uint8Array(16));
  using client = UnixStream.connectSync(path, { timeout: 30_000 });
  client.writeSync(token);
  const buffer = new Uint8Array(16);
  for (;;) {
    // The others look at the path too: their connections come and go.
    using server = listener.acceptSync({ timeout: 30_000 });
    const count = server.readSync(buffer, { timeout: 30_000 });
    if (count === 16) return buffer.every((byte, i) => byte === token[i]);
  }
}

while (running) {
  for (const path of paths) {
    try {
      const listener = UnixListener.listen(path, { unlinkOnClose: false });
      try {
        mkdirSync(`${path}.owned`);
      } catch {
        console.log(`VIOLATION two own ${path}`);
      }
      for (let look = 0; look < 3; look++) {
        if (!leadsHere(listener, path)) console.log(`VIOLATION ${path} leads elsewhere`);
      }
      rmdirSync(`${path}.owned`);
      listener.close();
      console.log("won");
    } catch (error) {
      if (!(error instanceof UnixSocketError && error.code === "EADDRINUSE")) {
        console.log(`VIOLATION ${error}`);
      }
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 0));
}
process.exit(0);
