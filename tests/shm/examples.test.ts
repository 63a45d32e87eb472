import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { UnixListener, UnixStream } from "../../mod.ts";
import { assertOneLineError, exampleCommand, runExample } from "../support/examples.ts";
import {
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  TestProcess,
  withTempSocketPath,
} from "../support/mod.ts";
import { until } from "../support/waiting.ts";

const FRAMES = 25;

async function startProducer(
  runtime: RuntimeName,
  path: string,
  frames: number,
): Promise<TestProcess> {
  const command = exampleCommand(runtime, "shm_producer", [path, `${frames}`]);
  const producer = new TestProcess(command);
  await producer.waitFor("Listening on");
  return producer;
}

// The row and the column of this runtime: run on all three, they are the whole matrix.
const PAIRS = RUNTIMES.flatMap((from) => RUNTIMES.map((to) => [from, to] as const))
  .filter((pair) => pair.includes(RUNTIME));

for (const [from, to] of PAIRS) {
  test(`examples/shm_producer.ts on ${from} shows shm_consumer.ts on ${to} frames of 1080p`, () =>
    withTempSocketPath(async (path) => {
      await using producer = await startProducer(from, path, FRAMES);
      const seen = await runExample(to, "shm_consumer", [path]);
      assertEquals({ code: seen.code, stderr: seen.stderr }, { code: 0, stderr: "" });
      const found = /^(\d+) frames: (\d+) right, 0 wrong, (\d+) lost; \d+ late\n$/.exec(
        seen.stdout,
      );
      assert(found !== null, seen.stdout);
      const [frames, right, lost] = found.slice(1).map(Number);
      // How many it was quick enough for is the machine's affair; the last one stays.
      assertEquals([frames, right! + lost!], [FRAMES, FRAMES]);
      assert(right! >= 1);
      const { code, stdout, stderr } = await producer.finished;
      const expected = `Listening on ${path}\nDrew ${FRAMES} frames of 8294400 bytes\n`;
      assertEquals({ code, stdout, stderr }, { code: 0, stdout: expected, stderr: "" });
      assert(!existsSync(path));
    }));
}

test("examples/shm_producer.ts ends with one line when the consumer leaves", () =>
  withTempSocketPath(async (path) => {
    await using producer = await startProducer(RUNTIME, path, 100_000_000);
    const consumer = await UnixStream.connect(path);
    using message = await consumer.receiveMessage({ maxFds: 2 });
    assertEquals(message!.fds.length, 2);
    await consumer.writeAll(new Uint8Array(1));
    consumer.close();
    const { code, stderr } = await producer.finished;
    assertEquals(code, 1);
    assertMatch(stderr, /^The consumer left after \d+ frames\n$/);
  }));

test("examples/shm_consumer.ts ends with one line when the producer leaves", () =>
  withTempSocketPath(async (path) => {
    await using producer = await startProducer(RUNTIME, path, 100_000_000);
    await using consumer = new TestProcess(exampleCommand(RUNTIME, "shm_consumer", [path]));
    // Its path is gone when somebody has connected.
    await until(() => !existsSync(path), "the path to go");
    producer.kill("SIGKILL");
    await producer.finished;
    const { code, stderr } = await consumer.finished;
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^(The producer (left after \d+ frames|passed no memory)|Cannot [^\n]+)\n$/,
    );
  }));

test("examples/shm_consumer.ts refuses who passes nothing", () =>
  withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const running = runExample(RUNTIME, "shm_consumer", [path]);
    using stream = await listener.accept();
    await stream.writeAll(new Uint8Array(1));
    assertOneLineError(await running, "The producer passed no memory");
  }));

for (
  const [name, args] of [["shm_producer", []], ["shm_producer", ["/x", "0"]], [
    "shm_consumer",
    [],
  ]] as const
) {
  test(`examples/${name}.ts with arguments [${args}] prints its usage and exits with 2`, async () => {
    const { code, stdout, stderr } = await runExample(RUNTIME, name, [...args]);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assertMatch(stderr, new RegExp(`^Usage: ${name}\\.ts PATH[^\\n]*\\n$`));
  });
}
