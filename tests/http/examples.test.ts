import { createServer } from "node:http";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { UnixListener, UnixStream } from "../../mod.ts";
import { ContentLengthFraming, LineFraming, RpcConnection } from "../../framing.ts";
import { serve } from "../../http.ts";
import {
  assertEndsClean,
  assertOneLineError,
  exampleCommand,
  runExample,
} from "../support/examples.ts";
import { freshName } from "../support/interop.ts";
import { RUNTIMES, TestProcess, withTempSocketPath } from "../support/mod.ts";
import process from "node:process";

for (const runtime of RUNTIMES) {
  test(`examples/http_fetch.ts under ${runtime} gets and posts over an abstract name`, async () => {
    const name = freshName();
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => body += chunk).on("end", () => {
        if (request.url === "/missing") response.statusCode = 404;
        response.end(`${request.method} ${request.url} ${body}`);
      });
    });
    await using _service = serve(UnixListener.listen(`\0${name}`), server);
    const got = await runExample(runtime, "http_fetch", [`@${name}`, "/a"]);
    assertEquals([got.code, got.stdout, got.stderr], [0, "GET /a ", "200 OK\n"]);
    const input = "x".repeat(200_000);
    const posted = await runExample(runtime, "http_fetch", [`@${name}`, "/b"], { input });
    assertEquals([posted.code, posted.stdout], [0, `POST /b ${input}`]);
    const missing = await runExample(runtime, "http_fetch", [`@${name}`, "/missing"]);
    assertEquals([missing.code, missing.stderr], [1, "404 Not Found\n"]);
    const nobody = await runExample(runtime, "http_fetch", [`@${freshName()}`]);
    assertEquals(nobody.code, 1);
    assertOneLineError(nobody, nobody.stderr.trimEnd());
  });

  test(`examples/json_rpc_server.ts under ${runtime} answers in either framing`, async () => {
    for (const flags of [[], ["--lines"]]) {
      await withTempSocketPath(async (path) => {
        const command = exampleCommand(runtime, "json_rpc_server", [path, ...flags]);
        await using server = new TestProcess(command);
        await server.waitFor("Listening on");
        const stream = await UnixStream.connect(path);
        const Framing = flags.length === 0 ? ContentLengthFraming : LineFraming;
        const left: unknown[] = [];
        const handlers = { left: (params: unknown) => void left.push(params) };
        const rpc = new RpcConnection(new Framing(stream), { handlers });
        assertEquals(await rpc.request("add", [1, 2]), 3);
        assertEquals((await rpc.request("whoami") as { pid: number }).pid, process.pid);
        assertEquals(await rpc.request("countdown", [2]), "done");
        assertEquals(left, [[2], [1]]);
        rpc.close();
        server.kill("SIGTERM");
        await assertEndsClean(server, path);
      });
    }
  });
}
