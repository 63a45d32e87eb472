/**
 * Says as one line of JSON what its service manager passed to it, or what the error was. `report`
 * and `unset` (which removes the variables) only look; `take` makes what it can of each; `echo` serves one
 * peer on the first, of any kind.
 */

import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { listenFds, type PassedFd } from "../../systemd.ts";
import { openForSignals } from "../support/descriptor_table.ts";

openForSignals();

const say = (what: unknown) => console.log(JSON.stringify(what));

function flagsOf(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  return parseInt(/^flags:\s*(\d+)/m.exec(info)![1]!, 8);
}

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

function about({ fd, name, kind, family, listening }: PassedFd) {
  const flags = flagsOf(fd);
  const [closeOnExec, nonBlocking] = [(flags & O_CLOEXEC) !== 0, (flags & O_NONBLOCK) !== 0];
  return { fd, name, kind, family, listening, closeOnExec, nonBlocking };
}

/** The code of the error that a call throws, or what it returns. */
function codeOf(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

function take(passed: PassedFd): string {
  const toEach = {
    "stream-listener": () => passed.toListener(),
    "stream": () => passed.toStream(),
    "seqpacket-listener": () => passed.toSeqpacketListener(),
    "seqpacket": () => passed.toSeqpacket(),
    "datagram": () => passed.toDatagram(),
    "other": () => passed.toFd(),
  };
  const others = Object.entries(toEach).filter(([kind]) =>
    kind !== passed.kind && kind !== "other"
  );
  const refused = new Set(others.map(([, to]) => codeOf(() => void to())));
  const { fd } = passed;
  using owner = toEach[passed.kind]();
  const again = codeOf(() => passed.toFd());
  passed.close();
  return `${owner.constructor.name} ${owner.fd === fd} ${passed.fd} ${again} ${
    [...refused].sort()
  }`;
}

async function echo(passed: PassedFd): Promise<void> {
  const { kind } = passed;
  if (kind === "datagram") {
    using socket = passed.toDatagram();
    const { data, from } = await socket.receive();
    return await socket.sendTo(data, from);
  }
  if (kind === "stream" || kind === "stream-listener") {
    using listener = kind === "stream" ? null : passed.toListener();
    using stream = listener === null ? passed.toStream() : await listener.accept();
    for await (const chunk of stream) await stream.writeAll(chunk);
    return;
  }
  using listener = passed.toSeqpacketListener();
  using socket = await listener.accept();
  for await (const { data } of socket) await socket.send(data);
}

const [action] = process.argv.slice(2);
try {
  const passed = listenFds({ unsetEnvironment: action === "unset" });
  if (action === "take") {
    say(passed.map(take));
    say(listenFds().length);
  } else if (action === "close") {
    const [first, second, third] = passed;
    const number = first!.intoFd();
    second!.close();
    second!.close();
    {
      using _closed = third!;
    }
    const open = [3, 4, 5, 6].filter((fd) => existsSync(`/proc/self/fd/${fd}`));
    const state = {
      number,
      fds: passed.map(({ fd }) => fd),
      left: listenFds().map(({ fd }) => fd),
    };
    say({ ...state, open, taken: codeOf(() => first!.intoFd()) });
  } else {
    const environment = Object.keys(process.env).filter((name) => name.startsWith("LISTEN_"));
    say({ passed: passed.map(about), environment: environment.sort(), again: listenFds().length });
  }
  if (action === "echo") await echo(passed[0]!);
} catch (error) {
  const environment = Object.keys(process.env).filter((name) => name.startsWith("LISTEN_"));
  say({ error: (error as Error).message, environment: environment.sort() });
}
