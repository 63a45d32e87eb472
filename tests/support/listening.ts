/**
 * Helpers around listeners: raw sockets, stale paths, and processes that do as they are told.
 * @module
 */

import { lstatSync } from "node:fs";
import { join } from "@std/path";
import { file, native, sockaddr, sockets } from "../../ffi/mod.ts";
import { type Finished, type ProcessOptions, TestProcess } from "./process.ts";
import { commandFor, ROOT, RUNTIME } from "./runtime.ts";

/** The type numbers of sockets. */
export function socketType(name: "stream" | "datagram"): number {
  const { SOCK_STREAM, SOCK_DGRAM } = native().abi.constants;
  return name === "stream" ? SOCK_STREAM : SOCK_DGRAM;
}

/** A negated errno by name, as the raw wrappers return it. */
export function negated(code: string): number {
  return -native().abi.errno[code]!;
}

function succeeded(result: number, what: string): number {
  if (result < 0) throw new Error(`${what} failed with errno ${-result}`);
  return result;
}

/** A socket's descriptor, which the caller has to close with {@linkcode closeRaw}. */
export function rawSocket(type: "stream" | "datagram" = "stream"): number {
  return succeeded(sockets.socket(socketType(type)), "socket");
}

/** Binds a descriptor to a path; 0 or a negated errno. */
export function rawBind(fd: number, path: string): number {
  const packed = sockaddr.packPathname(
    native().abi.layouts.sockaddr_un,
    new TextEncoder().encode(path),
  );
  return sockets.bind(fd, packed);
}

/** Connects a descriptor to a path; 0 or a negated errno. */
export function rawConnect(fd: number, path: string): number {
  const packed = sockaddr.packPathname(
    native().abi.layouts.sockaddr_un,
    new TextEncoder().encode(path),
  );
  return sockets.connect(fd, packed);
}

export function closeRaw(fd: number): void {
  file.closeHandedOver(fd);
}

/** Makes what a server leaves that was killed: a socket's file with nobody behind it. */
export function leaveStale(path: string, type: "stream" | "datagram" = "stream"): void {
  const fd = rawSocket(type);
  try {
    succeeded(rawBind(fd, path), "bind");
    if (type === "stream") succeeded(sockets.listen(fd, 1), "listen");
  } finally {
    closeRaw(fd);
  }
}

/** Runs a body while another open file holds the lock on a directory. */
export async function withLockedDirectory<T>(
  directory: string,
  body: (unlock: () => void) => T | Promise<T>,
): Promise<T> {
  const { O_RDONLY, O_DIRECTORY } = native().abi.constants;
  const path = new TextEncoder().encode(directory);
  const fd = succeeded(file.open(path, O_RDONLY | O_DIRECTORY, 0), "open");
  try {
    succeeded(file.flock(fd, "lock"), "flock");
    return await body(() => file.flock(fd, "unlock"));
  } finally {
    closeRaw(fd);
  }
}

/** What is at a path: its permissions and its inode; null where nothing is. */
export function entryAt(path: string): { mode: number; inode: number; isSocket: boolean } | null {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return null;
  return { mode: status.mode & 0o7777, inode: status.ino, isSocket: status.isSocket() };
}

/** The command that runs a program of `tests/programs` under this test's runtime. */
export function programCommand(
  name: string,
  args: readonly string[] = [],
  flags: string[] = [],
): string[] {
  const script = join(ROOT, "tests", "programs", `${name}.ts`);
  return [...commandFor(RUNTIME, script, { flags }), ...args];
}

/** A command under a limit of open descriptors, soft and hard. */
export function underDescriptorLimit(limit: number, command: readonly string[]): string[] {
  return ["sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh", ...command];
}

/** What an agent answers: what it was asked for, or the error that came instead. */
export interface Answer {
  error?: { name: string; code?: string; syscall?: string; message: string };
  id: number;
  mode: number;
  modes: number[];
  path: string;
}

/** A process that listens and binds as it is told, a command at a time. */
export class Agent implements AsyncDisposable {
  readonly process: TestProcess;
  #asked = 0;

  constructor(options: ProcessOptions = {}) {
    this.process = new TestProcess(programCommand("listening_agent"), options);
    this.process.child.stdin!.on("error", () => {});
  }

  /** Sends a command, without waiting for the answer; its number. */
  tell(command: object): number {
    this.process.write(`${JSON.stringify(command)}\n`);
    return this.#asked++;
  }

  /** The answer to a command. */
  async answer(number: number): Promise<Answer> {
    const pattern = new RegExp(`^${number} (.*)\n`, "m");
    const output = await this.process.waitFor(pattern);
    return JSON.parse(pattern.exec(output)![1]!);
  }

  ask(command: object): Promise<Answer> {
    return this.answer(this.tell(command));
  }

  /** As {@linkcode ask}, but the answer has to be no error. */
  async order(command: object): Promise<Answer> {
    const answer = await this.ask(command);
    if (answer.error !== undefined) throw new Error(`The agent says: ${answer.error.message}`);
    return answer;
  }

  /** Kills it as nothing else does: it can remove nothing. */
  async kill(): Promise<Finished> {
    this.process.kill("SIGKILL");
    return await this.process.finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}
