/**
 * Connections of an HTTP client that are kept for the next request.
 * @module
 */

import { refusal } from "../../ffi/mod.ts";
import type { Address } from "../address.ts";
import { type Connection, connectionOver, type Lease } from "./exchange.ts";
import type { ServerGate } from "./peer.ts";
import { Semaphore } from "../util/semaphore.ts";
import { UnixStream } from "../stream.ts";

/** How connections are made and kept. */
export interface PoolOptions {
  gate: ServerGate | null;
  maxIdle: number;
  idleTimeout: number;
  /** The most that are open at once, idle ones included. */
  maxConnections: number;
}

interface Idle {
  connection: Connection;
  timer: ReturnType<typeof setTimeout>;
}

/** How much earlier than the server a client closes an idle connection. */
const MARGIN_MS = 500;

/** Makes connections to one address, and keeps a few that are idle. */
export class ConnectionPool {
  readonly #address: Address;
  readonly #options: PoolOptions;
  readonly #idle: Idle[] = [];
  /** One for each connection that is taken or being made. Idle ones need none: they are taken first. */
  readonly #places: Semaphore;
  readonly #taken = new Set<Connection>();
  /** Which connections may still come back: those taken since the last `close`. */
  #generation = 0;

  constructor(address: Address, options: PoolOptions) {
    this.#address = address;
    this.#options = options;
    this.#places = new Semaphore(options.maxConnections);
  }

  /** How many connections are idle. */
  get idle(): number {
    return this.#idle.length;
  }

  /** How many connections are taken. */
  get active(): number {
    return this.#taken.size;
  }

  /** How many wait for one. */
  get waiting(): number {
    return this.#places.waiting;
  }

  /** Whether any connection is kept at all. */
  get keeps(): boolean {
    return this.#options.maxIdle > 0;
  }

  /**
   * The connection that was used last, if the server has not ended it, or a new one; waits in turn
   * where as many are open as may be. What is taken has to be given back or closed here.
   */
  async take(signal: AbortSignal | undefined): Promise<Lease> {
    await this.#places.enter(signal);
    try {
      signal?.throwIfAborted();
      const connection = this.#kept() ?? await this.#connect(signal);
      this.#taken.add(connection);
      return this.#lease(connection);
    } catch (error) {
      this.#places.leave();
      throw error;
    }
  }

  #kept(): Connection | undefined {
    for (let idle; (idle = this.#idle.pop()) !== undefined;) {
      clearTimeout(idle.timer);
      if (isQuiet(idle.connection.stream)) return idle.connection;
      idle.connection.stream.close();
    }
    return undefined;
  }

  async #connect(signal: AbortSignal | undefined): Promise<Connection> {
    const stream = await UnixStream.connect(this.#address, signal === undefined ? {} : { signal });
    let allowed = false;
    try {
      allowed = this.#options.gate === null || await this.#options.gate(stream, signal);
    } finally {
      if (!allowed) stream.close();
    }
    if (allowed) return connectionOver(stream);
    throw refusal("EACCES", {
      action: "Cannot talk to this server",
      syscall: "getsockopt",
      detail: "it is not authorized",
    });
  }

  #lease(connection: Connection): Lease {
    const generation = this.#generation;
    let over = false;
    const giveBack = (keepFor: number): void => {
      // An exchange may end more than once; the connection may be another's by then.
      if (over) return;
      over = true;
      this.#taken.delete(connection);
      if (generation === this.#generation && keepFor > 0) this.#keep(connection, keepFor);
      else connection.stream.close();
      // Whoever waits takes what was kept.
      this.#places.leave();
    };
    const { idleTimeout } = this.#options;
    return {
      connection,
      release: (keepFor) => giveBack(Math.min(idleTimeout, keepFor - MARGIN_MS)),
      close: () => giveBack(0),
    };
  }

  #keep(connection: Connection, milliseconds: number): void {
    if (this.#idle.length >= this.#options.maxIdle) this.#drop(this.#idle[0]!);
    const timer = setTimeout(() => this.#drop(idle), milliseconds);
    (timer as unknown as { unref?(): void }).unref?.();
    const idle = { connection, timer };
    this.#idle.push(idle);
  }

  /** Closes what is idle, and keeps nothing that is under way. */
  close(): void {
    this.#generation++;
    for (const idle of [...this.#idle]) this.#drop(idle);
  }

  #drop(idle: Idle): void {
    clearTimeout(idle.timer);
    const index = this.#idle.indexOf(idle);
    if (index !== -1) this.#idle.splice(index, 1);
    idle.connection.stream.close();
  }
}

/** Whether nothing has come over a connection: neither its end nor bytes that nobody asked for. */
function isQuiet(stream: UnixStream): boolean {
  try {
    stream.peekSync(new Uint8Array(1), { timeout: 0 });
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "ETIMEDOUT";
  }
}
