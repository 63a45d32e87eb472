/**
 * What two ends of a connection do, whoever made them: for programs and tests; nothing needs @std.
 * @module
 */

import { createHash } from "node:crypto";
import { UnixListener, UnixStream } from "../../mod.ts";
import { pattern } from "./data.ts";

/** One end of a connection. */
export interface Connection {
  send(data: Uint8Array): Promise<void>;
  /** Ends the sending; receiving goes on. */
  end(): Promise<void>;
  /** Bytes that came, or null at the end. */
  receive(): Promise<Uint8Array | null>;
  close(): void;
}

/** Sockets of one kind. An address is a path, or NUL and an abstract name. */
export interface Sockets {
  /** Listens until `close`. */
  listen(address: string, accepted: (connection: Connection) => void): Promise<{ close(): void }>;
  connect(address: string): Promise<Connection>;
}

/** What one end does: how many bytes it sends, and when. */
export type Part = "echo" | "both" | "first" | "last";

/** Checksums of what one end sent and received. */
export interface Account {
  sent: string;
  received: string;
}

/**
 * Plays a part to the end and closes.
 *
 * `echo` sends back all that comes, then ends. `both` sends and receives at once. `first` sends
 * all, ends, and receives then; `last` receives to the end first. The seed says which bytes.
 */
export async function play(
  part: Part,
  connection: Connection,
  size: number,
  seed: number,
): Promise<Account> {
  const data = pattern(size, seed);
  const sent = createHash("sha256");
  const received = createHash("sha256");
  const send = async (chunk: Uint8Array) => {
    sent.update(chunk);
    await connection.send(chunk);
  };
  const sendAll = async () => {
    // Sizes that fit into no buffer evenly.
    for (let at = 0; at < size; at += 99_991) await send(data.subarray(at, at + 99_991));
    await connection.end();
  };
  const receiveAll = async () => {
    for (let chunk; (chunk = await connection.receive()) !== null;) {
      received.update(chunk);
      if (part === "echo") await send(chunk);
    }
    if (part === "echo") await connection.end();
  };
  if (part === "echo") await receiveAll();
  else if (part === "both") await Promise.all([sendAll(), receiveAll()]);
  else if (part === "first") await sendAll().then(receiveAll);
  else await receiveAll().then(sendAll);
  connection.close();
  return { sent: sent.digest("hex"), received: received.digest("hex") };
}

/** The part that fits to another. */
export const counterpart: Record<Part, Part> = {
  echo: "both",
  both: "echo",
  first: "last",
  last: "first",
};

function connectionOver(stream: UnixStream): Connection {
  const buffer = new Uint8Array(65536);
  return {
    send: (data) => stream.writeAll(data),
    end: () => Promise.resolve(stream.closeWrite()),
    async receive() {
      const count = await stream.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    },
    close: () => stream.close(),
  };
}

/** The sockets of this library. */
export const afunix: Sockets = {
  listen(address, accepted) {
    const listener = UnixListener.listen(address);
    const serve = async () => {
      for await (const stream of listener) accepted(connectionOver(stream));
    };
    serve();
    return Promise.resolve(listener);
  },
  async connect(address) {
    return connectionOver(await UnixStream.connect(address));
  },
};
