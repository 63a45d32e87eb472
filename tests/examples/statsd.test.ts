import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { UnixDatagram } from "../../mod.ts";
import { StatsD } from "../../examples/statsd.ts";
import { receiveTexts, takeQueued } from "../support/datagrams.ts";
import { QUEUE } from "../support/queue.ts";
import { exampleCommand, runExample } from "../support/examples.ts";
import { python } from "../support/interop.ts";
import {
  RUNTIME,
  RUNTIMES,
  settled,
  TestProcess,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";
import { callsMade } from "../support/raw.ts";

/** An agent that says each datagram it gets, as JSON, until one says "end". */
const AGENT = `
agent = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
agent.bind(args[0])
say("ready")
while True:
    data = agent.recv(65536).decode()
    say(json.dumps(data))
    if data.endswith("end:1|c"):
        break
`;

/** No flush comes by itself. */
const NEVER = 0x7fff_ffff;

for (const runtime of RUNTIMES) {
  test(
    `examples/statsd.ts under ${runtime} sends every kind of metric in one datagram`,
    { skip: unlessProgram("python3") },
    async () => {
      await withTempSocketPath(async (path) => {
        await using agent = python(AGENT, [path]);
        await agent.line();
        const input = [
          "count page.views 1 env:dev region:eu",
          "gauge fuel 0.5",
          "timing request 320 env:dev",
          "histogram size 12.5",
          "set users alice",
          "count end 1",
        ];
        const args = [path, "--prefix", "shop.", "--interval", String(NEVER)];
        const finished = await runExample(runtime, "statsd", args, { input: input.join("\n") });
        assertEquals(finished, {
          code: 0,
          signal: null,
          stdout: "6 metrics sent, 0 dropped\n",
          stderr: "",
        });
        assertEquals((await agent.json<string>()).split("\n"), [
          "shop.page.views:1|c|#env:dev,region:eu",
          "shop.fuel:0.5|g",
          "shop.request:320|ms|#env:dev",
          "shop.size:12.5|h",
          "shop.users:alice|s",
          "shop.end:1|c",
        ]);
        await agent.succeeded();
      });
    },
  );

  test(
    `examples/statsd.ts under ${runtime} packs 5,000 metrics into datagrams of a size`,
    { skip: unlessProgram("python3") },
    async () => {
      await withTempSocketPath(async (path) => {
        await using agent = python(AGENT, [path]);
        await agent.line();
        const names = Array.from({ length: 5000 }, (_, i) => `metric.${i}`);
        const input = [...names, "end"].map((name) => `count ${name} 1`).join("\n");
        const args = [path, "--size", "1432", "--capacity", "1024", "--interval", String(NEVER)];
        const { code, stdout } = await runExample(runtime, "statsd", args, { input });
        assertEquals({ code, stdout }, { code: 0, stdout: "5001 metrics sent, 0 dropped\n" });
        const datagrams = (await agent.succeeded()).split("\n").slice(1, -1).map((line) =>
          JSON.parse(line) as string
        );
        assertEquals(datagrams.join("\n").split("\n").length, 5001);
        assertEquals(
          datagrams.join("\n").split("\n").map((line) => line.split(":")[0]),
          [...names, "end"],
        );
        const longest = "metric.4999:1|c\n".length;
        for (const [i, datagram] of datagrams.entries()) {
          assert(datagram.length <= 1432);
          if (i < datagrams.length - 1) assert(datagram.length > 1432 - longest);
        }
      });
    },
  );
}

test("examples/statsd.ts says which line it does not understand, and sends the others", async () => {
  await withTempSocketPath(async (path) => {
    using agent = UnixDatagram.bind(path);
    const input = "count good 1\nguess bad 1\ncount\ngauge fine 2\n";
    const finished = await runExample(RUNTIME, "statsd", [path], { input });
    assertEquals(finished, {
      code: 1,
      signal: null,
      stdout: "2 metrics sent, 0 dropped\n",
      stderr: 'Cannot understand "guess bad 1"\nCannot understand "count"\n',
    });
    assertEquals(await receiveTexts(agent, 1), ["good:1|c\nfine:2|g"]);
  });
});

test("examples/statsd.ts counts what it drops where no agent is there, and ends", async () => {
  await withTempSocketPath(async (path) => {
    const finished = await runExample(RUNTIME, "statsd", [path], { input: "count a 1\ncount b 1" });
    assertEquals(finished, {
      code: 0,
      signal: null,
      stdout: "0 metrics sent, 2 dropped\n",
      stderr: "",
    });
  });
});

test("examples/statsd.ts flushes while its input is open", async () => {
  await withTempSocketPath(async (path) => {
    using agent = UnixDatagram.bind(path);
    const args = [path, "--interval", "5"];
    await using client = new TestProcess(exampleCommand(RUNTIME, "statsd", args));
    client.write("count early 1\n");
    assertEquals(await receiveTexts(agent, 1), ["early:1|c"]);
    client.closeStdin();
    assertEquals((await client.finished).code, 0);
  });
});

test("StatsD flushes on its interval", async () => {
  await withTempSocketPath(async (path) => {
    using agent = UnixDatagram.bind(path);
    using statsd = new StatsD(path, { interval: 1 });
    statsd.count("first");
    assertEquals(await receiveTexts(agent, 1), ["first:1|c"]);
    statsd.gauge("second", 2);
    assertEquals(await receiveTexts(agent, 1), ["second:2|g"]);
    assertEquals([statsd.sent, statsd.dropped], [2, 0]);
  });
});

test("StatsD sends nothing before a flush, and all on close()", async () => {
  await withTempSocketPath(async (path) => {
    using agent = UnixDatagram.bind(path);
    const statsd = new StatsD(path, { interval: NEVER, tags: ["env:dev"] });
    statsd.timing("request", 320, "path:/");
    statsd.set("users", "alice");
    await settled();
    assertEquals(takeQueued(agent), []);
    statsd.close();
    assertEquals(takeQueued(agent), ["request:320|ms|#env:dev,path:/\nusers:alice|s|#env:dev"]);
    statsd.close();
    assertEquals([statsd.sent, statsd.dropped], [2, 0]);
  });
});

test("StatsD sends several datagrams by one sendmmsg", async () => {
  await withTempSocketPath(async (path) => {
    using agent = UnixDatagram.bind(path);
    using statsd = new StatsD(path, { interval: NEVER, size: 20 });
    for (let i = 0; i < 8; i++) statsd.count(`metric.${i}`);
    statsd.flush();
    assertEquals(takeQueued(agent), Array.from({ length: 8 }, (_, i) => `metric.${i}:1|c`));
    for (let i = 0; i < 8; i++) statsd.gauge(`metric.${i}`, i);
    const calls = await callsMade(() => statsd.flush());
    assertEquals(calls.filter((name) => name.startsWith("send")), ["sendmmsg"]);
    assertEquals(takeQueued(agent), Array.from({ length: 8 }, (_, i) => `metric.${i}:${i}|g`));
  });
});

test("StatsD drops and counts while the agent is away, and finds the next one", async () => {
  await withTempSocketPath((path) => {
    using statsd = new StatsD(path, { interval: NEVER });
    statsd.count("nobody");
    statsd.flush();
    assertEquals([statsd.sent, statsd.dropped], [0, 1]);

    const first = UnixDatagram.bind(path, { unlinkOnClose: false });
    statsd.count("one");
    statsd.flush();
    assertEquals(takeQueued(first), ["one:1|c"]);
    first.close();

    statsd.count("refused");
    statsd.flush();
    assertEquals([statsd.sent, statsd.dropped], [1, 2]);

    using second = UnixDatagram.bind(path);
    statsd.count("two");
    statsd.flush();
    assertEquals(takeQueued(second), ["two:1|c"]);
    assertEquals([statsd.sent, statsd.dropped], [2, 2]);
  });
});

test("StatsD keeps what a full agent does not take, up to its capacity, and drops the oldest", async () => {
  await withTempSocketPath((path) => {
    using agent = UnixDatagram.bind(path);
    using statsd = new StatsD(path, { interval: NEVER, size: 10, capacity: 4 });
    const add = (from: number, to: number) => {
      for (let i = from; i < to; i++) statsd.count(`m${i}`);
    };
    // Each metric is a datagram of its own.
    const end = 10 + QUEUE + 49;
    add(10, end);
    statsd.flush();
    const taken = takeQueued(agent);
    assertEquals(statsd.sent, taken.length);
    assertEquals(statsd.dropped, end - 10 - taken.length - 4);
    assertEquals(taken, Array.from({ length: taken.length }, (_, i) => `m${10 + i}:1|c`));
    statsd.flush();
    assertEquals(takeQueued(agent), [4, 3, 2, 1].map((i) => `m${end - i}:1|c`));
    assertEquals(statsd.sent + statsd.dropped, end - 10);
  });
});

test("StatsD drops a metric that is larger than a datagram, and nothing else", async () => {
  await withTempSocketPath((path) => {
    using agent = UnixDatagram.bind(path);
    using statsd = new StatsD(path, { interval: NEVER, size: 20 });
    statsd.count("before");
    statsd.count("x".repeat(30));
    statsd.count("after");
    statsd.flush();
    assertEquals(takeQueued(agent), ["before:1|c\nafter:1|c"]);
    assertEquals([statsd.sent, statsd.dropped], [2, 1]);
  });
});

test("StatsD lets no name, value or tag forge another metric", async () => {
  await withTempSocketPath((path) => {
    using agent = UnixDatagram.bind(path);
    using statsd = new StatsD(path, { interval: NEVER });
    statsd.set("a:1|c\nb", "x|g\ny:2", "t:1,u\nz:9|c", "v#@");
    statsd.flush();
    assertEquals(takeQueued(agent), ["a_1_c_b:x_g_y:2|s|#t:1_u_z:9_c,v__"]);
  });
});
