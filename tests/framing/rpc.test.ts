import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { UnixSocketError, UnixStream } from "../../mod.ts";
import {
  ContentLengthFraming,
  type FramedStream,
  type Framing,
  FramingError,
  LineFraming,
  RpcCode,
  RpcConnection,
  RpcError,
  type RpcOptions,
} from "../../framing.ts";
import { assertNoFdLeak, bytes, readText, settled } from "../support/mod.ts";
import { isPending, reactorTurn, until } from "../support/waiting.ts";

type Make = (stream: FramedStream) => Framing;
const FRAMINGS: [name: string, make: Make][] = [
  ["lines", (stream) => new LineFraming(stream)],
  ["Content-Length", (stream) => new ContentLengthFraming(stream)],
];

function connected(make: Make, a: RpcOptions, b: RpcOptions): [RpcConnection, RpcConnection] {
  const [one, other] = UnixStream.pair();
  return [new RpcConnection(make(one), a), new RpcConnection(make(other), b)];
}

/** A connection, and the raw lines of its peer. */
function raw(options: RpcOptions, maxLength = 65536): {
  rpc: RpcConnection;
  own: UnixStream;
  peer: UnixStream;
  tell(line: unknown): Promise<void>;
  hear(): Promise<unknown>;
} {
  const [own, peer] = UnixStream.pair();
  const rpc = new RpcConnection(new LineFraming(own, { maxLength }), options);
  let rest = "";
  return {
    rpc,
    own,
    peer,
    tell: (line) =>
      peer.writeAll(bytes(`${typeof line === "string" ? line : JSON.stringify(line)}\n`)),
    async hear() {
      while (!rest.includes("\n")) {
        const more = await readText(peer);
        if (more === null) return undefined;
        rest += more;
      }
      const [line, ...others] = rest.split("\n");
      rest = others.join("\n");
      return JSON.parse(line!);
    },
  };
}

const sum = (params: unknown) => (params as number[]).reduce((a, b) => a + b, 0);

for (const [name, make] of FRAMINGS) {
  test(`RpcConnection over ${name} calls both ways, many at once`, async () => {
    await assertNoFdLeak(async () => {
      const [a, b] = connected(make, {
        handlers: { half: (params) => sum(params) / 2 },
      }, {
        handlers: {
          sum,
          average: async (params, { connection }) => await connection.request("half", params as []),
          nothing: () => undefined,
          named: (params) => params,
        },
      });
      using _b = b;
      assertEquals(await a.request("sum", [1, 2, 3]), 6);
      assertEquals(await a.request("average", [4, 6]), 5);
      assertEquals(await a.request("nothing"), null);
      assertEquals(await a.request("named", { x: [1] }), { x: [1] });
      const many = Array.from({ length: 60 }, (_, i) => a.request("sum", [i, i]));
      assertEquals(await Promise.all(many), many.map((_, i) => 2 * i));
      a.close();
      await a.finished;
      await b.finished.catch((error) => assertInstanceOf(error, UnixSocketError));
    });
  });
}

test("answers find their requests in whatever order they come", async () => {
  const { rpc, peer, tell, hear } = raw({});
  using _rpc = rpc;
  using _peer = peer;
  const first = rpc.request("a");
  const second = rpc.request("b", { c: 1 });
  assertEquals(await hear(), { jsonrpc: "2.0", method: "a", id: 1 });
  assertEquals(await hear(), { jsonrpc: "2.0", method: "b", params: { c: 1 }, id: 2 });
  await tell({ jsonrpc: "2.0", id: 2, result: "two" });
  await tell({ jsonrpc: "2.0", id: 1, error: { code: 7, message: "no", data: [1] } });
  assertEquals(await second, "two");
  const error = await assertRejects(() => first, RpcError, "no");
  assertEquals([error.code, error.data], [7, [1]]);
});

