import { test } from "node:test";
import { request as nodeRequest } from "node:http";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import process from "node:process";
import { join } from "@std/path";
import { UnixListener, UnixSocketError } from "../../mod.ts";
import { createFetch, type CreateFetchOptions, type ServerPeer } from "../../http.ts";
import {
  assertNoFdLeak,
  commandFor,
  ROOT,
  RUNTIMES,
  TestProcess,
  unlessProgram,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { python } from "../support/interop.ts";

const program = join(ROOT, "tests", "programs", "http_server.ts");

for (const runtime of RUNTIMES) {
  for (const how of ["own", "serve"]) {
    const name = how === "own" ? "that listens by itself" : "given connections by serve()";
    test(`fetch() talks to a node:http server of ${runtime} ${name}`, async () => {
      await withTempSocketPath(async (path) => {
        await using server = new TestProcess([...commandFor(runtime, program), how, path]);
        await server.waitFor("ready");
        using fetch = createFetch(path);
        const peer = how === "own" ? null : process.pid;
        for (const body of ["first", "second"]) {
          const answer = await fetch("/a?b", { method: "POST", body });
          assertEquals(await answer.json(), { method: "POST", url: "/a?b", body, peer });
        }
        const chunks = await (await fetch("/chunks")).text();
        assertEquals(chunks.split("\n").length, 10001);
        assertEquals(fetch.idle, 1);
        if (how === "own") return;
        const last = await fetch("/stop");
        assertEquals(last.status, 200);
        await last.text();
        const { code, stdout, stderr } = await server.finished;
        assertEquals({ code, stdout, stderr }, {
          code: 0,
          stdout: "ready\nfinished\n",
          stderr: "",
        });
      });
    });

    test(`a node:http client talks to a server of ${runtime} ${name}`, async () => {
      await withTempSocketPath(async (path) => {
        await using server = new TestProcess([...commandFor(runtime, program), how, path]);
        await server.waitFor("ready");
        const answer = await new Promise<string>((resolve, reject) => {
          const options = { socketPath: path, path: "/x", method: "PUT", agent: false as const };
          nodeRequest(options, async (response) => {
            let body = "";
            for await (const chunk of response) body += String(chunk);
            resolve(body);
          }).on("error", reject).end("from a client");
        });
        assertEquals(JSON.parse(answer).body, "from a client");
      });
    });
  }
}

test("fetch() talks to Python's http.server", { skip: unlessProgram("python3") }, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "http.sock");
    await using server = python(
      `
      import http.server, socketserver
      class Handler(http.server.BaseHTTPRequestHandler):
          protocol_version = args[1]
          def address_string(self): return "unix"
          def log_message(self, *words): pass
          def do_GET(self):
              self.send_response(200)
              if self.protocol_version == "HTTP/1.1": self.send_header("Content-Length", "5")
              self.end_headers()
              self.wfile.write(b"hello")
          def do_POST(self):
              body = self.rfile.read(int(self.headers["Content-Length"]))
              self.send_response(201, "Made it")
              self.send_header("Content-Length", str(len(body)))
              self.end_headers()
              self.wfile.write(body[::-1])
      class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
          daemon_threads = True
      server = Server(args[0], Handler)
      say("ready")
      server.serve_forever()
      `,
      [path, "HTTP/1.1"],
    );
    await server.line();
    using fetch = createFetch(path);
    assertEquals(await (await fetch("/")).text(), "hello");
    assertEquals(fetch.idle, 1);
    const posted = await fetch("/", { method: "POST", body: "abc" });
    assertEquals([posted.status, posted.statusText, await posted.text()], [201, "Made it", "cba"]);
    assertEquals(fetch.idle, 1);
  });
});

