/**
 * PATH: connects, sends one byte and waits for it to come back.
 * @module
 */

import { connectBy } from "./clients.ts";

export async function contend(api: string, args: string[]): Promise<string> {
  const client = await connectBy(api, args[0]!);
  const reply = new Uint8Array(1);
  await client.write(Uint8Array.of(7));
  await client.receive(reply);
  if (reply[0] !== 7) throw new Error("The echo is another");
  return "reply";
}
