/**
 * PATH SIZE ROUNDS: messages to an echo server and back. Microseconds for each.
 * @module
 */

import { connectBy } from "./clients.ts";
import { expect, timed } from "./timed.ts";

export async function contend(api: string, args: string[]): Promise<number> {
  const [path, size, rounds] = [args[0]!, Number(args[1]), Number(args[2])];
  const client = await connectBy(api, path);
  const data = Uint8Array.from({ length: size }, (_, i) => i);
  const reply = new Uint8Array(size);
  const run = client.waits
    ? async () => {
      const written = client.write(data);
      if (written !== undefined) await written;
      await client.receive(reply);
    }
    : () => {
      client.write(data);
      client.receive(reply);
    };
  await run();
  expect(data.every((byte, i) => byte === reply[i]), "The echo is another");
  return (await timed(rounds, client.waits, run)) * 1000 / rounds;
}