/** What happens to a connection when the server is checked this way. */
async function checked(
  authorize: CreateFetchOptions["authorize"],
): Promise<{ outcome: string; received: string }> {
  return await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    using fetch = createFetch(path, { authorize });
    const accepting = listener.accept();
    const fetching = fetch("/").then((response) => response.text(), (error) => {
      assertInstanceOf(error, TypeError);
      const { cause } = error;
      return cause instanceof UnixSocketError ? cause.code : String(cause);
    });
    using stream = await accepting;
    const buffer = new Uint8Array(1000);
    const count = await stream.read(buffer);
    if (count !== null) {
      await stream.writeAll(
        new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
      );
    }
    return { outcome: await fetching, received: count === null ? "nothing" : "a request" };
  });
}

const PASSED = { outcome: "ok", received: "a request" };
const REFUSED = { outcome: "EACCES", received: "nothing" };

test("fetch() sends nothing to a server that is not authorized", async () => {
  const [uid, gid, pid] = [process.getuid!(), process.getgid!(), process.pid];
  assertEquals(await checked({ uid: [uid] }), PASSED);
  assertEquals(await checked({ uid: [uid + 1] }), REFUSED);
  assertEquals(await checked({ gid: [gid] }), PASSED);
  assertEquals(await checked({ gid: [] }), REFUSED);
  assertEquals(await checked({ pid: [pid] }), PASSED);
  assertEquals(await checked({ pid: [1, pid], uid: [uid] }), PASSED);
  assertEquals(await checked({ pid: [pid], uid: [uid + 1] }), REFUSED);
  assertEquals(await checked({ pid: [pid + 1] }), REFUSED);
  assertEquals(await checked(() => true), PASSED);
  assertEquals(await checked(() => Promise.resolve(false)), REFUSED);
  const none = await checked((() => 1) as never);
  assertEquals(none.received, "nothing");
  assert(none.outcome.includes("true or false"), none.outcome);
  const thrown = await checked(() => {
    throw new Error("not today");
  });
  assertEquals(thrown, { outcome: "Error: not today", received: "nothing" });
});

test("authorize learns who listens, with a pidfd, and leaves no descriptor", async () => {
  await assertNoFdLeak(async () => {
    let seen: ServerPeer | undefined;
    await checked((server) => {
      seen = { ...server };
      using pidfd = server.pidfd();
      return pidfd !== null && pidfd.fd >= 0;
    });
    const { pid, uid, gid } = seen!;
    assertEquals([pid, uid, gid], [process.pid, process.getuid!(), process.getgid!()]);
    assertEquals(await checked(() => false), REFUSED);
  });
});

test("fetch() checks every new connection, and the pid of a server that has died", async () => {
  await withTempSocketPath(async (path) => {
    const server = new TestProcess([...commandFor("node", program), "own", path]);
    await using _server = server;
    await server.waitFor("ready");
    const { pid } = server;
    using fetch = createFetch(path, { authorize: { pid: [pid] }, maxIdle: 0 });
    assertEquals((await fetch("/")).status, 200);
    server.kill("SIGKILL");
    await server.finished;
    // Somebody else takes over the name.
    using _listener = UnixListener.listen(path);
    const error = await assertRejects(() => fetch("/"), TypeError);
    assertEquals((error.cause as UnixSocketError).code, "EACCES");
  });
});

test("createFetch() refuses arguments that make no sense", () => {
  assertThrows(() => createFetch({ kind: "unnamed" }), TypeError);
  assertThrows(() => createFetch(3 as never), TypeError);
  const wrong: [unknown, typeof Error][] = [
    [{ maxIdle: -1 }, RangeError],
    [{ maxIdle: "1" }, TypeError],
    [{ idleTimeout: 0 }, RangeError],
    [{ maxHeaderSize: 1 }, RangeError],
    [{ authorize: {} }, TypeError],
    [{ authorize: 1 }, TypeError],
    [{ authorize: { pid: 1 } }, TypeError],
    [{ authorize: { pid: [0] } }, RangeError],
    [{ signal: {} }, TypeError],
    [3, TypeError],
  ];
  for (const [options, kind] of wrong) {
    assertThrows(
      () => createFetch("/x", options as never),
      kind,
      undefined,
      JSON.stringify(options),
    );
  }
});