test("errors are those of the specification", async () => {
  const told: unknown[] = [];
  const { rpc, peer, tell, hear } = raw({
    handlers: {
      refuses: () => {
        throw new RpcError(RpcCode.InvalidParams, "not these", { why: 1 });
      },
      fails: () => {
        throw new Error("a secret");
      },
      circle: () => {
        const circle: unknown[] = [];
        circle.push(circle);
        return circle;
      },
      ok: (params) => params ?? "ok",
    },
    onError: (error) => told.push(error),
    maxBatch: 3,
  });
  using _rpc = rpc;
  using _peer = peer;
  const code = async (message: unknown) => {
    await tell(message);
    const answer = await hear() as { id: unknown; error?: { code: number; message: string } };
    return [answer.id, answer.error?.code];
  };
  const call = { jsonrpc: "2.0", id: 1 };
  assertEquals(await code("{"), [null, -32700]);
  assertEquals(await code("[]"), [null, -32600]);
  assertEquals(await code("1"), [null, -32600]);
  assertEquals(await code({ id: 5, method: "ok" }), [5, -32600]);
  assertEquals(await code({ ...call, method: 1 }), [1, -32600]);
  assertEquals(await code({ ...call, method: "ok", id: {} }), [null, -32600]);
  assertEquals(await code({ ...call, method: "ok", params: 1 }), [1, -32600]);
  assertEquals(await code({ ...call, method: "missing" }), [1, -32601]);
  for (const method of ["constructor", "__proto__", "toString"]) {
    assertEquals(await code({ ...call, method }), [1, -32601]);
  }
  assertEquals(await code({ ...call, method: "refuses" }), [1, -32602]);
  await tell({ ...call, id: "x", method: "fails" });
  assertEquals(await hear(), {
    jsonrpc: "2.0",
    id: "x",
    error: { code: -32603, message: "Internal error" },
  });
  assertEquals(await code({ ...call, method: "circle" }), [1, -32603]);
  assertEquals(told.map((error) => (error as Error).name), ["Error", "TypeError"]);
  await tell({ ...call, id: null, method: "ok" });
  assertEquals(await hear(), { jsonrpc: "2.0", id: null, result: "ok" });
  // A batch, of which only what is no notification is answered.
  await tell([{ ...call, method: "ok" }, { jsonrpc: "2.0", method: "ok" }, 1]);
  assertEquals((await hear() as unknown[]).length, 2);
  assertEquals(await code([1, 2, 3, 4]), [null, -32600]);
  await tell([{ jsonrpc: "2.0", method: "ok" }]);
  assertEquals(await code({ ...call, method: "ok" }), [1, undefined]);
});

test("answers that make no sense are told, and never answered", async () => {
  const told: unknown[] = [];
  const { rpc, peer, tell, hear } = raw({
    handlers: { ok: () => "ok" },
    onError: (error) => told.push(error),
  });
  using _rpc = rpc;
  using _peer = peer;
  await tell({ jsonrpc: "2.0", id: 9, result: 1 });
  await tell({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "Parse error" } });
  const asked = rpc.request("a");
  await hear();
  await tell({ jsonrpc: "2.0", id: 1, result: 1, error: { code: 1, message: "both" } });
  await assertRejects(() => asked, Error, "a result and an error");
  await tell({ jsonrpc: "2.0", id: 2, method: "ok" });
  assertEquals(await hear(), { jsonrpc: "2.0", id: 2, result: "ok" });
  assertEquals(told.length, 2);
});

test("an abort rejects at once, cancels at the peer, and drops a late answer", async () => {
  const aborted = Promise.withResolvers<unknown>();
  const [a, b] = connected(FRAMINGS[0]![1], {}, {
    handlers: {
      slow: (_params, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            aborted.resolve(signal.reason);
            reject(signal.reason);
          });
        }),
      quick: () => 1,
    },
  });
  using _a = a;
  using _b = b;
  const controller = new AbortController();
  const slow = a.request("slow", [], { signal: controller.signal });
  assertEquals(await a.request("quick"), 1);
  controller.abort(new Error("enough"));
  await assertRejects(() => slow, Error, "enough");
  assertInstanceOf(await aborted.promise, Error);
  assertEquals(await a.request("quick"), 1);
  await assertRejects(() => a.request("quick", [], { signal: AbortSignal.abort() }));
});

test("closing rejects what is pending, and tells running handlers", async () => {
  const started = Promise.withResolvers<AbortSignal>();
  const [a, b] = connected(FRAMINGS[1]![1], {}, {
    handlers: {
      never: (_params, { signal }) => {
        started.resolve(signal);
        return new Promise(() => {});
      },
    },
  });
  const pending = a.request("never");
  const signal = await started.promise;
  b.close();
  assert(signal.aborted);
  await assertRejects(() => pending, Error, "has ended");
  await assertRejects(() => a.request("more"), Error, "has ended");
  await assertRejects(() => b.notify("more"), Error, "has ended");
  await b.finished;
  a.close();
  b.close();
});

