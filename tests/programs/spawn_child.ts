/**
 * A child that was given a socket. What it does is its first argument.
 *
 * `echo`: sends back in upper case what comes, until the end. `messages`: one message. `table`: says what it has
 * got. `exchange`: gives back an open file for one. `end`: says on its output that the end has come.
 */

import process from "node:process";
import { Fd, UnixStream } from "../../mod.ts";
import { inheritedFds, inheritedSocket } from "../../process.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (data: Uint8Array) => new TextDecoder().decode(data);

const what = process.argv[2];
const socket = inheritedSocket();
if (socket === null) throw new Error("There is no socket");

if (what === "messages") {
  if (socket instanceof UnixStream) throw new Error("This is a stream");
  using message = (await socket.receiveMessage())!;
  await socket.send(encode(`${socket.constructor.name} ${decode(message.data)}`));
} else if (!(socket instanceof UnixStream)) {
  throw new Error("This is no stream");
} else if (what === "echo") {
  for await (const chunk of socket) await socket.writeAll(encode(decode(chunk).toUpperCase()));
} else if (what === "table") {
  const fds = inheritedFds();
  const contents: Record<string, string> = {};
  for (const [name, fd] of fds) {
    const buffer = new Uint8Array(100);
    contents[name] = decode(buffer.subarray(0, fd.preadSync(buffer, 0) ?? 0));
    fd.close();
  }
  const { AFUNIX_SOCKET_FD, AFUNIX_FDS } = process.env;
  const variables = [AFUNIX_SOCKET_FD, AFUNIX_FDS].filter((value) => value !== undefined);
  const again = inheritedSocket() === null && inheritedFds().size === 0;
  await socket.writeAll(encode(JSON.stringify({ contents, variables, again })));
} else if (what === "exchange") {
  using message = (await socket.receiveMessage())!;
  using file = message.fds.shift()!;
  const buffer = new Uint8Array(100);
  const content = decode(buffer.subarray(0, file.preadSync(buffer, 0) ?? 0));
  using answer = Fd.memfd("answer");
  answer.writeAllSync(encode(`${content}, and back`));
  await socket.sendMessage(encode("x"), { fds: [answer] });
} else if (what === "end") {
  await socket.writeAll(encode("ready"));
  const count = await socket.read(new Uint8Array(1));
  console.log(count === null ? "the end has come" : "something has come");
}
socket.close();
