/**
 * PATH SIZE WARM TOTAL: writes to a sink that tells when it has read all. MiB a second.
 * @module
 */

import { connectBy } from "./clients.ts";
import { expect } from "./timed.ts";

export async function contend(api: string, args: string[]): Promise<number> {
  const [size, warm, total] = args.slice(1).map(Number) as [number, number, number];
  const client = await connectBy(api, args[0]!);
  // Memory that was never written would be one page of zeros, which is faster to read.
  const data = new Uint8Array(size).fill(7);
  const counted = new BigUint64Array(1);
  const transfer = async (total: number) => {
    for (let sent = 0; sent < total; sent += size) {
      const written = client.write(data);
      if (written !== undefined) await written;
    }
    await client.receive(new Uint8Array(counted.buffer));
    expect(counted[0] === BigInt(total), "The sink counted otherwise");
  };
  await transfer(warm);
  const begin = performance.now();
  await transfer(total);
  return total / 1_048_576 / ((performance.now() - begin) / 1000);
}