test("a peer that ends its writing still gets its answers", async () => {
  const gate = Promise.withResolvers<void>();
  const { rpc, peer, tell, hear } = raw({ handlers: { late: () => gate.promise.then(() => 1) } });
  await tell({ jsonrpc: "2.0", id: 1, method: "late" });
  peer.closeWrite();
  assert(await isPending(rpc.finished));
  gate.resolve();
  assertEquals(await hear(), { jsonrpc: "2.0", id: 1, result: 1 });
  assertEquals(await hear(), undefined);
  await rpc.finished;
  peer.close();
});

test("no more calls run at once than maxConcurrent, and reading pauses", async () => {
  let [running, most] = [0, 0];
  const gates: (() => void)[] = [];
  const { rpc, peer, tell, hear } = raw({
    maxConcurrent: 2,
    handlers: {
      wait: async () => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => gates.push(resolve));
        running--;
      },
    },
  });
  using _rpc = rpc;
  using _peer = peer;
  for (let id = 1; id <= 10; id++) await tell({ jsonrpc: "2.0", id, method: "wait" });
  for (let answered = 0; answered < 10; answered++) {
    while (gates.length === 0) await settled();
    gates.shift()!();
    assertEquals((await hear() as { result: unknown }).result, null);
  }
  assertEquals(most, 2);
});

/** Runs a body that lets the seconds of repeating timers pass. */
async function withSeconds(body: (pass: (seconds: number) => void) => Promise<void>) {
  const { setInterval, clearInterval } = globalThis;
  const timers = new Map<unknown, () => void>();
  Object.assign(globalThis, {
    setInterval: (action: () => void) => {
      const timer = {};
      timers.set(timer, action);
      return timer;
    },
    clearInterval: (timer: unknown) => timers.delete(timer),
  });
  try {
    await body((seconds) => {
      for (let i = 0; i < seconds; i++) for (const action of [...timers.values()]) action();
    });
    assertEquals(timers.size, 0);
  } finally {
    Object.assign(globalThis, { setInterval, clearInterval });
  }
}

const lines = (values: unknown[]) =>
  bytes(values.map((value) => JSON.stringify(value) + "\n").join(""));
const call = (id: number) => ({ jsonrpc: "2.0", id, method: "wait" });

test("while requests are open, calls beyond maxConcurrent are refused, and a flood cuts off", async () => {
  await withSeconds(async (pass) => {
    const { rpc, own, peer, tell, hear } = raw({
      maxConcurrent: 1,
      handlers: { wait: () => new Promise(() => {}) },
    });
    using _peer = peer;
    const asked = rpc.request("ask");
    asked.catch(() => {});
    await hear();
    await tell(call(1));
    await tell(call(2));
    assertEquals((await hear() as { error: { code: number } }).error.code, RpcCode.Busy);
    await tell({ jsonrpc: "2.0", id: 0, result: "ignored" });
    const flood = peer.writeAll(lines(Array.from({ length: 20_000 }, (_, i) => call(i + 2))));
    flood.catch(() => {});
    const stuck = async () => {
      for (let before = -1; before !== own.bytesWritten;) {
        before = own.bytesWritten;
        await reactorTurn();
      }
    };
    await stuck();
    pass(5);
    // What the peer takes counts from anew.
    await peer.read(new Uint8Array(100_000));
    await stuck();
    pass(5);
    assert(await isPending(rpc.finished));
    pass(1);
    await assertRejects(() => asked, Error, "has ended");
    await assertRejects(() => rpc.finished, Error, "does not take the answers");
    await flood.catch(() => {});
  });
});

test("a large answer that is taken slowly cuts nobody off", async () => {
  const large = "x".repeat(2_000_000);
  await withSeconds(async (pass) => {
    const { rpc, own, peer, tell } = raw(
      { maxConcurrent: 1, handlers: { wait: () => large } },
      4_000_000,
    );
    using _rpc = rpc;
    using _peer = peer;
    rpc.request("ask").catch(() => {});
    await tell(call(1));
    await tell(call(2));
    const buffer = new Uint8Array(300_000);
    for (let taken = 0; taken < large.length;) {
      const { bytesWritten } = own;
      const count = await peer.read(buffer);
      assert(count !== null, "the connection ended");
      taken += count;
      if (taken < large.length) {
        await until(() => own.bytesWritten > Math.min(bytesWritten, large.length), "more of it");
      }
      pass(3);
    }
    assert(own.bytesWritten > large.length);
    assert(await isPending(rpc.finished));
    rpc.close();
    await rpc.finished;
  });
});

