/**
 * Starting a process with one end of a pair of sockets.
 * @module
 */

import { checked, file, refusal } from "../../ffi/mod.ts";
import { UnixDatagram } from "../datagram.ts";
import { Fd } from "../fd/fd.ts";
import { UnixSeqpacket } from "../seqpacket.ts";
import { type Entry, formatEntries, LIST_VARIABLE, SOCKET_VARIABLE } from "./environment.ts";
import {
  checkSpawn,
  type SocketType,
  type SocketTypes,
  type SpawnOptions,
  type SpawnPlan,
} from "./options.ts";
import { type SpawnedProcess, startedProcess } from "./child_process.ts";
import {
  type Child,
  ownEnvironment,
  startFailure,
  startingOf,
  startProgram,
} from "./start_program.ts";
import { runtimeCommand, type RuntimeOptions } from "./runtime_command.ts";
import { UnixStream } from "../stream.ts";

/** The child's number of the socket; the other descriptors follow. */
const FIRST_FD = 3;

/**
 * Starts a program with one end of a new pair of sockets (socketpair(2)) as its descriptor 3, in
 * blocking mode, and returns the other.
 *
 * The child finds its end with {@linkcode inheritedSocket}; a program without this library reads the
 * number in the environment variable `AFUNIX_SOCKET_FD`. `AFUNIX_FDS` lists everything that was
 * handed on. A shell in between does no harm: the descriptors pass it, and are known by their
 * inodes. When the child ends, and whoever inherited its end from it, this side reads the end
 * (never on a datagram socket: see `status`); when this process ends, even by SIGKILL, the child does.
 *
 * Nothing else is handed on that is close-on-exec, as everything is that this library opens; on
 * Bun nothing at all, on Deno and Node.js what this process inherited itself and did not mark.
 *
 * On Deno it needs `--allow-run` and `--allow-env`, on Node.js `--allow-child-process` under
 * `--permission`.
 *
 * @param command a name to look for in PATH, a path, or a `file:` URL
 * @throws {UnixSocketError} ENOENT: no such program, or no such `cwd`. EACCES: not executable, or a
 * directory. EBADF: one of `fds` is closed. ENOEXEC (Bun): a text without `#!`, which the other
 * two give to a shell, and exit with its code. E2BIG, EAGAIN, ENOMEM, EMFILE, ENFILE. Nothing is
 * left open or running; `cause` is the runtime's error.
 * @throws {TypeError|RangeError} for wrong arguments
 * @throws the runtime's own error where a permission lacks; the signal's reason where it is aborted
 *
 * @example A program that knows nothing of this library
 * ```ts
 * import { spawnWithSocket } from "@afunix/afunix/process";
 *
 * const script = "import socket; s = socket.socket(fileno=3); s.sendall(s.recv(100).upper())";
 * await using child = await spawnWithSocket("python3", ["-c", script]);
 * await child.socket.writeAll(new TextEncoder().encode("hello"));
 * for await (const chunk of child.socket) console.log(new TextDecoder().decode(chunk));
 * ```
 *
 * See socketpair(2), execve(2).
 */
export async function spawnWithSocket<T extends SocketType = "stream">(
  command: string | URL,
  args?: readonly string[],
  options?: SpawnOptions<T>,
): Promise<SpawnedProcess<T>> {
  return await start<T>(checkSpawn(command, args, options));
}

/**
 * {@linkcode spawnWithSocket} for a script of Deno, Bun or Node.js, with the flags that this library
 * needs there: `--experimental-ffi` for Node.js; `--allow-ffi` and `--allow-env` for the two
 * variables of {@linkcode inheritedSocket} for Deno. All other permissions and flags come from
 * `runtimeArgs`.
 *
 * @param script a path or a `file:` URL, also one as a string, as `import.meta.resolve()` returns it
 * @throws {UnixSocketError|TypeError|RangeError} as `spawnWithSocket` does
 *
 * @example A worker under another runtime
 * ```ts ignore
 * import { spawnScript } from "@afunix/afunix/process";
 *
 * await using worker = await spawnScript(new URL("worker.ts", import.meta.url), [], {
 *   runtime: "deno",
 *   runtimeArgs: ["--allow-read=/srv"],
 * });
 * ```
 */
export async function spawnScript<T extends SocketType = "stream">(
  script: string | URL,
  args?: readonly string[],
  options?: RuntimeOptions<T>,
): Promise<SpawnedProcess<T>> {
  const { command, leading } = runtimeCommand(script, options);
  const plan = checkSpawn(command, args, options);
  plan.args.unshift(...leading);
  return await start<T>(plan);
}

function pairOf(type: SocketType) {
  if (type === "datagram") return UnixDatagram.pair();
  return type === "seqpacket" ? UnixSeqpacket.pair() : UnixStream.pair();
}

async function start<T extends SocketType>(plan: SpawnPlan): Promise<SpawnedProcess<T>> {
  const [ours, theirs] = pairOf(plan.type);
  const socket = ours as SocketTypes[T];
  try {
    const child = startChild(plan, theirs.fd, () => theirs.close());
    if (child.pid === undefined) {
      throw startFailure(await new Promise((resolve) => child.on("error", resolve)), plan.command);
    }
    // A later error is that of a signal: it is no news, and would end the process unheard.
    child.on("error", () => {});
    const { killSignal, signal } = plan;
    return startedProcess<T>({ child, pid: child.pid, socket, killSignal, signal });
  } catch (error) {
    theirs.close();
    ours.close();
    throw error;
  }
}

/** Starts it with what it shall inherit, of which this process keeps nothing that it had not before. */
function startChild(plan: SpawnPlan, socketFd: number, closeSocket: () => void): Child {
  const context = { action: startingOf(plan.command), syscall: "fcntl" };
  const wanted: [string, number][] = [[plan.name, socketFd], ...plan.fds];
  const copies: Fd[] = [];
  try {
    checked(file.makeBlocking(socketFd), context);
    const entries: Entry[] = [];
    for (const [index, [name, fd]] of wanted.entries()) {
      if (fd === -1) throw refusal("EBADF", { ...context, detail: `${name} is closed` });
      // Copies, because Deno starts no child that gets one descriptor twice; above the numbers
      // of the child, so that none is overwritten before it is moved.
      const least = FIRST_FD + wanted.length;
      const copy = Fd.received(checked(file.duplicate(fd, least), { ...context, detail: name }));
      copies.push(copy);
      const status = file.status(copy.fd);
      if (typeof status === "number") checked(status, { ...context, syscall: "statx" });
      else entries.push({ name, fd: FIRST_FD + index, identity: status.identity });
    }
    const env = plan.env ?? ownEnvironment();
    env[SOCKET_VARIABLE] = String(FIRST_FD);
    env[LIST_VARIABLE] = formatEntries(entries);
    try {
      return startProgram(plan, env, copies.map(({ fd }) => fd));
    } catch (error) {
      throw startFailure(error, plan.command);
    }
  } finally {
    for (const copy of copies) copy.close();
    closeSocket();
  }
}
