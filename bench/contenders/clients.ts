/**
 * A connected stream socket by each API, as far as the workloads need one. What is not used is not
 * imported: the time to the first reply counts that.
 * @module
 */

import { globals, ownApi } from "./runtimes.ts";

type Finished = void | Promise<void>;

export interface Client {
  /** Whether its methods return promises. */
  readonly waits: boolean;
  /** Writes everything, or has it queued while there is room. */
  write(data: Uint8Array): Finished;
  /** Fills the buffer. */
  receive(into: Uint8Array): Finished;
}

/** Connects by the API of this name. */
export async function connectBy(api: string, path: string): Promise<Client> {
  const clients: Record<string, (path: string) => Promise<Client>> = {
    raw: byRawFfi,
    sync: blocking,
    async: waiting,
    own: ownApi({ deno: byDeno, bun: byBun, net: byNet }),
    net: byNet,
  };
  return await clients[api]!(path);
}

async function byRawFfi(path: string): Promise<Client> {
  const { native } = await import("../../ffi/mod.ts");
  const { UnixStream } = await import("../../mod.ts");
  const { libc } = native();
  const fd = UnixStream.connectSync(path).intoFd();
  // F_SETFL without O_NONBLOCK, as the C contender's descriptor is.
  libc.fcntl(fd, 4, 0);
  return {
    waits: false,
    write(data) {
      for (let sent = 0; sent < data.length;) {
        const result = libc.send(
          fd,
          sent === 0 ? data : data.subarray(sent),
          data.length - sent,
          0x4000,
        );
        if (result < 0) throw new Error("send failed");
        sent += result;
      }
    },
    receive(into) {
      for (let filled = 0; filled < into.length;) {
        const rest = filled === 0 ? into : into.subarray(filled);
        const result = libc.recv(fd, rest, rest.length, 0);
        if (result <= 0) throw new Error("recv failed");
        filled += result;
      }
    },
  };
}

async function blocking(path: string): Promise<Client> {
  const { UnixStream } = await import("../../mod.ts");
  const stream = UnixStream.connectSync(path);
  return {
    waits: false,
    write: (data) => stream.writeAllSync(data),
    receive(into) {
      for (let filled = 0; filled < into.length;) {
        filled += some(stream.readSync(filled === 0 ? into : into.subarray(filled)));
      }
    },
  };
}

async function waiting(path: string): Promise<Client> {
  const { UnixStream } = await import("../../mod.ts");
  const stream = await UnixStream.connect(path);
  return {
    waits: true,
    write: (data) => stream.writeAll(data),
    async receive(into) {
      for (let filled = 0; filled < into.length;) {
        filled += some(await stream.read(filled === 0 ? into : into.subarray(filled)));
      }
    },
  };
}

async function byDeno(path: string): Promise<Client> {
  const connection = await globals.Deno!.connect({ transport: "unix", path });
  return {
    waits: true,
    async write(data) {
      for (let sent = 0; sent < data.length;) {
        sent += await connection.write(sent === 0 ? data : data.subarray(sent));
      }
    },
    async receive(into) {
      for (let filled = 0; filled < into.length;) {
        filled += some(await connection.read(filled === 0 ? into : into.subarray(filled)));
      }
    },
  };
}

async function byBun(path: string): Promise<Client> {
  const incoming = new Incoming();
  let drained = () => {};
  const socket = await globals.Bun!.connect({
    unix: path,
    socket: { data: (_, data) => incoming.push(data), drain: () => drained() },
  });
  const room = () => new Promise<void>((resolve) => drained = resolve);
  const writeRest = async (data: Uint8Array, sent: number) => {
    while (sent < data.length) {
      await room();
      sent += socket.write(data.subarray(sent));
    }
  };
  return {
    waits: true,
    write(data) {
      const sent = socket.write(data);
      return sent < data.length ? writeRest(data, sent) : undefined;
    },
    receive: (into) => incoming.receive(into),
  };
}

async function byNet(path: string): Promise<Client> {
  const { connect } = await import("node:net");
  const incoming = new Incoming();
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).on("error", reject));
  socket.on("data", (data) => incoming.push(data as Uint8Array));
  return {
    waits: true,
    write(data) {
      if (socket.write(data)) return undefined;
      return new Promise<void>((resolve) => socket.once("drain", resolve));
    },
    receive: (into) => incoming.receive(into),
  };
}

function some(count: number | null): number {
  if (count === null) throw new Error("The connection ended");
  return count;
}

/** What came by events, for those who ask. */
class Incoming {
  #early: Uint8Array[] = [];
  #into: Uint8Array | null = null;
  #filled = 0;
  #resolve: () => void = () => {};

  push(data: Uint8Array): void {
    if (this.#into === null) {
      // The runtime may use this memory again.
      this.#early.push(data.slice());
      return;
    }
    this.#into.set(data, this.#filled);
    this.#filled += data.length;
    if (this.#filled < this.#into.length) return;
    this.#into = null;
    this.#resolve();
  }

  receive(into: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#into = into;
      this.#filled = 0;
      this.#resolve = resolve;
      for (const data of this.#early.splice(0)) this.push(data);
    });
  }
}