test("many calls at once pause reading while requests are open, however long they take", async () => {
  const gate = Promise.withResolvers<void>();
  let [running, most, handled] = [0, 0, 0];
  await withSeconds(async (pass) => {
    const { rpc, peer, tell } = raw({
      maxConcurrent: 2,
      handlers: {
        wait: async () => {
          most = Math.max(most, ++running);
          await gate.promise;
          running--;
          handled++;
        },
      },
    });
    using _rpc = rpc;
    using _peer = peer;
    const asked = rpc.request("ask");
    const controller = new AbortController();
    const aborted = rpc.request("ask", [], { signal: controller.signal });
    await peer.writeAll(lines(Array(50).fill({ jsonrpc: "2.0", method: "wait" })));
    await tell({ jsonrpc: "2.0", id: 1, result: "at last" });
    await until(() => running === 4, "four calls");
    pass(1000);
    assert(await isPending(Promise.race([asked, aborted, rpc.finished])));
    controller.abort(new Error("enough"));
    await assertRejects(() => aborted, Error, "enough");
    gate.resolve();
    assertEquals(await asked, "at last");
    await until(() => handled === 50, "all calls");
    assertEquals(most, 4);
  });
});

test("the calls of a batch run one after the other, and are no reason to refuse each other", async () => {
  const { rpc, peer, tell, hear } = raw({
    maxConcurrent: 1,
    handlers: { ok: async () => await Promise.resolve("ok"), wait: () => new Promise(() => {}) },
  });
  using _rpc = rpc;
  using _peer = peer;
  const batch = [1, 2, 3].map((id) => ({ jsonrpc: "2.0", id, method: "ok" }));
  const answers = batch.map(({ id }) => ({ jsonrpc: "2.0", id, result: "ok" }));
  await tell(batch);
  assertEquals(await hear(), answers);
  const asked = rpc.request("ask");
  await hear();
  await tell(batch);
  assertEquals(await hear(), answers);
  await tell(call(4));
  await tell(batch);
  const codes = (await hear() as { error: { code: number } }[]).map(({ error }) => error.code);
  assertEquals(codes, Array(3).fill(RpcCode.Busy));
  await tell({ jsonrpc: "2.0", id: 1, result: "answered" });
  assertEquals(await asked, "answered");
});

test("what breaks the framing ends the connection with it", async () => {
  const { rpc, peer } = raw({});
  const asked = rpc.request("x");
  asked.catch(() => {});
  await peer.writeAll(new Uint8Array(70000).fill(32)).catch(() => {});
  const error = await assertRejects(() => rpc.finished, FramingError);
  assertEquals(error.code, "limit");
  assertEquals((await assertRejects(() => asked, Error)).cause, error);
  peer.close();
});

test("a stream that cannot be closed ends the connection all the same, and says why", async () => {
  for (const fails of [false, true]) {
    const read = Promise.withResolvers<null>();
    const problems: string[] = [];
    const stream: FramedStream = {
      read: () => read.promise,
      writeAll: () => Promise.resolve(),
      close() {
        throw new Error("it cannot be closed");
      },
    };
    const onError = (error: unknown) => void problems.push((error as Error).message);
    const rpc = new RpcConnection(new LineFraming(stream), { onError });
    const asking = assertRejects(() => rpc.request("any"));
    if (fails) read.reject(new Error("it cannot be read"));
    else read.resolve(null);
    await rpc.finished.then(
      () => assert(!fails),
      (error) => assertEquals((error as Error).message, "it cannot be read"),
    );
    await asking;
    assertEquals(problems, ["it cannot be closed"]);
  }
});

test("RpcConnection refuses what it cannot use", async () => {
  const [a, b] = UnixStream.pair();
  const framing = new LineFraming(a);
  const wrong: [unknown, typeof Error][] = [
    [{ handlers: { a: 1 } }, TypeError],
    [{ handlers: 1 }, TypeError],
    [{ onError: 1 }, TypeError],
    [{ cancelMethod: 1 }, TypeError],
    [{ maxConcurrent: 0 }, RangeError],
    [{ maxBatch: 1.5 }, RangeError],
    [1, TypeError],
  ];
  for (const [options, kind] of wrong) {
    assertThrows(() => new RpcConnection(framing, options as never), kind);
  }
  assertThrows(() => new RpcConnection({} as never), TypeError);
  assertThrows(() => new RpcError(1.5, "x"), TypeError);
  using rpc = new RpcConnection(framing);
  await assertRejects(() => rpc.request(1 as never), TypeError);
  await assertRejects(() => rpc.request("a", 1 as never), TypeError);
  await assertRejects(() => rpc.notify("a", [1n]), TypeError);
  await assertRejects(() => rpc.request("a", [1n]), TypeError);
  b.close();
});
