// Does what it is told, a command a line, and answers each with its number and JSON.

import { lstatSync, unlinkSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { file, native, sockaddr, sockets } from "../../ffi/mod.ts";
import { type ListenOptions, UnixListener } from "../../mod.ts";

interface Command {
  do: string;
  path: string;
  id: number;
  options: ListenOptions;
  uid: number;
  umask: number;
  umasks: number[];
  modes: (number | null)[];
  times: number;
}

const listeners: UnixListener[] = [];
let bound = -1;

function modeOf(path: string): number {
  return lstatSync(path).mode & 0o7777;
}

/** Binds a raw socket that does not listen. */
function bindOnly(path: string): void {
  const { abi } = native();
  const fd = sockets.socket(abi.constants.SOCK_STREAM);
  const name = new TextEncoder().encode(path);
  const result = sockets.bind(fd, sockaddr.packPathname(abi.layouts.sockaddr_un, name));
  if (result < 0) throw new Error(`bind failed with errno ${-result}`);
  bound = fd;
}

const handlers: Record<string, (command: Command) => object> = {
  listen({ path, options }) {
    const id = listeners.push(UnixListener.listen(path, options)) - 1;
    return { id, mode: path.startsWith("\0") ? -1 : modeOf(path) };
  },
  close({ id }) {
    listeners[id]!.close();
    return {};
  },
  bindOnly({ path }) {
    bindOnly(path);
    return {};
  },
  listenOnBound() {
    sockets.listen(bound, 100);
    return {};
  },
  closeBound({ path }) {
    file.close(bound);
    unlinkSync(path);
    return {};
  },
  chdir({ path }) {
    process.chdir(path);
    return {};
  },
  umask({ umask }) {
    process.umask(umask);
    return {};
  },
  becomeUser({ uid }) {
    process.setgid!(uid);
    process.setuid!(uid);
    return {};
  },
  /** The modes of the files made under each umask with each mode, null being none. */
  modes({ path, umasks, modes }) {
    const found: number[] = [];
    for (const umask of umasks) {
      process.umask(umask);
      for (const mode of modes) {
        const listener = UnixListener.listen(path, mode === null ? {} : { mode });
        found.push(modeOf(path));
        listener.close();
      }
    }
    return { modes: found };
  },
  /** Listens and closes so many times. */
  churn({ path, options, times }) {
    for (let i = 0; i < times; i++) UnixListener.listen(path, options).close();
    return {};
  },
};

let number = 0;
for await (const line of createInterface({ input: process.stdin })) {
  let answer: object;
  try {
    const command: Command = JSON.parse(line);
    answer = handlers[command.do]!(command);
  } catch (caught) {
    const { name, message, code, syscall } = caught as Error & { code?: string; syscall?: string };
    answer = { error: { name, message, code, syscall } };
  }
  process.stdout.write(`${number++} ${JSON.stringify(answer)}\n`);
}
process.exit(0);
