/**
 * Lives for as long as the library keeps it alive. Argument: what to do, and perhaps a path.
 */

import process from "node:process";
import { clearInterval, setInterval, setTimeout } from "node:timers";
import { UnixListener, UnixStream } from "../../mod.ts";

const [what, path] = process.argv.slice(2) as [string, string];
const byte = () => new Uint8Array(1);

/** Says so, some time later, if something else keeps the process alive until then. */
function sayIfAlive(milliseconds = 200): void {
  setTimeout(() => console.log("still alive"), milliseconds).unref();
}

/** The same for a process that is to end at once, however slow its machine. */
const sayIfStillAlive = () => sayIfAlive(10_000);

function read(stream: UnixStream): void {
  stream.read(byte()).then((count) => console.log(`read ${count}`), () => console.log("failed"));
}

/** A pair whose first end has been waited for. */
async function usedPair(): Promise<[UnixStream, UnixStream]> {
  const [a, b] = UnixStream.pair();
  const reading = a.read(byte());
  await new Promise((resolve) => setImmediate(resolve));
  b.writeSync(byte());
  await reading;
  return [a, b];
}

/** Kept, so that no collection closes them. */
const kept: unknown[] = [];

const programs: Record<string, () => unknown> = {
  "import": () => {},

  async "pair"() {
    kept.push(await usedPair());
  },

  async "connections"() {
    const listener = UnixListener.listen(path);
    for (let i = 0; i < 20; i++) {
      const accepting = listener.accept();
      const client = await UnixStream.connect(path);
      const server = await accepting;
      const reading = server.read(byte());
      await client.writeAll(byte());
      await reading;
      client.close();
      server.close();
    }
    listener.close();
  },

  "idle listener"() {
    kept.push(UnixListener.listen(path));
  },

  async "listener that accepted"() {
    const listener = UnixListener.listen(path);
    const accepting = listener.accept();
    const client = await UnixStream.connect(path);
    kept.push(listener, client, await accepting);
  },

  async "aborted"() {
    const listener = UnixListener.listen(path);
    const [a, b] = await usedPair();
    kept.push(listener, a, b);
    const controller = new AbortController();
    const { signal } = controller;
    const all = [
      listener.accept({ signal }),
      a.read(byte(), { signal }),
      b.peek(byte(), { signal }),
    ];
    setImmediate(() => controller.abort());
    await Promise.allSettled(all);
  },

  async "closed while waiting"() {
    const listener = UnixListener.listen(path);
    const [a, b] = await usedPair();
    kept.push(b);
    const all = [listener.accept(), a.read(byte())];
    setImmediate(() => {
      listener.close();
      a.close();
    });
    await Promise.allSettled(all);
  },

  "pending read"() {
    const [a, b] = UnixStream.pair();
    read(a);
    sayIfAlive();
    kept.push(b);
  },

  "pending write"() {
    const [a, b] = UnixStream.pair();
    a.writeAll(new Uint8Array(1_000_000)).catch(() => {});
    kept.push(b);
    sayIfAlive();
  },

  "pending accept"() {
    const listener = UnixListener.listen(path);
    listener.accept().then((stream) => {
      stream.close();
      console.log("accepted");
    });
    sayIfAlive();
  },

  async "pending read after other reads"() {
    const [a, b] = await usedPair();
    kept.push(b);
    read(a);
    sayIfAlive();
  },

  "pending connect"() {
    const listener = UnixListener.listen(path, { backlog: 0 });
    kept.push(listener, UnixStream.connectSync(path));
    UnixStream.connect(path).then(() => console.log("connected"));
    sayIfAlive();
  },

  "unref before"() {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.unref();
    read(a);
    sayIfStillAlive();
  },

  "unref while waiting"() {
    const listener = UnixListener.listen(path);
    const [a, b] = UnixStream.pair();
    kept.push(b);
    read(a);
    read(a);
    listener.accept().catch(() => {});
    setTimeout(() => {
      a.unref();
      listener.unref();
      sayIfStillAlive();
    }, 20);
  },

  "unref of one of two"() {
    const [a, b] = UnixStream.pair();
    read(a);
    read(b);
    a.unref();
    sayIfAlive();
  },

  "unref and ref"() {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.unref();
    read(a);
    setImmediate(() => {
      a.ref();
      a.ref();
      sayIfAlive();
    });
    const other = setInterval(() => {}, 20);
    setTimeout(() => clearInterval(other), 60);
  },

  async "unref, ref and settle"() {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.unref();
    const reading = a.read(byte());
    a.ref();
    b.writeSync(byte());
    await reading;
    a.unref();
    a.ref();
    read(a.unref());
    sayIfStillAlive();
  },

  "unref but served"() {
    const listener = UnixListener.listen(path).unref();
    const timer = setInterval(() => {}, 1000);
    (async () => {
      for await (const stream of listener) {
        stream.unref();
        let served = 0;
        for await (const chunk of stream) {
          await stream.writeAll(chunk);
          if (++served === 3) break;
        }
        stream.close();
        clearInterval(timer);
      }
    })();
    console.log("ready");
  },

  "exit"() {
    pendingEverywhere();
    setTimeout(() => process.exit(7), 20);
  },

  "exit at once"() {
    pendingEverywhere();
    process.exit(7);
  },

  "throw"() {
    pendingEverywhere();
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 20);
  },

  "reject"() {
    pendingEverywhere();
    setTimeout(() => void Promise.reject(new Error("nobody catches this")), 20);
  },

  "wait"() {
    pendingEverywhere();
    // After a turn, so that the runtime has begun to wait.
    setTimeout(() => console.log("ready"), 20);
  },
};

/** Operations of every kind that never finish. */
function pendingEverywhere(): void {
  const listener = UnixListener.listen(path);
  listener.accept().catch(() => {});
  for (let i = 0; i < 10; i++) {
    const [a, b] = UnixStream.pair();
    kept.push(b);
    a.read(byte()).catch(() => {});
    a.writeAll(new Uint8Array(1_000_000)).catch(() => {});
  }
}

await programs[what]!();
