/**
 * A message bus (dbus-daemon) and connections to it, with descriptors in their messages.
 * @module
 */

import { writeFileSync } from "node:fs";
import process from "node:process";
import { join } from "@std/path";
import { type Fd, type FdLike, UnixStream } from "../../mod.ts";
import { Reader, type Variant, Writer } from "./dbus_values.ts";
import { joined, Peer, readExactly } from "./interop.ts";
import { bytes, text, withTempDir } from "./sockets.ts";

/** The bus itself, as the destination of calls. */
export const BUS = "org.freedesktop.DBus";

/** Starts a bus of our own, for the time of a body. */
export async function withBus(body: (path: string, daemon: Peer) => Promise<void>): Promise<void> {
  await withTempDir(async (directory) => {
    const [path, config] = [join(directory, "bus"), join(directory, "conf")];
    writeFileSync(
      config,
      `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
        "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
      <busconfig>
        <listen>unix:path=${path}</listen>
        <auth>EXTERNAL</auth>
        <policy context="default">
          <allow send_destination="*"/>
          <allow receive_sender="*"/>
          <allow own="*"/>
        </policy>
        <limit name="max_message_unix_fds">253</limit>
      </busconfig>`,
    );
    await using daemon = new Peer([
      ...["dbus-daemon", `--config-file=${config}`, "--nofork", "--print-address"],
    ]);
    await daemon.line();
    await body(path, daemon);
  });
}

/** The types of messages, by their numbers. */
const TYPES = ["invalid", "call", "return", "error", "signal"] as const;

/** The fields of a header, by their numbers, with their types. */
const FIELDS = [
  ["invalid", ""],
  ["path", "o"],
  ["interface", "s"],
  ["member", "s"],
  ["errorName", "s"],
  ["replySerial", "u"],
  ["destination", "s"],
  ["sender", "s"],
  ["signature", "g"],
  ["unixFds", "u"],
] as const;

interface Fields {
  path?: string;
  interface?: string;
  member?: string;
  errorName?: string;
  replySerial?: number;
  destination?: string;
  sender?: string;
  signature?: string;
  /** How many descriptors go along. */
  unixFds?: number;
}

/** A message to send: for each `h` of its signature the body has an index into `fds`. */
export interface Outgoing extends Fields {
  type: typeof TYPES[number];
  body?: readonly unknown[];
  fds?: readonly FdLike[];
}

/** A message that came, whose descriptors its receiver has to close. */
export interface Incoming extends Fields {
  type: typeof TYPES[number];
  serial: number;
  body: unknown[];
  fds: Fd[];
}

/** The first part of each message, of fixed length: four bytes, and three numbers. */
const HEAD = 16;

function packed(message: Outgoing, serial: number): Uint8Array<ArrayBuffer> {
  const { signature = "", body = [], fds = [] } = message;
  const content = new Writer().write(signature, body).bytes;
  const all: Fields = { unixFds: fds.length, ...message };
  const fields: [number, Variant][] = [];
  for (const [number, [name, type]] of FIELDS.entries()) {
    const value = name === "invalid" ? undefined : all[name];
    if (value && value !== "") fields.push([number, { signature: type, value }]);
  }
  const head = [0x6c, /* l: the lowest byte first */ TYPES.indexOf(message.type), 0, 1];
  const header = new Writer()
    .write("yyyyuua(yv)", [...head, content.length, serial, fields])
    .align(8);
  return joined(header.bytes, content);
}

/** The length of a message, by its first 16 bytes. */
function lengthOf(head: Uint8Array<ArrayBuffer>): number {
  const [, , , , bodyLength, , fieldsLength] = new Reader(head).read("yyyyuuu") as number[];
  return HEAD + Math.ceil(fieldsLength! / 8) * 8 + bodyLength!;
}

function unpacked(data: Uint8Array<ArrayBuffer>): Omit<Incoming, "fds"> {
  const reader = new Reader(data);
  const [, type, , , , serial, fields] = reader.read("yyyyuua(yv)");
  const known = (fields as [number, Variant][]).map(([number, { value }]) => [
    FIELDS[number]?.[0] ?? "invalid",
    value,
  ]);
  const named = Object.fromEntries(known) as Fields;
  const body = reader.align(8).read(named.signature ?? "");
  return { ...named, type: TYPES[type as number]!, serial: serial as number, body };
}

