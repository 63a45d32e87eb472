/**
 * An HTTP server that systemd starts when somebody connects: the manager listens, and passes the
 * socket on (socket activation). Beside that it tells the manager how it is doing.
 *
 * Try it without a unit, and then `curl --unix-socket /tmp/http.sock http://localhost/`:
 *
 *     systemd-socket-activate -l /tmp/http.sock deno run --allow-ffi --allow-env examples/activated_http.ts
 *     systemd-socket-activate -l /tmp/http.sock bun examples/activated_http.ts
 *     systemd-socket-activate -l /tmp/http.sock node examples/activated_http.ts
 *
 * A TCP port (`-l 8080`) works as well. The units:
 *
 *     # http.socket                      # http.service
 *     [Socket]                           [Service]
 *     ListenStream=/run/http.sock        Type=notify
 *     [Install]                          WatchdogSec=30
 *     WantedBy=sockets.target            ExecStart=/usr/bin/node /srv/activated_http.ts
 */

import { createServer } from "node:http";
import { createServer as createAcceptor } from "node:net";
import process from "node:process";
import { listenFds, notify, notifySync, startWatchdog } from "../systemd.ts";

const server = createServer((request, response) => {
  response.end(`${request.method} ${request.url} by ${process.pid}\n`);
});

/** Serves on a socket that listens already; returns what ends that. */
function serve(fd: number): () => void {
  // Bun's HTTP servers listen elsewhere, without a word, when they are given a descriptor; its
  // `node:net` accepts on it.
  const acceptor = process.versions.bun === undefined
    ? server
    : createAcceptor((connection) => void server.emit("connection", connection));
  acceptor.on("error", (error) => {
    console.error(error.message);
    process.exit(1);
  });
  acceptor.listen({ fd });
  return () => {
    acceptor.close();
    server.closeAllConnections();
  };
}

try {
  const passed = listenFds({ unsetEnvironment: true }).find(({ listening }) => listening);
  if (passed === undefined) throw new Error("Cannot serve: no socket that listens was passed");
  const stop = serve(passed.intoFd());
  startWatchdog({ onError: (error) => console.error(error) });
  await notify({ ready: true, status: `Serving ${passed.name}` });

  process.once("SIGTERM", () => {
    notifySync({ stopping: true });
    stop();
  });
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
