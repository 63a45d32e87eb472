/**
 * Sends messages that claim to be from others, as its argument says: a JSON array of credentials.
 * Prints a JSON array of what the receiver was told, or of the code of the error.
 */

import process from "node:process";
import {
  type Credentials,
  UnixDatagram,
  UnixSeqpacket,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";

const claims = JSON.parse(process.argv[2]!) as Partial<Credentials>[];
const outcomes: unknown[] = [];
for (const [sender, receiver] of [UnixStream.pair(), UnixDatagram.pair(), UnixSeqpacket.pair()]) {
  receiver.passCredentials = true;
  for (const credentials of claims) {
    try {
      await sender.sendMessage(new Uint8Array(3), { credentials });
    } catch (error) {
      if (!(error instanceof UnixSocketError)) throw error;
      outcomes.push([error.code, error.syscall, error.message]);
      // What failed has sent nothing, and the next is received as if it had not been.
      await sender.sendMessage(new Uint8Array(1));
      const next = await receiver.receiveMessage();
      if (next!.length !== 1) throw new Error("Something was sent", { cause: error });
      continue;
    }
    const message = await receiver.receiveMessage();
    outcomes.push(message!.credentials);
  }
  sender.close();
  receiver.close();
}
console.log(JSON.stringify(outcomes));
