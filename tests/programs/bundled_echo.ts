/**
 * A listener and its client in one process, to be bundled: prints "ok" when they understood each
 * other. Argument: the path, if not an abstract name. Needs no permission but that for FFI.
 */

import process from "node:process";
import { UnixListener, UnixStream } from "../../mod.ts";

const path = process.argv[2] ?? `\0afunix-bundled-${process.pid}`;
const listener = UnixListener.listen(path);
(async () => {
  for await (const stream of listener) {
    stream.readable.pipeTo(stream.writable).catch((error) => console.error(error.message));
  }
})();

const client = await UnixStream.connect(path);
const sent = new Uint8Array(500_000).map((_, index) => index * 7);
const writing = client.writeAll(sent).then(() => client.closeWrite());
let count = 0;
for await (const chunk of client) {
  for (const byte of chunk) {
    if (byte !== sent[count++]) throw new Error(`Byte ${count} is wrong`);
  }
}
await writing;
client.close();
listener.close();
console.log(count === sent.length ? "ok" : `only ${count} bytes`);
