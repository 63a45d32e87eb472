/**
 * A server that has nothing to do, in a state that could keep it busy. Prints how much processor
 * time, and how many looks at the epoll set, two seconds took. Argument: the state.
 */

import process from "node:process";
import { native } from "../../ffi/mod.ts";
import { UnixListener, UnixStream } from "../../mod.ts";

const what = process.argv[2]!;
const WINDOW = 2000;
const byte = () => new Uint8Array(1);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const name = `\0afunix-idle-${process.pid}`;
const listener = UnixListener.listen(name);

/** A connection whose accepted end is in the epoll set. */
async function connection(): Promise<[client: UnixStream, server: UnixStream]> {
  const accepting = listener.accept();
  const client = await UnixStream.connect(name);
  const server = await accepting;
  const reading = server.read(byte());
  await pause(1);
  await client.writeAll(byte());
  await reading;
  return [client, server];
}

const [client, server] = await connection();
const kept: unknown[] = [client, server];

const states: Record<string, () => Promise<void>> = {
  async "connections"() {
    for (let i = 0; i < 50; i++) {
      const pair = await connection();
      kept.push(pair);
      pair[1].read(byte()).catch(() => {});
    }
  },
  async "unread"() {
    await client.writeAll(byte());
  },
  async "hung up"() {
    client.close();
    await pause(1);
  },
  async "half closed"() {
    client.closeWrite();
    await server.read(byte());
  },
  async "full"() {
    server.writeAll(new Uint8Array(1_000_000)).catch(() => {});
    await pause(1);
  },
  async "full backlog"() {
    // Connections that nobody accepts, at another listener in the epoll set.
    const other = UnixListener.listen(`${name}-other`);
    const accepting = other.accept();
    kept.push(other, await UnixStream.connect(`${name}-other`), await accepting);
    for (let i = 0; i < 3; i++) kept.push(UnixStream.connectSync(`${name}-other`));
  },
};

await states[what]!();
listener.accept().catch(() => {});
// The runtime itself is still compiling, and collecting what starting up has left.
await pause(300);

const libc = native().libc as { epoll_wait: (...args: never[]) => number };
const { epoll_wait } = libc;
let looks = 0;
libc.epoll_wait = (...args) => {
  looks++;
  return epoll_wait(...args);
};
const before = process.cpuUsage();
await pause(WINDOW);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ percent: (user + system) / WINDOW / 10, looks }));
process.exit();
