import { get } from "node:http";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { UnixDatagram } from "../../mod.ts";
import { assertOneLineError } from "../support/examples.ts";
import {
  commandFor,
  ROOT,
  run,
  type RuntimeName,
  RUNTIMES,
  TestProcess,
  unlessProgram,
  withTempDir,
} from "../support/mod.ts";
import { activate, nextLines, withManager } from "../support/systemd.ts";

/** The command of the example, with no more permissions than its head comment asks for. */
function command(runtime: RuntimeName): string[] {
  const script = join(ROOT, "examples", "activated_http.ts");
  const flags = runtime === "deno" ? ["--allow-env"] : [];
  return commandFor(runtime, script, { allowAll: false, flags });
}

function request(where: { socketPath: string } | { port: number }, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = "port" in where ? { ...where, host: "127.0.0.1" } : where;
    get({ ...options, path, agent: false }, async (response) => {
      let body = "";
      for await (const chunk of response) body += String(chunk);
      resolve(body);
    }).on("error", reject);
  });
}

/** Asserts that the service says what it has to, and ends by itself on SIGTERM. */
async function assertStops(service: TestProcess, manager: UnixDatagram): Promise<void> {
  service.kill("SIGTERM");
  assertEquals(await nextLines(manager), ["STOPPING=1"]);
  const { code, signal, stdout } = await service.finished;
  assertEquals({ code, signal, stdout }, { code: 0, signal: null, stdout: service.stdout });
}

for (const runtime of RUNTIMES) {
  test(
    `examples/activated_http.ts under ${runtime} serves on the socket of systemd-socket-activate`,
    { skip: unlessProgram("systemd-socket-activate") },
    async () => {
      await withTempDir(async (directory) => {
        const socketPath = join(directory, "http.sock");
        await withManager(async (manager, path) => {
          await using service = new TestProcess([
            "systemd-socket-activate",
            `--listen=${socketPath}`,
            "--fdname=web",
            `--setenv=NOTIFY_SOCKET=${path}`,
            ...command(runtime),
          ]);
          await service.waitFor("Listening on", "stderr");
          const answers = await Promise.all([0, 1, 2].map((i) => request({ socketPath }, `/${i}`)));
          assertEquals(answers, [0, 1, 2].map((i) => `GET /${i} by ${service.pid}\n`));
          assertEquals(await nextLines(manager), ["READY=1", "STATUS=Serving web"]);
          await assertStops(service, manager);
        });
      });
    },
  );

  test(
    `examples/activated_http.ts under ${runtime} serves on a TCP port, with a watchdog`,
    { skip: unlessProgram("python3") },
    async () => {
      await withManager(async (manager, path) => {
        const env = {
          LISTEN_PID: "PID",
          LISTEN_FDS: "2",
          WATCHDOG_PID: "PID",
          WATCHDOG_USEC: "3600000000",
          NOTIFY_SOCKET: path,
        };
        await using service = activate(["pipe", "tcp"], env, command(runtime));
        const port = await service.json<number>();
        const answer = await request({ port }, "/tcp");
        assertEquals(answer, `GET /tcp by ${service.pid}\n`);
        assertEquals(await nextLines(manager), ["WATCHDOG=1"]);
        assertEquals(await nextLines(manager), ["READY=1", "STATUS=Serving unknown"]);
        await assertStops(service, manager);
      });
    },
  );

  test(`examples/activated_http.ts under ${runtime} says in one line that nothing was passed`, async () => {
    const finished = await run(command(runtime), { env: { LISTEN_PID: "" } });
    assertOneLineError(finished, "Cannot serve: no socket that listens was passed");
  });
}
