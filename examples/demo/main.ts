/**
 * Streams a file from a client to a server and back over a Unix domain socket, twice: the server
 * runs under Bun, the clients under Deno and Node.js. Each side says who its peer is, and what
 * comes back is compared with what was sent.
 *
 *     npm start
 *     npm start -- FILE
 *     deno task start FILE
 */

import { existsSync } from "node:fs";
import { access, constants, mkdtemp, rm, stat } from "node:fs/promises";
import { constants as os, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import type { Credentials } from "../../mod.ts";
import { Child, type RuntimeName } from "./child.ts";
import {
  clearProgress,
  formatBytes,
  formatMemory,
  formatRate,
  formatTime,
  paint,
  printable,
  showProgress,
} from "./screen.ts";

const root = join(import.meta.dirname!, "..", "..");
const SERVER = "bun";
const CLIENTS = ["deno", "node"] as const;

interface SentFile {
  path: string;
  name: string;
  size: number;
}

/** Looks at the file, so that a wrong one is refused before anything is started. */
async function findFile(argument: string | undefined): Promise<SentFile> {
  let path = ["README.md", "LICENSE"].map((name) => join(root, name)).find(existsSync) ?? root;
  if (argument !== undefined) {
    // npm and deno task change to the project's directory, and note where they were called.
    const home = resolve(process.cwd()) === resolve(root) ? process.env.INIT_CWD : undefined;
    path = resolve(home ?? "", argument);
  }
  const shown = printable(argument ?? path);
  try {
    const status = await stat(path);
    if (status.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
    if (!status.isFile()) throw new Error(`Cannot read "${shown}": it is not a regular file`);
    await access(path, constants.R_OK);
    return { path, name: printable(basename(path)), size: status.size };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === undefined ? error : new Error(`Cannot read "${shown}": ${code}`);
  }
}

const running = new Set<Child>();
let interrupted: NodeJS.Signals | "EPIPE" | undefined;

function start(...args: ConstructorParameters<typeof Child>): Child {
  if (interrupted !== undefined) throw new Error("Interrupted");
  const child = new Child(...args);
  running.add(child);
  return child;
}

/** Ends the children; whatever waits for them then fails, and cleans up. */
function interrupt(reason: NodeJS.Signals | "EPIPE"): void {
  interrupted ??= reason;
  for (const child of running) child.kill();
}

/** Checks the kernel's word about a peer against the process that was started. */
function describePeer(peer: Credentials | null, pid: number, runtime: RuntimeName): string {
  if (peer?.pid !== pid) {
    throw new Error(`Expected pid ${pid} (${runtime}) as a peer: ${peer?.pid}`);
  }
  return `peer is pid ${pid} (${runtime}), uid ${peer.uid}, gid ${peer.gid}`;
}

function show(runtime: RuntimeName, role: string, pid: number, text: string): void {
  console.log(`${paint("bold", runtime.padEnd(4))}  ${role}  pid ${pid}  ${paint("dim", text)}`);
}

/** Sends the file with one client; true if what came back is what was sent. */
async function send(
  runtime: RuntimeName,
  server: Child,
  serverPid: number,
  socket: string,
  file: SentFile,
): Promise<boolean> {
  await using client = start(runtime, "client", [socket, file.path]);
  const theirs = await client.next("connected");
  const ours = await server.next("connected");
  show(runtime, "client", theirs.pid, describePeer(theirs.peer, serverPid, SERVER));
  show(SERVER, "server", serverPid, describePeer(ours.peer, theirs.pid, runtime));

  const route = `${runtime} → ${SERVER} → ${runtime}`;
  const begin = performance.now();
  const { sent, received, milliseconds } = await client.next("received", (bytes) => {
    const percent = Math.min(100, Math.floor(bytes / file.size * 100));
    const rate = formatRate(bytes, performance.now() - begin);
    showProgress(`${route}  ${formatBytes(bytes)}  ${percent} %  ${rate}`);
  });
  clearProgress();
  const served = await server.next("served");
  const { peakMemory } = await client.end();

  const identical = sent.sha256 === received.sha256 && sent.bytes === received.bytes &&
    sent.bytes === served.bytes;
  console.log([
    paint("bold", route),
    file.name,
    formatBytes(received.bytes),
    `sha256 ${received.sha256.slice(0, 12)}…`,
    identical ? paint("green", "identical") : paint("red", "DIFFERENT"),
    formatTime(milliseconds),
  ].join("  "));
  const rate = formatRate(received.bytes, milliseconds);
  console.log(
    paint("dim", `${rate} each way, peak memory of ${runtime} ${formatMemory(peakMemory)}`),
  );
  console.log();
  return identical;
}

async function demonstrate(file: SentFile): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), "afunix-demo-"));
  try {
    const socket = join(directory, "demo.sock");
    await using server = start(SERVER, "server", [socket]);
    const { pid } = await server.next("listening");
    const mode = (await stat(socket)).mode & 0o777;
    console.log(`${file.name}, ${formatBytes(file.size)}, there and back through ${socket}\n`);
    show(SERVER, "server", pid, `listens, mode 0${mode.toString(8)}`);
    console.log();
    let identical = true;
    for (const runtime of CLIENTS) {
      identical = await send(runtime, server, pid, socket, file).catch(async (error) => {
        // Where the server is lost, its client only sees the consequence.
        throw server.running ? error : await server.failure();
      }) && identical;
    }
    const { peakMemory } = await server.end();
    console.log(paint("dim", `peak memory of ${SERVER} ${formatMemory(peakMemory)}`));
    return identical;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const args = process.argv.slice(2);
if (args.length > 1 || args[0]?.startsWith("-")) {
  console.error("Usage: npm start [-- FILE]");
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => interrupt(signal));
}
process.stdout.on("error", () => interrupt("EPIPE"));
try {
  process.exitCode = await demonstrate(await findFile(args[0])) ? 0 : 1;
} catch (error) {
  clearProgress();
  if (interrupted === undefined) console.error((error as Error).message);
  process.exitCode = 1;
}
if (interrupted !== undefined && interrupted !== "EPIPE") {
  process.exitCode = 128 + os.signals[interrupted];
}
