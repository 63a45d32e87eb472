/**
 * Connecting. A full backlog answers EAGAIN, and no event tells of room there: only trying again does.
 * @module
 */

import { errnoNumber, failure, sockets } from "../../ffi/mod.ts";
import {
  type Address,
  type AddressLike,
  formatAddress,
  parseAddress,
  type ParsedAddress,
  quote,
} from "../address.ts";
import { bindSocket, removePath } from "./bind.ts";
import { Descriptor } from "../io/descriptor.ts";
import { Operation } from "../io/operation.ts";
import { fulfilled } from "../io/reactor.ts";
import { packPlain, withPeerSockaddr } from "./long_path.ts";
import { createSocket } from "./socket.ts";

/** A connected descriptor and its addresses. */
export interface Connected {
  descriptor: Descriptor;
  localAddr: Address | null;
  remoteAddr: Address | null;
}

/** A connection that is being made: a socket, and where to. */
class Connection {
  readonly descriptor: Descriptor;
  readonly #remote: ParsedAddress;
  readonly #packed: Uint8Array | null;
  readonly #local: Address | null;

  /** Makes the socket, and binds it if `from` is given. */
  constructor(address: AddressLike, from: AddressLike | undefined, type: number) {
    this.#remote = parseAddress(address, "connect");
    const local = from === undefined ? null : parseAddress(from, "bind");
    this.#local = local === null || local.raw.kind === "unnamed" ? null : local.address;
    this.#packed = packPlain(this.#remote.raw);
    this.descriptor = new Descriptor(createSocket(type, () => this.context));
    if (local === null) return;
    try {
      const bound = bindSocket(this.descriptor.fd, local, { stale: "replace", type });
      if (bound !== null) this.descriptor.beforeClose = () => removePath(bound);
    } catch (error) {
      this.descriptor.close();
      throw error;
    }
  }

  /** The beginning of an error's message, and the address. */
  get context(): { action: string; address: string } {
    const { address } = this.#remote;
    return { action: `Cannot connect to ${quote(address)}`, address: formatAddress(address) };
  }

  /** One attempt: 0, or a negated errno; EAGAIN for a full backlog. */
  connectNow(): number {
    const { fd } = this.descriptor;
    if (this.#remote.raw.kind === "unnamed") return -errnoNumber("EINVAL");
    return this.#packed !== null
      ? sockets.connect(fd, this.#packed)
      : withPeerSockaddr(this.#remote.raw, (packed) => sockets.connect(fd, packed));
  }

  get connected(): Connected {
    const { descriptor } = this;
    return { descriptor, localAddr: this.#local, remoteAddr: this.#remote.address };
  }
}

/** A connection that waits for room in the backlog. */
class Connecting extends Operation<Connected> {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    super(connection, connection.context.action, "connect");
    this.#connection = connection;
  }

  attempt(): number {
    return this.#connection.connectNow();
  }

  outcome(): Connected {
    return this.#connection.connected;
  }

  override fail(negated: number, detail?: string): Error {
    return failure(negated, { ...this.#connection.context, syscall: this.syscall, detail });
  }
}

/** Connects, waiting for room in the backlog without blocking. */
export async function connectAsync(
  address: AddressLike,
  from: AddressLike | undefined,
  type: number,
  signal: AbortSignal | undefined,
): Promise<Connected> {
  const connection = new Connection(address, from, type);
  const { descriptor } = connection;
  try {
    const result = connection.connectNow();
    if (result >= 0) return await fulfilled(connection.connected);
    return await descriptor.retrying(CONNECT).goOn(result, new Connecting(connection), signal);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

/** Connects, waiting for room in the backlog while it blocks the thread. */
export function connectBlocking(
  address: AddressLike,
  from: AddressLike | undefined,
  type: number,
  deadline: number,
): Connected {
  const connection = new Connection(address, from, type);
  const { descriptor } = connection;
  try {
    const result = connection.connectNow();
    if (result >= 0) return connection.connected;
    return descriptor.retrying(CONNECT).goOnSync(result, new Connecting(connection), deadline);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

/** The key of the queue in which a connection waits. */
const CONNECT = "connect";
