/**
 * Connections of an HTTP client that are kept for the next request.
 * @module
 */

import { refusal } from "../ffi/mod.ts";
import type { Address } from "./address.ts";
import { type Connection, connectionOver } from "./http_exchange.ts";
import type { ServerGate } from "./http_peer.ts";
import { UnixStream } from "./stream.ts";

/** How connections are made and kept. */
export interface PoolOptions {
  gate: ServerGate | null;
  maxIdle: number;
  idleTimeout: number;
}

interface Idle {
  connection: Connection;
  timer: ReturnType<typeof setTimeout>;
}

/** Servers close what they said they keep for so long; a client had better be earlier. */
const MARGIN = 500;

/** Makes connections to one address, and keeps a few that are idle. */
export class ConnectionPool {
  readonly #address: Address;
  readonly #options: PoolOptions;
  readonly #idle: Idle[] = [];
  /** Which connections may still come back: those taken since the last `close`. */
  #generation = 0;

  constructor(address: Address, options: PoolOptions) {
    this.#address = address;
    this.#options = options;
  }

  /** How many connections are idle. */
  get idle(): number {
    return this.#idle.length;
  }

  /** Whether any connection is kept at all. */
  get keeps(): boolean {
    return this.#options.maxIdle > 0;
  }

  /** The connection that was used last, if the server has not ended it, or a new one. */
  async take(signal: AbortSignal | undefined): Promise<Connection> {
    for (let idle; (idle = this.#idle.pop()) !== undefined;) {
      clearTimeout(idle.timer);
      if (isQuiet(idle.connection.stream)) return idle.connection;
      idle.connection.stream.close();
    }
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

  /** What takes a connection back that is taken now. */
  releasing(): (connection: Connection, keepFor: number) => void {
    const generation = this.#generation;
    return (connection, keepFor) => {
      const kept = Math.min(this.#options.idleTimeout, keepFor - MARGIN);
      if (generation !== this.#generation || kept <= 0) return connection.stream.close();
      if (this.#idle.length >= this.#options.maxIdle) this.#drop(this.#idle[0]!);
      const timer = setTimeout(() => this.#drop(idle), kept);
      (timer as unknown as { unref?(): void }).unref?.();
      const idle = { connection, timer };
      this.#idle.push(idle);
    };
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
