/**
 * A server that is replaced while it works: a second one takes over from the first, also under
 * another runtime, and no client notices. Each line is answered with the process and the line.
 *
 *     deno run --allow-ffi examples/hot_restart.ts /tmp/hot.sock
 *     bun examples/hot_restart.ts /tmp/hot.sock
 *     node examples/hot_restart.ts /tmp/hot.sock
 *
 * The newcomer connects to PATH.control. The server that it finds there stops, sends it the two
 * listeners and then every connection, each with what was read and not answered and what was
 * answered and not sent, and ends. Nobody is refused meanwhile: who connects waits in the backlog of
 * the listener, which is always open in one of the two. Where the newcomer fails, the old server goes
 * on. Ctrl-C ends a server. A listener removes only a path that it made, so that the paths of one that
 * took over stay, and the next server replaces them.
 */

import process from "node:process";
import { Fd, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream } from "../mod.ts";

/** How much a client may make us keep of a line, in bytes. */
const MAX_LINE = 16384;
const BUFFER_SIZE = 16384;
/** How long a takeover may take, in milliseconds. */
const PATIENCE = 10_000;
const NEWLINE = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const runtime = process.versions.deno ? "deno" : process.versions.bun ? "bun" : "node";

/** This process's own user, as the kernel knows it: a pair's peer is its maker. */
function ownUser(): number {
  const [a, b] = UnixStream.pair();
  using _a = a;
  using _b = b;
  return a.peerCredentials()!.uid;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** A client, and all that this process knows of it. */
class Connection {
  readonly stream: UnixStream;
  /** What was read and not answered. */
  #input: Uint8Array;
  /** What was answered and not sent. */
  #output: Uint8Array;

  constructor(stream: UnixStream, input = new Uint8Array(), output = new Uint8Array()) {
    this.stream = stream;
    this.#input = input;
    this.#output = output;
  }

  /** Answers line after line until the client ends, or the signal: then all that is left is here. */
  async serve(signal: AbortSignal): Promise<void> {
    const buffer = new Uint8Array(BUFFER_SIZE);
    for (let ended = false;;) {
      // An aborted write has sent nothing, and an aborted read has lost nothing.
      while (this.#output.length > 0) {
        const count = await this.stream.write(this.#output, { signal });
        this.#output = this.#output.subarray(count);
      }
      if (this.#answerNext(ended)) continue;
      if (ended) return;
      if (this.#input.length > MAX_LINE) throw new Error("A line is too long");
      const count = await this.stream.read(buffer, { signal });
      if (count === null) ended = true;
      else this.#input = join(this.#input, buffer.subarray(0, count));
    }
  }

  /** Takes the next line, or what is left at the end; false where there is none. */
  #answerNext(ended: boolean): boolean {
    const at = this.#input.indexOf(NEWLINE);
    if (at === -1 && !(ended && this.#input.length > 0)) return false;
    const length = at === -1 ? this.#input.length : at + 1;
    const prefix = encoder.encode(`${runtime} ${process.pid}: `);
    this.#output = join(prefix, this.#input.subarray(0, length));
    this.#input = this.#input.subarray(length);
    return true;
  }

  /** What the next process has to know: the length of the output, the output and the input. */
  pack(): Uint8Array {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, this.#output.length);
    return join(length, join(this.#output, this.#input));
  }

  static unpack(stream: UnixStream, data: Uint8Array): Connection {
    const length = new DataView(data.buffer, data.byteOffset).getUint32(0);
    return new Connection(stream, data.slice(4 + length), data.slice(4, 4 + length));
  }
}

/** What moves from process to process. */
interface State {
  /** Accepts the clients. */
  listener: UnixListener;
  /** Accepts the process that takes over. */
  control: UnixSeqpacketListener;
  connections: Set<Connection>;
}

/** Serves until it is stopped. */
class Server {
  readonly #state: State;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(state: State) {
    this.#state = state;
    for (const connection of state.connections) this.#start(this.#serve(connection));
    this.#start(this.#accept());
  }

  /** Stops, and loses nothing: the state can be served by another one. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // Ends the loop of #accept(), which may have one connection more by then.
    const fd = this.#state.listener.intoFd();
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#state.listener = UnixListener.fromFd(fd);
  }

  #start(work: Promise<void>): void {
    const running = work.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #accept(): Promise<void> {
    for await (const stream of this.#state.listener) {
      const connection = new Connection(stream);
      this.#state.connections.add(connection);
      this.#start(this.#serve(connection));
    }
  }

  async #serve(connection: Connection): Promise<void> {
    const { signal } = this.#stopping;
    try {
      await connection.serve(signal);
    } catch (error) {
      if (error === signal.reason) return; // It goes on elsewhere.
      if (!connection.stream.closed) console.error((error as Error).message);
    }
    connection.stream.close();
    this.#state.connections.delete(connection);
  }
}

/**
 * Hands everything over. Until the newcomer says that it has all of it, everything stays open here;
 * with the last word, this process gives it up.
 */
async function handOver(state: State, newcomer: UnixSeqpacket): Promise<void> {
  const { listener, control, connections } = state;
  const signal = AbortSignal.timeout(PATIENCE);
  const count = encoder.encode(`${connections.size}`);
  await newcomer.sendMessage(count, { fds: [listener, control], signal });
  for (const connection of connections) {
    await newcomer.sendMessage(connection.pack(), { fds: [connection.stream], signal });
  }
  if (await newcomer.receive({ signal }) === null) throw new Error("The newcomer is gone");
  await newcomer.send(encoder.encode("yours"), { signal });
}

/** Takes everything over from the server at the control socket. */
async function takeOver(server: UnixSeqpacket, user: number): Promise<State> {
  const peer = server.peerCredentials();
  if (peer?.uid !== user) throw new Error(`Cannot take over from user ${peer?.uid}`);
  const signal = AbortSignal.timeout(PATIENCE);
  const next = async (count: number) => {
    const message = await server.receiveMessage({ signal });
    if (message === null) throw new Error("The server hands nothing over");
    if (message.fds.length !== count) throw new Error("Descriptors were lost");
    return message;
  };
  const first = await next(2);
  const listener = UnixListener.fromFd(first.fds[0]!);
  const control = UnixSeqpacketListener.fromFd(first.fds[1]!, { authorize: { uid: [user] } });
  const connections = new Set<Connection>();
  for (let left = Number(decoder.decode(first.data)); left > 0; left--) {
    const { fds, data } = await next(1);
    connections.add(Connection.unpack(UnixStream.fromFd(fds[0]!), data));
  }
  await server.send(encoder.encode("taken"), { signal });
  // Without this word the old server serves on, and two must not.
  if (await server.receive({ signal }) === null) throw new Error("The server goes on itself");
  return { listener, control, connections };
}

/** Connects to the server that runs; null where there is none. */
async function findServer(path: string): Promise<UnixSeqpacket | null> {
  try {
    return await UnixSeqpacket.connect(path, { signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ECONNREFUSED") return null;
    throw error;
  }
}

async function begin(path: string): Promise<State> {
  const user = ownUser();
  using server = await findServer(`${path}.control`);
  if (server !== null) {
    const state = await takeOver(server, user);
    console.log(`Took over ${path} with ${state.connections.size} connections`);
    return state;
  }
  const listener = UnixListener.listen(path);
  const options = { mode: 0o600, authorize: { uid: [user] } };
  const control = UnixSeqpacketListener.listen(`${path}.control`, options);
  console.log(`Listening on ${path}`);
  return { listener, control, connections: new Set() };
}

/** Closes everything here; what was handed over lives on in the other process. */
function leave({ listener, control, connections }: State): void {
  for (const { stream } of connections) stream.close();
  // close() would remove the path of a listener that was made here; giving it away does not.
  for (const socket of [listener, control]) Fd.adopt(socket.intoFd()).close();
}

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: hot_restart.ts PATH");
  process.exit(2);
}

// The library removes, at this end too, the paths that it made and that were not given away.
process.once("SIGINT", () => process.exit());
process.once("SIGTERM", () => process.exit());

try {
  const state = await begin(path);
  let server = new Server(state);
  for await (using newcomer of state.control) {
    await server.stop();
    try {
      await handOver(state, newcomer);
    } catch (error) {
      console.error(`Cannot hand over: ${(error as Error).message}`);
      server = new Server(state);
      continue;
    }
    leave(state);
    console.log(`Handed ${state.connections.size} connections over`);
    break;
  }
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
