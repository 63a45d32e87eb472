/**
 * A server of `node:http`: `http_server.ts own|serve PATH`, which listens by itself or is given the
 * connections of a UnixListener. Prints `ready`. It answers with what it was sent and by whom;
 * `/chunks` comes in chunks, `/upgrade` leaves HTTP and echoes. `/stop` ends the service.
 */

import { createServer } from "node:http";
import process from "node:process";
import { UnixListener } from "../../mod.ts";
import { type HttpService, peerCredentialsOf, serve } from "../../http.ts";

const [how, path] = process.argv.slice(2) as [string, string];
let service: HttpService | null = null;

const server = createServer((request, response) => {
  const chunks: Uint8Array[] = [];
  request.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
    const { method, url } = request;
    if (url === "/chunks") {
      for (let i = 0; i < 100; i++) response.write(`${i}\n`.repeat(100));
      response.end();
      return;
    }
    const body = chunks.map((chunk) => new TextDecoder().decode(chunk)).join("");
    const peer = service === null ? null : peerCredentialsOf(request)?.pid;
    response.end(JSON.stringify({ method, url, body, peer }));
    if (url === "/stop") void service?.shutdown();
  });
});

if (how === "own") server.listen(path, () => console.log("ready"));
else {
  service = serve(UnixListener.listen(path), server);
  console.log("ready");
  await service.finished;
  console.log("finished");
}
