/**
 * The sockets that the runtimes have of their own, behind one interface; nothing needs @std.
 * @module
 */

import { createConnection, createServer, type Socket } from "node:net";
import type { Connection, Sockets } from "./conversations.ts";
import type { RuntimeName } from "./runtime.ts";

/** The names of the kinds of sockets that a runtime has. */
export const OWN_SOCKETS: Record<RuntimeName, readonly string[]> = {
  deno: ["node:net", "Deno"],
  bun: ["node:net", "Bun"],
  node: ["node:net"],
};

/** Wakes one that waits; what is asked for again and again. */
class Gate {
  #open: () => void = () => {};
  wake = (): void => this.#open();
  pass(): Promise<void> {
    return new Promise((resolve) => this.#open = resolve);
  }
}

function connectionOverNode(socket: Socket): Connection {
  const gate = new Gate();
  let ended = false;
  let failure: Error | null = null;
  socket.on("readable", gate.wake);
  socket.on("end", () => {
    ended = true;
    gate.wake();
  });
  socket.on("error", (error) => {
    failure = error;
    gate.wake();
  });
  return {
    send: (data) =>
      new Promise((resolve, reject) =>
        socket.write(data, (error) => error ? reject(error) : resolve())
      ),
    end: () => new Promise((resolve) => socket.end(() => resolve())),
    async receive() {
      for (;;) {
        const chunk = socket.read();
        if (chunk !== null) return chunk;
        if (failure !== null) throw failure;
        if (ended) return null;
        await gate.pass();
      }
    },
    close: () => void socket.destroy(),
  };
}

const nodeSockets: Sockets = {
  listen(address, accepted) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted(connectionOverNode(socket));
    });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: address }, () => resolve({ close: () => void server.close() }));
    });
  },
  connect(address) {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ path: address, allowHalfOpen: true });
      socket.once("error", reject);
      socket.once("connect", () => resolve(connectionOverNode(socket)));
    });
  },
};

interface DenoConn {
  read(buffer: Uint8Array): Promise<number | null>;
  write(data: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

interface DenoNet {
  listen(options: { transport: "unix"; path: string }): AsyncIterable<DenoConn> & { close(): void };
  connect(options: { transport: "unix"; path: string }): Promise<DenoConn>;
}

function connectionOverDeno(conn: DenoConn): Connection {
  const buffer = new Uint8Array(65536);
  return {
    async send(data) {
      for (let at = 0; at < data.length;) at += await conn.write(data.subarray(at));
    },
    end: () => conn.closeWrite(),
    async receive() {
      const count = await conn.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    },
    close: () => conn.close(),
  };
}

function denoSockets(deno: DenoNet): Sockets {
  return {
    listen(path, accepted) {
      const listener = deno.listen({ transport: "unix", path });
      const serve = async () => {
        for await (const conn of listener) accepted(connectionOverDeno(conn));
      };
      serve();
      return Promise.resolve(listener);
    },
    async connect(path) {
      return connectionOverDeno(await deno.connect({ transport: "unix", path }));
    },
  };
}

interface BunSocket {
  data: BunConnection;
  write(data: Uint8Array): number;
  flush(): void;
  shutdown(): void;
  terminate(): void;
}

interface BunNet {
  listen(options: unknown): { stop(closeActive?: boolean): void };
  connect(options: unknown): Promise<BunSocket>;
}

class BunConnection implements Connection {
  readonly #socket: BunSocket;
  readonly #arrived = new Gate();
  readonly #drained = new Gate();
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #failure: Error | null = null;

  constructor(socket: BunSocket) {
    this.#socket = socket;
  }

  static readonly handlers = {
    data(socket: BunSocket, chunk: Uint8Array) {
      socket.data.#chunks.push(chunk.slice());
      socket.data.#arrived.wake();
    },
    drain: (socket: BunSocket) => socket.data.#drained.wake(),
    end: (socket: BunSocket) => socket.data.#finish(null),
    close: (socket: BunSocket) => socket.data.#finish(null),
    error: (socket: BunSocket, error: Error) => socket.data.#finish(error),
  };

  #finish(failure: Error | null): void {
    this.#ended = true;
    this.#failure ??= failure;
    this.#arrived.wake();
    this.#drained.wake();
  }

  async send(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length;) {
      const written = this.#socket.write(data.subarray(at));
      if (written < 0) throw this.#failure ?? new Error("Bun's socket is closed");
      at += written;
      if (at < data.length) await this.#drained.pass();
    }
  }

  end(): Promise<void> {
    this.#socket.flush();
    this.#socket.shutdown();
    return Promise.resolve();
  }

  async receive(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) return chunk;
      if (this.#failure !== null) throw this.#failure;
      if (this.#ended) return null;
      await this.#arrived.pass();
    }
  }

  close(): void {
    this.#socket.terminate();
  }
}

function bunSockets(bun: BunNet): Sockets {
  const open = (accepted?: (connection: Connection) => void) => (socket: BunSocket) => {
    socket.data = new BunConnection(socket);
    accepted?.(socket.data);
  };
  return {
    listen(address, accepted) {
      const socket = { ...BunConnection.handlers, open: open(accepted) };
      const server = bun.listen({ unix: address, allowHalfOpen: true, socket });
      return Promise.resolve({ close: () => server.stop() });
    },
    async connect(address) {
      const socket = { ...BunConnection.handlers, open: open() };
      return (await bun.connect({ unix: address, allowHalfOpen: true, socket })).data;
    },
  };
}

/** The sockets of one of the names above, in this runtime. */
export function ownSockets(name: string): Sockets {
  const { Bun, Deno } = globalThis as unknown as { Bun: BunNet; Deno: DenoNet };
  if (name === "Bun") return bunSockets(Bun);
  if (name === "Deno") return denoSockets(Deno);
  return nodeSockets;
}
