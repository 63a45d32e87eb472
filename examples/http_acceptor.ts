/**
 * Accepts connections and hands each to the next of its workers, `http_worker.ts`, which may be of
 * any runtime. It never reads a byte of what they carry.
 *
 * Run: `node examples/http_acceptor.ts HTTP CONTROL`
 * @module
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../mod.ts";

const [http, control] = process.argv.slice(2);
if (http === undefined || control === undefined) {
  throw new Error("Usage: http_acceptor.ts HTTP CONTROL");
}

const MARK = Uint8Array.of(0);
const workers: UnixStream[] = [];

using joining = UnixListener.listen(control, { authorize: { uid: [process.getuid!()] } });
const admit = async () => {
  for await (const worker of joining) {
    workers.push(worker);
    console.log(`worker ${workers.length}`);
  }
};
admit().catch((error) => console.error(error.message));

/** Gives a connection to the next worker that takes it. */
async function handOn(connection: UnixStream): Promise<void> {
  for (let worker = workers.shift(); worker !== undefined; worker = workers.shift()) {
    try {
      await worker.sendMessage(MARK, { fds: [connection], transfer: true });
      workers.push(worker);
      return;
    } catch {
      worker.close();
    }
  }
  connection.close();
}

using listener = UnixListener.listen(http);
console.log("listening");
for await (const connection of listener) await handOn(connection);
