/**
 * Streams a file from a client to a server and back over a Unix domain socket, twice: the server
 * runs under Bun, the clients under Deno and Node.js. Each client passes its open file as well, and
 * the server reads it by that descriptor. Each side says who its peer is, and what comes back, and
 * what the server has read, are compared with what was sent.
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

/** Checks the kernel's word about a peer, or a sender, against the process that was started. */
function describe(
  role: "peer" | "sender",
  who: Credentials | null,
  pid: number,
  runtime: RuntimeName,
): string {
  if (who?.pid !== pid) {
    throw new Error(`Expected pid ${pid} (${runtime}) as a ${role}: ${who?.pid}`);
  }
  return `${role} is pid ${pid} (${runtime}), uid ${who.uid}, gid ${who.gid}`;
}

function show(runtime: RuntimeName, role: string, pid: number, text: string): void {
  console.log(`${paint("bold", runtime.padEnd(4))}  ${role}  pid ${pid}  ${paint("dim", text)}`);
}

/** One line about bytes that crossed from one runtime to another. */
function showOutcome(
  route: string,
  file: SentFile,
  { bytes, sha256 }: { bytes: number; sha256: string },
  identical: boolean,
  milliseconds: number,
): void {
  console.log([
    paint("bold", route),
    file.name,
    formatBytes(bytes),
    `sha256 ${sha256.slice(0, 12)}…`,
    identical ? paint("green", "identical") : paint("red", "DIFFERENT"),
    formatTime(milliseconds),
  ].join("  "));
}

/** Sends the file with one client; true if what came back, and what was read, is what was sent. */
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
  show(runtime, "client", theirs.pid, describe("peer", theirs.peer, serverPid, SERVER));
  show(SERVER, "server", serverPid, describe("peer", ours.peer, theirs.pid, runtime));

  const route = `${runtime} → ${SERVER} → ${runtime}`;
  const { sent, received, milliseconds } = await client.next("received", progress(route, file));
  clearProgress();
  const served = await server.next("served");
  const opened = `${runtime} opens, ${SERVER} reads`;
  const read = await server.next("read", progress(opened, file));
  clearProgress();
  const { peakMemory } = await client.end();

  const identical = sent.sha256 === received.sha256 && sent.bytes === received.bytes &&
    sent.bytes === served.bytes;
  showOutcome(route, file, received, identical, milliseconds);
  const rate = formatRate(received.bytes, milliseconds);
  console.log(
    paint("dim", `${rate} each way, peak memory of ${runtime} ${formatMemory(peakMemory)}`),
  );
  const same = read.sha256 === sent.sha256 && read.bytes === sent.bytes;
  show(SERVER, "server", serverPid, describe("sender", read.sender, theirs.pid, runtime));
  showOutcome(opened, file, read, same, read.milliseconds);
  console.log();
  return identical && same;
}

/** Shows how far a route has come. */
function progress(route: string, file: SentFile): (bytes: number) => void {
  const begin = performance.now();
  return (bytes) => {
    const percent = Math.min(100, Math.floor(bytes / file.size * 100));
    const rate = formatRate(bytes, performance.now() - begin);
    showProgress(`${route}  ${formatBytes(bytes)}  ${percent} %  ${rate}`);
  };
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
        // Where the server is lost, its client only sees the consequence, and perhaps sooner.
        throw await server.lost() ?? error;
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
