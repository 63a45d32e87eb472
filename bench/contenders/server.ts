/**
 * PATH: an echo server for many connections. Says "ready", and answers every line on its standard
 * input with the bytes of memory it takes, after collecting garbage.
 * @module
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { collectGarbage, globals, ownApi } from "./runtimes.ts";

/** Room for one message: what waits for data on each connection shall not be a large buffer. */
const ROOM = 64;
const PAGE = 4096;

async function byAfunix(path: string): Promise<void> {
  const { UnixListener } = await import("../../mod.ts");
  const listener = UnixListener.listen(path);
  type Stream = Awaited<ReturnType<typeof listener.accept>>;
  const serve = async (stream: Stream) => {
    const buffer = new Uint8Array(ROOM);
    for (let count; (count = await stream.read(buffer)) !== null;) {
      await stream.writeAll(count === ROOM ? buffer : buffer.subarray(0, count));
    }
    stream.close();
  };
  (async () => {
    for await (const stream of listener) serve(stream).catch(() => stream.close());
  })();
}

async function byAfunixParked(path: string): Promise<void> {
  const { configure } = await import("../../mod.ts");
  configure({ busyPoll: false });
  await byAfunix(path);
}

function byDeno(path: string): Promise<void> {
  const listener = globals.Deno!.listen({ transport: "unix", path });
  type Connection = Awaited<ReturnType<typeof listener.accept>>;
  const serve = async (connection: Connection) => {
    const buffer = new Uint8Array(ROOM);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      await connection.write(count === ROOM ? buffer : buffer.subarray(0, count));
    }
    connection.close();
  };
  (async () => {
    for await (const connection of listener) serve(connection).catch(() => connection.close());
  })();
  return Promise.resolve();
}

function byBun(path: string): Promise<void> {
  globals.Bun!.listen({
    unix: path,
    socket: { data: (socket, data) => void socket.write(data) },
  });
  return Promise.resolve();
}

async function byNet(path: string): Promise<void> {
  const { createServer } = await import("node:net");
  const server = createServer((socket) => {
    socket.on("data", (data) => void socket.write(data));
    socket.on("error", () => socket.destroy());
  });
  await once(server.listen({ path, backlog: 4096 }), "listening");
}

function residentBytes(): number {
  return Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * PAGE;
}

export async function contend(api: string, args: string[]): Promise<never> {
  const servers: Record<string, (path: string) => Promise<void>> = {
    async: byAfunix,
    parked: byAfunixParked,
    net: byNet,
    own: ownApi({ deno: byDeno, bun: byBun, net: byNet }),
  };
  await servers[api]!(args[0]!);
  console.log("ready");
  for await (const _ of process.stdin) {
    collectGarbage();
    collectGarbage();
    console.log(residentBytes());
  }
  process.exit(0);
}
