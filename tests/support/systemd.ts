/**
 * A service manager of our own: starts services as systemd does, and takes their notifications.
 * @module
 */

import { join } from "@std/path";
import process from "node:process";
import { type ReceivedMessage, UnixDatagram } from "../../mod.ts";
import { type Peer, python } from "./interop.ts";
import { type ProcessOptions, TestProcess } from "./process.ts";
import { commandFor, ROOT, RUNTIME, type RuntimeName } from "./runtime.ts";
import { text, withTempSocketPath } from "./sockets.ts";

/** The command line of a program for tests, which may do everything. */
export function programCommand(
  name: string,
  args: string[],
  runtime: RuntimeName = RUNTIME,
): string[] {
  return [...commandFor(runtime, join(ROOT, "tests", "programs", `${name}.ts`)), ...args];
}

/** What can be passed; "closed" is a number that leads nowhere, "tcp" says its port first. */
export type Passable =
  | "stream-listener"
  | "stream"
  | "seqpacket-listener"
  | "seqpacket"
  | "datagram"
  | "tcp"
  | "udp6"
  | "pipe"
  | "closed";

const ACTIVATE = `
import fcntl
spec, command = json.loads(args[0]), args[1:]
kept = []

def made(kind):
    name, _, listens = kind.partition("-")
    types = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}
    if kind == "closed":
        return None
    if kind == "pipe":
        kept.extend(os.pipe())
        return kept[-2]
    if kind in ("tcp", "udp6", "datagram") or listens:
        if kind == "tcp":
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            one.bind(("127.0.0.1", 0))
            one.listen(8)
            say(one.getsockname()[1])
        elif kind == "udp6":
            one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        elif kind == "datagram":
            one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        else:
            one = socket.socket(socket.AF_UNIX, types[name])
            one.bind("")
            one.listen(8)
    else:
        one, other = socket.socketpair(socket.AF_UNIX, types[name])
        kept.append(other)
    kept.append(one)
    return one.fileno()

high = [fd if fd is None else fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in map(made, spec["kinds"])]
for number, fd in enumerate(high):
    if fd is not None:
        os.dup2(fd, 3 + number, inheritable=True)
    else:
        try:
            os.close(3 + number)
        except OSError:
            pass
own = {name: str(os.getpid()) if value == "PID" else value for name, value in spec["env"].items()}
os.execvpe(command[0], command, {**os.environ, **own})
`;

/**
 * Starts a command as a service with these descriptors from 3 on, and these variables; `"PID"` as a
 * value stands for its own number. Needs python3.
 */
export function activate(
  kinds: readonly Passable[],
  env: Record<string, string>,
  command: readonly string[],
  options?: ProcessOptions,
): Peer {
  return python(ACTIVATE, [JSON.stringify({ kinds, env }), ...command], options);
}

/** Starts a command as a service that gets these descriptors of this process, by name. */
export function restart(
  passed: readonly { name: string; fd: number }[],
  command: readonly string[],
  env: Record<string, string>,
): TestProcess {
  const names = passed.map(({ name }) => name).join(":");
  const setup = passed.length === 0
    ? 'exec "$@"'
    : `LISTEN_PID=$$ LISTEN_FDS=${passed.length} LISTEN_FDNAMES=${names} exec "$@"`;
  const stdio = ["pipe", "pipe", "pipe", ...passed.map(({ fd }) => fd)] as const;
  return new TestProcess(["sh", "-c", setup, "sh", ...command], { env, stdio: [...stdio] });
}

/** Sets variables of this process for a body; undefined removes one. */
export async function withEnvironment<T>(
  variables: Record<string, string | undefined>,
  body: () => T | Promise<T>,
): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(variables)) set(name, value);
  try {
    return await body();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

/** Runs a body with a manager that NOTIFY_SOCKET leads to. */
export function withManager<T>(
  body: (manager: UnixDatagram, path: string) => T | Promise<T>,
): Promise<T> {
  return withTempSocketPath(async (path) => {
    using manager = UnixDatagram.bind(path);
    manager.passCredentials = true;
    return await withEnvironment({ NOTIFY_SOCKET: path }, () => body(manager, path));
  });
}

/** The lines of the next notification, which has no descriptors. */
export async function nextLines(manager: UnixDatagram): Promise<string[]> {
  return text((await manager.receive()).data).split("\n");
}

/** The next notification and what came along. */
export async function nextMessage(
  manager: UnixDatagram,
): Promise<{ lines: string[]; message: ReceivedMessage }> {
  const message = await manager.receiveMessage({ maxFds: 253 });
  return { lines: text(message.data).split("\n"), message };
}
