import { get } from "node:http";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { commandFor, ROOT, RUNTIME, RUNTIMES, TestProcess, withTempDir } from "../support/mod.ts";

/** One request of an HTTP server that listens on a path. */
function request(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, agent: false }, async (response) => {
      let body = "";
      for await (const chunk of response) body += String(chunk);
      resolve(body);
    }).on("error", reject);
  });
}

const example = (name: string) => join(ROOT, "examples", `${name}.ts`);

for (const worker of RUNTIMES) {
  test(`examples/http_worker.ts on ${worker} serves the connections of http_acceptor.ts`, async () => {
    await withTempDir(async (directory) => {
      const [http, control] = [join(directory, "http.sock"), join(directory, "control.sock")];
      const command = [...commandFor(RUNTIME, example("http_acceptor")), http, control];
      await using acceptor = new TestProcess(command);
      await acceptor.waitFor("listening");
      const serving = [...commandFor(worker, example("http_worker")), control];
      await using first = new TestProcess(serving);
      await acceptor.waitFor("worker 1");
      await using second = new TestProcess(serving);
      await acceptor.waitFor("worker 2");

      const answers = [];
      for (let i = 0; i < 4; i++) answers.push(await request(http, `/${i}`));
      const [one, two] = [first.pid, second.pid];
      assertEquals(answers, [one, two, one, two].map((pid, i) => `GET /${i} by ${pid}\n`));
    });
  });
}
