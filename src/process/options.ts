/**
 * What a caller may say about a process to start, and its checks.
 * @module
 */

import { builtinModule } from "../../ffi/mod.ts";
import type { UnixDatagram } from "../datagram.ts";
import { type FdLike, fdOf } from "../fd/fd_like.ts";
import type { UnixSeqpacket } from "../seqpacket.ts";
import { checkName } from "./environment.ts";
import type { UnixStream } from "../stream.ts";
import { checkInteger, checkOptions, checkSignal, checkWord, ifAbsent } from "../util/validate.ts";

/** The class of the socket, by the type that is asked for. */
export interface SocketTypes {
  /** SOCK_STREAM: bytes, with an end. */
  stream: UnixStream;
  /** SOCK_DGRAM: messages. No end tells that the other process is gone. */
  datagram: UnixDatagram;
  /** SOCK_SEQPACKET: messages, with an end (Linux). */
  seqpacket: UnixSeqpacket;
}

/** A type of socket, in a word. */
export type SocketType = keyof SocketTypes;

/** What a standard stream of the child is: this process's own, nothing, or a pipe. */
export type StdioMode = "inherit" | "ignore" | "pipe";

/** Options of {@linkcode spawnWithSocket}. */
export interface SpawnOptions<T extends SocketType = SocketType> {
  /** The type of the socket; `"stream"` without it. */
  type?: T | undefined;
  /** The name under which `inheritedSocket(name)` finds the socket too; `"socket"` without it. */
  name?: string | undefined;
  /**
   * More descriptors for the child: a list, whose names are `"0"`, `"1"`, …, or an object or Map of
   * names. The child has them as 4, 5, … in this order, and
   * {@linkcode inheritedFds} finds them by name. They stay open here, and the caller's; their open
   * files, and with them O_NONBLOCK, are shared.
   */
  fds?:
    | readonly FdLike[]
    | Readonly<Record<string, FdLike>>
    | ReadonlyMap<string, FdLike>
    | undefined;
  /** The child's whole environment; this process's own without it. Undefined values are left out. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The directory in which the child starts: a path or a `file:` URL. */
  cwd?: string | URL | undefined;
  /** The child's standard input; `"inherit"` without it. */
  stdin?: StdioMode | undefined;
  /** The child's standard output; `"inherit"` without it. */
  stdout?: StdioMode | undefined;
  /** The child's error output; `"inherit"` without it. */
  stderr?: StdioMode | undefined;
  /** Starts nothing if it is aborted already; sends `killSignal` when it is aborted later. */
  signal?: AbortSignal | undefined;
  /** What `kill()`, an abort and the end of a `using` scope send; SIGTERM without it. */
  killSignal?: string | number | undefined;
}

/** The checked wishes. */
export interface SpawnPlan {
  command: string;
  args: string[];
  type: SocketType;
  name: string;
  fds: [name: string, fd: number][];
  env: Record<string, string | undefined> | undefined;
  cwd: string | undefined;
  stdio: [StdioMode, StdioMode, StdioMode];
  signal: AbortSignal | undefined;
  killSignal: number;
}

/** Checks everything before any system call; a closed descriptor is −1 among `fds`. */
export function checkSpawn(
  command: unknown,
  args: unknown,
  options: SpawnOptions | undefined,
): SpawnPlan {
  checkOptions(options);
  const program = checkPath(command, "a command");
  const checkedArgs = checkArgs(args, "arguments");
  const type = ifAbsent(options?.type, "stream");
  checkWord(type, "a type of socket", ["stream", "datagram", "seqpacket"]);
  const name = checkName(ifAbsent(options?.name, "socket"));
  const stdio = ([["stdin", options?.stdin], ["stdout", options?.stdout], [
    "stderr",
    options?.stderr,
  ]] as const)
    .map(([what, mode]) =>
      checkWord<StdioMode>(ifAbsent(mode, "inherit"), what, ["inherit", "ignore", "pipe"])
    ) as SpawnPlan["stdio"];
  return {
    command: program,
    args: checkedArgs,
    type,
    name,
    fds: checkFds(options?.fds, name),
    env: checkEnvironment(options?.env),
    cwd: options?.cwd === undefined ? undefined : checkPath(options.cwd, "cwd"),
    stdio,
    signal: checkSignal(options),
    killSignal: signalNumber(ifAbsent(options?.killSignal, "SIGTERM")),
  };
}

/** A path or name as a string that C can hold. */
export function checkPath(value: unknown, what: string): string {
  if (value instanceof URL) {
    const { fileURLToPath } = builtinModule<{ fileURLToPath(url: URL): string }>("node:url")!;
    if (value.protocol !== "file:") {
      throw new TypeError(`Cannot use ${value.href} as ${what}: expected a file: URL`);
    }
    return checkPath(fileURLToPath(value), what);
  }
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw new TypeError(
      `Cannot use this as ${what}: expected a string, not empty and without a NUL, or a file: URL`,
    );
  }
  return value;
}

/** A list of arguments. */
export function checkArgs(value: unknown, what: string): string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((arg) => typeof arg === "string" && !/\0/.test(arg))) {
    return [...value];
  }
  throw new TypeError(`Cannot use this as ${what}: expected an array of strings without a NUL`);
}

function checkFds(value: SpawnOptions["fds"], socketName: string): [string, number][] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null) {
    throw new TypeError("Cannot use this as fds: expected an array, an object or a Map");
  }
  const entries = Array.isArray(value)
    ? value.map((fd: FdLike, index): [string, FdLike] => [String(index), fd])
    : value instanceof Map
    ? [...value as ReadonlyMap<string, FdLike>]
    : Object.entries(value as Record<string, FdLike>);
  return entries.map(([name, descriptor]) => {
    if (checkName(name) === socketName) {
      throw new RangeError(`Cannot use ${JSON.stringify(name)} as a name twice`);
    }
    const fd = fdOf(descriptor);
    return [name, fd === -1 ? fd : checkInteger(fd, "a descriptor", 0, 0x7fff_ffff)];
  });
}

function checkEnvironment(env: SpawnOptions["env"]): SpawnPlan["env"] {
  if (env === undefined) return undefined;
  if (typeof env !== "object" || env === null) {
    throw new TypeError("Cannot use this as env: expected an object");
  }
  for (const [name, value] of Object.entries(env)) {
    const wrong = value !== undefined && (typeof value !== "string" || value.includes("\0"));
    if (wrong || name === "" || /[=\0]/.test(name)) {
      throw new TypeError(
        `Cannot use env: expected a string without a NUL as ${JSON.stringify(name)}`,
      );
    }
  }
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}

/** The number of a signal that goes by its name or its number; 0 only asks whether it could be sent. */
export function signalNumber(signal: unknown): number {
  if (typeof signal === "number") return checkInteger(signal, "a signal", 0, 64);
  const { constants } = builtinModule<{ constants: { signals: Record<string, number> } }>(
    "node:os",
  )!;
  if (typeof signal === "string" && Object.hasOwn(constants.signals, signal)) {
    return constants.signals[signal]!;
  }
  const shown = typeof signal === "string" ? JSON.stringify(signal) : typeof signal;
  throw new TypeError(`Cannot use ${shown} as a signal: expected a name like "SIGTERM"`);
}
