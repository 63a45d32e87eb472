/**
 * Programs that were not written here, as peers.
 * @module
 */

import { randomUUID } from "node:crypto";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { Address, AddressLike, UnixListener, UnixStream } from "../../mod.ts";
import { digest } from "./data.ts";
import { type ProcessOptions, TestProcess } from "./process.ts";
import { withTempDir } from "./sockets.ts";

export * from "./data.ts";

/** A program that talks in lines. */
export class Peer extends TestProcess {
  #lines = 0;

  /** The next line that it prints. */
  async line(): Promise<string> {
    this.#lines++;
    const output = await this.waitFor(new RegExp(`^(?:[^\\n]*\\n){${this.#lines}}`));
    return output.split("\n")[this.#lines - 1]!;
  }

  /** The next line, as JSON. */
  async json<T>(): Promise<T> {
    return JSON.parse(await this.line()) as T;
  }

  /** Tells it a line, as its standard input. */
  tell(line = ""): void {
    this.write(`${line}\n`);
  }

  /** Ends its standard input, waits until it has ended with code 0, and returns its output. */
  async succeeded(): Promise<string> {
    this.closeStdin();
    const { code, signal, stdout, stderr } = await this.finished;
    assertEquals({ code, signal }, { code: 0, signal: null }, stderr || stdout);
    return stdout;
  }
}

/** What each Python script below can use. */
const PRELUDE = `
import array, hashlib, json, os, select, signal, socket, stat, struct, sys, threading

args = sys.argv[1:]

def say(*words):
    print(*words, flush=True)

def hear():
    line = sys.stdin.readline()
    if not line:
        sys.exit("nobody says how to go on")
    return line.rstrip("\\n")

def listening(address, backlog=64):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(backlog)
    return listener

def connected(address):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(address)
    return client

def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)

def digest(data):
    return hashlib.sha256(data).hexdigest()

def shown(address):
    return os.fsencode(address).hex()

def peer_credentials(connection):
    return struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
`;

/**
 * Starts Python on a script, which finds `args`, `say()` and `hear()` and more besides the modules.
 * Bytes come to it as hexadecimal text. `through` is a command that starts another.
 */
export function python(
  script: string,
  args: readonly (string | number | Uint8Array)[],
  options?: ProcessOptions,
  through: readonly string[] = [],
): Peer {
  const words = args.map((arg) => arg instanceof Uint8Array ? hex(arg) : String(arg));
  const source = `${PRELUDE}\n${withoutIndentation(script)}`;
  return new Peer([...through, "python3", "-I", "-S", "-c", source, ...words], options);
}

function withoutIndentation(text: string): string {
  const lines = text.split("\n");
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/));
  const indent = Math.min(...indents);
  return lines.map((line) => line.slice(indent)).join("\n");
}

/** Bytes as hexadecimal text. */
export function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Several arrays or texts as one. */
export function joined(...parts: (string | Uint8Array | number[])[]): Uint8Array<ArrayBuffer> {
  const arrays = parts.map((part) =>
    typeof part === "string" ? new TextEncoder().encode(part) : Uint8Array.from(part)
  );
  const whole = new Uint8Array(arrays.reduce((length, array) => length + array.length, 0));
  let offset = 0;
  for (const array of arrays) {
    whole.set(array, offset);
    offset += array.length;
  }
  return whole;
}

/** The bytes of an address as the kernel has them: a path, or NUL and an abstract name. */
export function addressBytes(address: Address): Uint8Array {
  switch (address.kind) {
    case "pathname":
      return address.bytes ?? joined(address.path);
    case "abstract":
      return joined([0], address.name);
    case "unnamed":
      return joined();
  }
}

/** An abstract name, without its NUL, that nobody else uses. */
export function freshName(): string {
  return `afunix-${randomUUID()}`;
}

/** Accepts a connection of a peer's; rejects with what the peer said when it ends without one. */
export async function acceptFrom(peer: Peer, listener: UnixListener): Promise<UnixStream> {
  const giveUp = new AbortController();
  const stop = () => giveUp.abort();
  peer.finished.then(stop, stop);
  try {
    return await listener.accept({ signal: giveUp.signal });
  } catch (error) {
    if (!giveUp.signal.aborted) throw error;
  }
  try {
    return listener.acceptSync({ timeout: 0 });
  } catch (cause) {
    throw new Error(`The peer ended without a connection: ${peer.stderr}`, { cause });
  }
}

/** Sends back all that comes, to the end, ends too, and closes. */
export async function echo(stream: UnixStream): Promise<void> {
  using open = stream;
  for await (const chunk of open) await open.writeAll(chunk);
  open.closeWrite();
}

/** Addresses of both kinds: what this library is told, and what Python is. */
export async function withAddresses(
  body: (addresses: { server: AddressLike; client: AddressLike; args: Uint8Array[] }) => unknown,
): Promise<void> {
  await withTempDir(async (directory) => {
    const paths = ["s", "c"].map((name) => joined(join(directory, name)));
    const names = [joined([0], freshName(), [0, 255]), joined([0], freshName())];
    for (const [server, client] of [paths, names] as [Uint8Array, Uint8Array][]) {
      await body({ server, client, args: [server, client] });
    }
  });
}

/** Lengths of messages, empty ones among them. */
export const SIZES: readonly number[] = [0, 1, 2, 107, 4096, 65_535, 65_536, 0, 200_000];

/** What is digested of a message. */
export function summary(data: Uint8Array): [number, string] {
  return [data.length, digest(data)];
}
