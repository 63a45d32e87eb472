/**
 * Round trips of 64 bytes: each runtime's own sockets, afunix waiting, afunix blocking, and Python's
 * blocking sockets, one process each, against one echo server. Figures are ratios to the runtime's
 * own sockets in the same run.
 *
 * Run: `node bench/round_trip.ts`
 * @module
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { UnixStream } from "../mod.ts";

const MESSAGE = 64;
const WARM_UP = 3_000;
const ROUNDS = 15_000;
const REPEATS = 5;

type RoundTrip = () => void | Promise<void>;

/** The contenders that run under the present runtime. */
const contenders: Record<string, (path: string) => Promise<RoundTrip>> = {
  async own(path) {
    const globals = globalThis as unknown as {
      Deno?: {
        connect(options: { transport: "unix"; path: string }): Promise<{
          write(data: Uint8Array): Promise<number>;
          read(data: Uint8Array): Promise<number>;
        }>;
      };
    };
    const buffer = new Uint8Array(MESSAGE);
    if (globals.Deno !== undefined) {
      const connection = await globals.Deno.connect({ transport: "unix", path });
      return async () => {
        await connection.write(buffer);
        await connection.read(buffer);
      };
    }
    const { connect } = await import("node:net");
    const socket = connect(path);
    await once(socket, "connect");
    let arrived = () => {};
    socket.on("data", () => arrived());
    return () => {
      const reply = new Promise<void>((resolve) => arrived = resolve);
      socket.write(buffer);
      return reply;
    };
  },

  async waiting(path) {
    const stream = await UnixStream.connect(path);
    const buffer = new Uint8Array(MESSAGE);
    return async () => {
      await stream.writeAll(buffer);
      await stream.read(buffer);
    };
  },

  blocking(path) {
    const stream = UnixStream.connectSync(path);
    const buffer = new Uint8Array(MESSAGE);
    return Promise.resolve(() => {
      stream.writeAllSync(buffer);
      stream.readSync(buffer);
    });
  },
};

async function contend(name: string, path: string): Promise<void> {
  const roundTrip = await contenders[name]!(path);
  for (let i = 0; i < WARM_UP; i++) await roundTrip();
  const start = performance.now();
  if (name === "blocking") { for (let i = 0; i < ROUNDS; i++) roundTrip(); }
  else for (let i = 0; i < ROUNDS; i++) await roundTrip();
  console.log(((performance.now() - start) * 1000) / ROUNDS);
  process.exit(0);
}

const PYTHON = `
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); b = bytes(${MESSAGE})
for i in range(${WARM_UP}): s.send(b); s.recv(64)
t = time.perf_counter()
for i in range(${ROUNDS}): s.send(b); s.recv(64)
print((time.perf_counter() - t) * 1e6 / ${ROUNDS})`;

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "afunix-bench-"));
  const path = join(directory, "echo.sock");
  const server = spawn("python3", [join(import.meta.dirname!, "echo_server.py"), path]);
  await once(server.stdout, "data");
  const bin = join(import.meta.dirname!, "..", "node_modules", ".bin");
  const commands: [string, string[]][] = [["python", ["python3", "-c", PYTHON, path]]];
  for (const runtime of ["deno", "bun", "node"]) {
    const flags = { deno: ["run", "-A", "--no-check"], bun: [], node: ["--no-warnings"] }[runtime]!;
    for (const name of Object.keys(contenders)) {
      const script = [import.meta.filename!, name, path];
      commands.push([`${runtime} ${name}`, [join(bin, runtime), ...flags, ...script]]);
    }
  }
  const results = new Map<string, number[]>(commands.map(([name]) => [name, []]));
  try {
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      for (const [name, [command, ...args]] of commands.toSorted(() => Math.random() - 0.5)) {
        results.get(name)!.push(Number(execFileSync(command!, args, { encoding: "utf8" })));
      }
    }
  } finally {
    server.kill();
    rmSync(directory, { recursive: true });
  }
  for (const [name, times] of results) {
    const own = median(results.get(`${name.split(" ")[0]} own`) ?? times);
    const spread = `${(Math.min(...times) / own).toFixed(2)}–${
      (Math.max(...times) / own).toFixed(2)
    }`;
    console.log(`${name.padEnd(16)} ${(median(times) / own).toFixed(2)}   (${spread})`);
  }
}

const [name, path] = process.argv.slice(2);
if (name !== undefined && path !== undefined) await contend(name, path);
else await main();
