import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { UnixStream } from "../../mod.ts";
import {
  bytes,
  commandFor,
  type Finished,
  readText,
  ROOT,
  run,
  RUNTIME,
  withSocketPair,
  withTempDir,
  withTempSocketPath,
} from "../support/mod.ts";
import { startWorker, type WorkerKind } from "../support/workers.ts";
import type { Refused } from "../support/refuse.ts";

/** Node.js has only those of `node:worker_threads`. */
const kinds: readonly WorkerKind[] = RUNTIME === "node" ? ["threads"] : ["threads", "web"];

const program = join(ROOT, "tests/programs", "with_workers.ts");

function withWorkers(what: string, kind: WorkerKind, way = ""): Promise<Finished> {
  const command = [...commandFor(RUNTIME, program), what, kind];
  return withTempDir((directory) => run([...command, directory, way]));
}

async function says(
  what: string,
  kind: WorkerKind,
  expected: string,
  way?: Refused,
): Promise<void> {
  const { code, signal, stdout, stderr } = await withWorkers(what, kind, way);
  assertEquals({ code, signal, stdout, stderr }, {
    code: 0,
    signal: null,
    stdout: expected,
    stderr: "",
  });
}

for (const kind of kinds) {
  test(`${kind}: a listener and its client work within a Worker`, async () => {
    await withTempSocketPath(async (path) => {
      const worker = startWorker(kind, { what: "echo", path });
      assertEquals(await worker.next(), "done");
      await worker.terminate();
    });
  });

  test(`${kind}: several Workers and the main thread use sockets at the same time`, async () => {
    await withTempDir(async (directory) => {
      const workers = Array.from(
        { length: 4 },
        (_, index) => startWorker(kind, { what: "echo", path: join(directory, `${index}`) }),
      );
      const answers = Promise.all(workers.map((worker) => worker.next()));
      await withSocketPair(async (a, b) => {
        for (let i = 0; i < 200; i++) {
          const reading = readText(b);
          await a.writeAll(bytes(`${i}`));
          assertEquals(await reading, `${i}`);
        }
      });
      assertEquals(await answers, ["done", "done", "done", "done"]);
      await Promise.all(workers.map((worker) => worker.terminate()));
    });
  });

  test(`${kind}: a Worker serves connections of the main thread`, async () => {
    await withTempSocketPath(async (path) => {
      const worker = startWorker(kind, { what: "serve", path });
      assertEquals(await worker.next(), "ready");
      const answers = await Promise.all(
        Array.from({ length: 5 }, async (_, index) => {
          using stream = await UnixStream.connect(path);
          await stream.writeAll(bytes(`${index}`));
          return await readText(stream);
        }),
      );
      assertEquals(answers, ["0", "1", "2", "3", "4"]);
      await worker.terminate();
    });
  });

  for (const what of ["terminate", "terminate many", "terminate busy"]) {
    test(`${kind}: Worker.terminate() while sockets wait (${what}) harms nobody`, async () => {
      await says(what, kind, "ok\n");
    });
  }

  for (const what of ["exit", "end"]) {
    const skip = what === "end" && kind === "web" && RUNTIME === "deno" &&
      "Deno's web Worker has no unref()";
    test(
      `${kind}: a process ends (${what}) while a Worker waits for sockets`,
      { skip },
      async () => {
        await says(what, kind, "ok\n");
      },
    );
  }

  test(`${kind}: an uncaught error ends a process while a Worker waits for sockets`, async () => {
    const { code, signal, stderr } = await withWorkers("throw", kind);
    assertEquals({ code, signal }, { code: 1, signal: null });
    assertStringIncludes(stderr, "nobody catches this");
  });

  test(`${kind}: a pending accept keeps a Worker and its process alive`, async () => {
    await says("worker stays", kind, "ok\nstill alive\n");
  });
}

test("a Worker that left its sockets open, with nothing pending, ends by itself", async () => {
  await says("worker ends", "threads", "ok\n");
});

for (const refused of [undefined, "io_uring", "syscalls"] as const) {
  const where = refused === undefined ? "" : `, where the kernel refuses ${refused}`;
  test(`Workers that end by themselves leave nothing that the library waits with${where}`, async () => {
    await says("worker leaves", "threads", "ok\n", refused);
  });
}

for (const kind of kinds) {
  for (const what of ["terminate", "terminate many", "exit"]) {
    for (const refused of ["io_uring", "syscalls"] as const) {
      test(`${kind}: ${what} is safe too where the kernel refuses ${refused}`, async () => {
        await says(what, kind, "ok\n", refused);
      });
    }
  }
}
