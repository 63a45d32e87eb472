/**
 * Sends to a path in every way there is. Prints as JSON how each ended. Argument: the path.
 */

import process from "node:process";
import { SendBatch, UnixDatagram, UnixSocketError } from "../../mod.ts";

const path = process.argv[2]!;
const message = new TextEncoder().encode("let me in");
const batch = new SendBatch();
batch.add(message, path);
const socket = UnixDatagram.unbound();

const attempts: Record<string, () => unknown> = {
  sendTo: () => socket.sendTo(message, path),
  sendToSync: () => socket.sendToSync(message, path),
  sendMany: () => socket.sendMany(batch),
  connect: () => socket.connect(path),
};

const outcomes: Record<string, string> = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    outcomes[name] = "ok";
  } catch (error) {
    if (!(error instanceof UnixSocketError)) throw error;
    outcomes[name] = error.code;
  }
}
console.log(JSON.stringify(outcomes));
