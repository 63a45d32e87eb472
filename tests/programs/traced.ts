/**
 * One life of each kind of descriptor, for strace: `traced.ts PATH`. Prints, as JSON, the numbers of
 * the descriptors that it made, in the order in which it closed them.
 */

import { Fd, UnixListener, type UnixSocketError, UnixStream } from "../../mod.ts";
import process from "node:process";
import { openForSignals } from "../support/descriptor_table.ts";

const path = process.argv[2]!;
const bytes = (text: string) => new TextEncoder().encode(text);
const closed: { what: string; fd: number }[] = [];

function close(what: string, resource: { fd: number; close(): void }): void {
  closed.push({ what, fd: resource.fd });
  resource.close();
  resource.close();
}

async function readToEnd(stream: UnixStream): Promise<void> {
  for await (const _ of stream);
}

// What Deno would open half a second after its start, and what waiting takes once, are no subject here.
openForSignals();
{
  const [one, other] = UnixStream.pair();
  const waiting = one.read(new Uint8Array(1));
  await new Promise((resolve) => setImmediate(resolve));
  other.writeSync(new Uint8Array(1));
  await waiting;
  one.close();
  other.close();
}

const listener = UnixListener.listen(path, { mode: 0o600 });
const accepting = listener.accept();
const client = await UnixStream.connect(path);
const server = await accepting;

// Each waits once, so that the reactor knows all of them.
const waiting = server.read(new Uint8Array(64));
await client.writeAll(bytes("afunix-request"));
await waiting;
const answer = client.read(new Uint8Array(64));
server.writeSync(bytes("afunix-answer"));
await answer;
client.closeWrite();
await readToEnd(server);
close("accepted", server);
close("connected", client);

const second = UnixStream.connectSync(path);
const accepted = listener.acceptSync();
close("accepted by acceptSync", accepted);
await readToEnd(second);
close("connected by connectSync", second);
close("listener", listener);

const [left, right] = UnixStream.pair();
left.writeSync(bytes("afunix-pair"));
right.readSync(new Uint8Array(64));
close("left of a pair", left);
let code = "";
try {
  right.writeSync(bytes("afunix-too-late"));
} catch (error) {
  code = (error as UnixSocketError).code;
}
if (code !== "EPIPE") throw new Error(`The peer has gone, but writing said "${code}"`);
close("right of a pair", right);

const [reader, writer] = Fd.pipe();
const copy = reader.dup();
close("reader of a pipe", reader);
close("duplicate", copy);
close("writer of a pipe", writer);

const [given, other] = UnixStream.pair();
const taken = UnixStream.fromFd(given.intoFd());
given.close();
close("taken over", taken);
close("its peer", other);

console.log(JSON.stringify(closed));