/** A connection to a bus. */
export class BusConnection implements Disposable {
  readonly stream: UnixStream;
  /** The name that the bus gave us, ":1.4" for instance. */
  name = "";
  #serial = 0;
  /** What has come and is not yet part of a message. */
  #data: Uint8Array<ArrayBuffer> = new Uint8Array();
  #fds: Fd[] = [];
  /** Messages that came while the reply to a call was waited for. */
  #kept: Incoming[] = [];

  private constructor(stream: UnixStream) {
    this.stream = stream;
  }

  /** Connects, authenticates by the credentials of the socket, and agrees to pass descriptors. */
  static async open(path: string): Promise<BusConnection> {
    const connection = new BusConnection(await UnixStream.connect(path));
    const { stream } = connection;
    await stream.writeAll(new Uint8Array(1));
    const uid = Array.from(bytes(String(process.geteuid!())), (byte) => byte.toString(16)).join("");
    await expect(stream, `AUTH EXTERNAL ${uid}`, "OK ");
    await expect(stream, "NEGOTIATE_UNIX_FD", "AGREE_UNIX_FD");
    await stream.writeAll(bytes("BEGIN\r\n"));
    const { body: [name] } = await connection.callBus("Hello");
    connection.name = name as string;
    return connection;
  }

  /** Sends a message, and returns its serial number. */
  async send(message: Outgoing): Promise<number> {
    const serial = ++this.#serial;
    await this.stream.sendMessage(packed(message, serial), { fds: message.fds });
    return serial;
  }

  /** Calls a method, and returns the reply to it, also where that is an error. */
  async call(message: Omit<Outgoing, "type">): Promise<Incoming> {
    const serial = await this.send({ ...message, type: "call" });
    for (;;) {
      const incoming = await this.#next();
      if (incoming.replySerial === serial) return incoming;
      this.#kept.push(incoming);
    }
  }

  /** Calls a method of the bus itself. */
  callBus(member: string, signature = "", ...body: unknown[]): Promise<Incoming> {
    const path = "/org/freedesktop/DBus";
    return this.call({ destination: BUS, path, interface: BUS, member, signature, body });
  }

  /** The next message that another connection sent, and not the bus. */
  async receive(): Promise<Incoming> {
    for (;;) {
      const message = this.#kept.shift() ?? await this.#next();
      if (message.sender !== BUS) return message;
    }
  }

  /** The next message, whatever it is. */
  async #next(): Promise<Incoming> {
    await this.#fill(HEAD);
    const length = lengthOf(this.#data);
    await this.#fill(length);
    const message = unpacked(this.#data.slice(0, length));
    this.#data = this.#data.slice(length);
    return { ...message, fds: this.#fds.splice(0, message.unixFds ?? 0) };
  }

  /** Waits until so many bytes are there, and with them the descriptors of these messages. */
  async #fill(size: number): Promise<void> {
    while (this.#data.length < size) {
      using message = await this.stream.receiveMessage();
      if (message === null) throw new Error("The bus ended the connection");
      if (message.controlTruncated) throw new Error("Some descriptors were lost");
      this.#data = joined(this.#data, message.data);
      this.#fds.push(...message.fds.splice(0));
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd.close();
    for (const { fds } of this.#kept) for (const fd of fds) fd.close();
    this.stream.close();
  }
}

/** Sends a line, and reads the answer, which has to begin with this. */
async function expect(stream: UnixStream, line: string, beginning: string): Promise<void> {
  await stream.writeAll(bytes(`${line}\r\n`));
  let answer = "";
  while (!answer.endsWith("\n")) {
    const byte = await readExactly(stream, 1);
    if (byte.length === 0) throw new Error(`The bus ended the connection after ${line}`);
    answer += text(byte);
  }
  if (!answer.startsWith(beginning)) throw new Error(`The bus answered ${line} with ${answer}`);
}
