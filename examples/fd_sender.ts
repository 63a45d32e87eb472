/**
 * Opens a file, /etc/hostname without a name, and passes it to the receiver: neither its name nor
 * its bytes, but the open file itself. The receiver can read it even where it may not open it.
 *
 *     deno run --allow-ffi examples/fd_sender.ts /tmp/fd.sock FILE
 *     bun examples/fd_sender.ts /tmp/fd.sock FILE
 *     node examples/fd_sender.ts /tmp/fd.sock FILE
 */

import process from "node:process";
import { Fd, UnixStream } from "../mod.ts";

const [path, name = "/etc/hostname", ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: fd_sender.ts PATH [FILE]");
  process.exit(2);
}

try {
  using file = Fd.open(name);
  using stream = await UnixStream.connect(path);
  // On a stream, descriptors go along with bytes: here with a name to show.
  await stream.sendMessage(new TextEncoder().encode(name), { fds: [file] });
  stream.closeWrite();
  // The receiver has its own duplicate now. The end comes when it has printed the file.
  while (await stream.read(new Uint8Array(4096)) !== null);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
