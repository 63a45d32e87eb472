/**
 * Runs in a Worker, of `node:worker_threads` or of the web. The first message says what to do; the
 * answers are "ready" and, where the work ends, "done" or what went wrong.
 */

import process from "node:process";
import { isMainThread, parentPort } from "node:worker_threads";
import { refuse, type Refused } from "../support/refuse.ts";
import { UnixListener, UnixStream } from "../../mod.ts";

export interface Job {
  what:
    | "echo"
    | "wait"
    | "serve"
    | "idle"
    | "end"
    | "exit"
    | "end waiting"
    | "end closing"
    | "exit of the runtime";
  path: string;
  /** What the kernel is to refuse, so that another way to wait is taken. */
  way?: string;
}

interface WebScope {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: Job }) => void) | null;
}

const scope = globalThis as unknown as WebScope;
const threads = parentPort !== null && !isMainThread;
const answer = (message: string) =>
  threads ? parentPort!.postMessage(message) : scope.postMessage(message);

const byte = () => new Uint8Array(1);
const kept: unknown[] = [];

/** A server and a client, both here. */
async function echo(path: string): Promise<void> {
  const listener = UnixListener.listen(path);
  const served = (async () => {
    const stream = await listener.accept();
    for await (const chunk of stream) await stream.writeAll(chunk);
    stream.close();
  })();
  const client = await UnixStream.connect(path);
  const buffer = new Uint8Array(8);
  for (let i = 0; i < 200; i++) {
    const reading = client.read(buffer);
    await client.writeAll(Uint8Array.of(i, 255 - i));
    if (await reading !== 2 || buffer[0] !== i || buffer[1] !== 255 - i) {
      throw new Error(`round ${i} came back as ${buffer}`);
    }
  }
  client.close();
  await served;
  listener.close();
}

/** Operations of every kind that never finish. */
async function wait(path: string): Promise<void> {
  const listener = UnixListener.listen(path);
  const accepting = listener.accept();
  const client = await UnixStream.connect(path);
  kept.push(client, await accepting);
  listener.accept().catch(() => {});
  client.read(byte()).catch(() => {});
  for (let i = 0; i < 5; i++) {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.read(byte()).catch(() => {});
    a.writeAll(new Uint8Array(1_000_000)).catch(() => {});
  }
}

/** Answers connections from elsewhere until it is ended. */
function serve(path: string): void {
  const listener = UnixListener.listen(path);
  (async () => {
    for await (const stream of listener) {
      (async () => {
        for await (const chunk of stream) await stream.writeAll(chunk);
        stream.close();
      })().catch(() => stream.close());
    }
  })();
}

/** Waits, closes what it waited for, and ends. */
async function end(what: Job["what"]): Promise<void> {
  const [a, b] = UnixStream.pair();
  const reading = a.read(byte());
  // Not at once, so that the runtime waits.
  setTimeout(() => b.writeSync(byte()), 5);
  await reading;
  if (what === "end waiting") {
    a.unref();
    a.read(byte()).catch(() => {});
    // Ended with the wait for it.
    kept.push(b);
    return;
  }
  if (what === "end closing") {
    // After the library's own listener, and with a wait that never ended.
    a.unref();
    a.read(byte()).catch(() => {});
    process.on("exit", () => {
      b.writeSync(byte());
      a.close();
      b.close();
      // Begun too late to wait for anything.
      const [late] = UnixStream.pair();
      late.read(byte()).catch(() => {});
      late.close();
    });
    return;
  }
  a.close();
  b.close();
  if (what === "exit of the runtime") {
    (globalThis as { Deno?: { exit(code: number): never } }).Deno?.exit(0);
  }
  if (what.startsWith("exit")) process.exit(0);
}

async function work({ what, path, way }: Job): Promise<void> {
  try {
    refuse(way as Refused | undefined);
    if (what === "echo") await echo(path);
    if (what === "wait") await wait(path);
    if (what === "serve") serve(path);
    if (what.startsWith("end") || what.startsWith("exit")) return await end(what);
    if (what === "idle") kept.push(UnixListener.listen(path), UnixStream.connectSync(path));
    // After a turn, so that the runtime has begun to wait.
    setTimeout(() => answer(what === "echo" ? "done" : "ready"), 1);
  } catch (error) {
    answer(String(error));
  }
}

if (threads) {
  parentPort!.once("message", work);
} else {
  scope.onmessage = ({ data }) => {
    // Nothing more to be heard: from now on only the work keeps the Worker alive.
    scope.onmessage = null;
    work(data);
  };
}
