/**
 * An HTTP server that accepts nothing itself: its connections come from another process, as
 * descriptors (SCM_RIGHTS). Any runtime's `node:http` serves them.
 *
 * Run: `node examples/http_worker.ts CONTROL`, and `node examples/http_acceptor.ts HTTP CONTROL`;
 * then `curl --unix-socket HTTP http://localhost/`.
 * @module
 */

import { createServer } from "node:http";
import process from "node:process";
import { UnixStream } from "../mod.ts";
import { intoNodeSocket } from "../node.ts";

const [control] = process.argv.slice(2);
if (control === undefined) throw new Error("Usage: http_worker.ts CONTROL");

const server = createServer((request, response) => {
  response.end(`${request.method} ${request.url} by ${process.pid}\n`);
});

using acceptor = await UnixStream.connect(control);
for (;;) {
  using message = await acceptor.receiveMessage();
  if (message === null) break;
  for (const connection of message.fds.splice(0)) {
    server.emit("connection", intoNodeSocket(connection));
  }
}
