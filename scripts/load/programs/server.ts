/**
 * Serves streams. Arguments: how, the path, and the backlog. "answer" returns each number of eight
 * bytes with all its bits turned; "count" gives each connection its ordinal number and ends it.
 */

import process from "node:process";
import { UnixListener, type UnixStream } from "../../../mod.ts";
import { obey } from "./talk.ts";

const [how, path, backlog] = process.argv.slice(2) as [string, string, string];

let accepted = 0;
let open = 0;

async function answer(stream: UnixStream): Promise<void> {
  const buffer = new Uint8Array(8);
  let filled = 0;
  for (let count; (count = await stream.read(buffer.subarray(filled))) !== null;) {
    filled += count;
    if (filled < buffer.length) continue;
    filled = 0;
    await stream.writeAll(buffer.map((byte) => byte ^ 0xff));
  }
}

async function giveOrdinal(stream: UnixStream): Promise<void> {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, accepted - 1);
  await stream.writeAll(number);
}

const listener = UnixListener.listen(path, { backlog: Number(backlog) });
const serve = how === "count" ? giveOrdinal : answer;
(async () => {
  for await (const stream of listener) {
    accepted++;
    open++;
    serve(stream).catch((error) => console.error(error.message)).finally(() => {
      stream.close();
      open--;
    });
  }
})();

await obey({
  /** How many have come, and how many are here. */
  count: () => ({ accepted, open }),
});
