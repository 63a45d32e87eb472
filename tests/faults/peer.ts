/**
 * The other end of a run, in a process of its own: does what a script says (script.ts), one thing after
 * the other and blocking, and notes in a file what came of it. Arguments: the abstract name to connect
 * to, the file, and the script in JSON. It may be stopped and killed at any moment.
 */

import { existsSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import {
  abstract,
  Fd,
  type ReceivedMessage,
  UnixDatagram,
  UnixSeqpacket,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { numbered } from "./numbers.ts";
import type { Note } from "./peer_process.ts";
import type { Action, Script } from "./script.ts";

const [name, file, text] = process.argv.slice(2) as [string, string, string];
const { role, transport, actions }: Script = JSON.parse(text);
const notes = openSync(file, "a");

function note(line: Note): void {
  writeSync(notes, `${JSON.stringify(line)}\n`);
}

type Socket = UnixStream | UnixSeqpacket | UnixDatagram;

function connected(): UnixStream | UnixSeqpacket {
  const Type = transport === "stream" ? UnixStream : UnixSeqpacket;
  return Type.connectSync(abstract(name));
}

/** Datagrams are sent to and fro when both sides have said so. */
function greeted(): UnixDatagram {
  const socket = UnixDatagram.bind(abstract(`${name}-peer`));
  socket.connect(abstract(name)).sendSync(new Uint8Array());
  socket.receiveSync();
  return socket;
}

function codeOf(error: unknown): string {
  if (error instanceof UnixSocketError) return error.code;
  throw error;
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

// The other end.

const files = [0, 1, 2, 3].map((number) => {
  const file = Fd.memfd(`of the peer ${number}`);
  file.pwriteSync(Uint32Array.of(number), 0);
  return file;
});
files.push(Fd.pipe()[1]);

function numberOf(fd: Fd): number {
  if (fd.kind === "pipe") return 4;
  const content = new Uint32Array(1);
  return fd.preadSync(content, 0) === 4 ? content[0]! : -1;
}

function write(socket: Socket, { id, size, fds }: Action): void {
  const data = numbered(size, id);
  try {
    if (fds.length > 0) socket.sendMessageSync(data, { fds: fds.map((number) => files[number]!) });
    else if (socket instanceof UnixStream) socket.writeAllSync(data);
    else socket.sendSync(data);
    note({ wrote: id });
  } catch (error) {
    const taken = error instanceof UnixSocketError ? error.bytesTransferred ?? 0 : 0;
    note({ failed: id, taken, code: codeOf(error) });
  }
}

/** The next message, or null at the end: of datagrams, when nothing is left and nothing more will be sent. */
function next(socket: Socket, size: number): ReceivedMessage | null {
  if (socket instanceof UnixStream) return socket.receiveMessageSync({ size });
  if (socket instanceof UnixSeqpacket) return socket.receiveMessageSync();
  for (;;) {
    const isLast = existsSync(`${file}.over`);
    try {
      return socket.receiveMessageSync({ timeout: 1 });
    } catch (error) {
      if (codeOf(error) !== "ETIMEDOUT") throw error;
      if (isLast) return null;
    }
  }
}

/** False when the end was seen. */
function read(socket: Socket, size: number): boolean {
  try {
    const message = next(socket, size);
    if (message === null) {
      note({ end: true });
      return false;
    }
    using got = message;
    const fds = got.fds.map(numberOf);
    note({ got: Buffer.from(got.data).toString("base64"), fds, cut: got.controlTruncated });
  } catch (error) {
    note({ error: codeOf(error) });
  }
  return true;
}

function endWriting(socket: Socket): void {
  try {
    socket.shutdown("write");
  } catch (error) {
    // A datagram socket whose peer is gone has nothing to end.
    if (codeOf(error) !== "ENOTCONN") throw error;
  }
}

function talk(): void {
  using socket: Socket = transport === "datagram" ? greeted() : connected();
  let more = true;
  for (const action of actions) {
    switch (action.what) {
      case "write":
        write(socket, action);
        break;
      case "read":
        for (let i = 0; i < action.times && more; i++) {
          more = read(socket, action.size);
          if (action.pause > 0) pause(action.pause);
        }
        break;
      case "pause":
        pause(action.size);
        break;
      case "stop":
        process.kill(process.pid, "SIGSTOP");
        break;
      case "shutdown":
        endWriting(socket);
        break;
      case "close":
        return;
    }
  }
  endWriting(socket);
  while (more) more = read(socket, 30_000);
}

// Clients.

function visit(): void {
  const open = new Map<number, UnixStream | UnixSeqpacket>();
  for (const { what, client, size } of actions) {
    const socket = open.get(client);
    try {
      if (what === "pause") {
        pause(size);
      } else if (what === "connect") {
        open.set(client, connected());
        note({ connected: client });
      } else if (what === "say") {
        if (socket instanceof UnixStream) socket.writeAllSync(numbered(8, client));
        else socket?.sendSync(numbered(8, client));
      } else if (what === "leave") {
        socket?.close();
        open.delete(client);
      } else if (what === "hear" && socket !== undefined) {
        note({ heard: client, bytes: Buffer.from(heard(socket)).toString("base64") });
        socket.close();
        open.delete(client);
      }
    } catch (error) {
      note({ refused: client, code: codeOf(error) });
    }
  }
}

/** All that comes until the end. */
function heard(socket: UnixStream | UnixSeqpacket): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const message = socket.receiveMessageSync({ size: 100 });
    if (message === null) return new Uint8Array(Buffer.concat(parts));
    parts.push(message.data);
  }
}

note({ ready: true });
if (role === "clients") visit();
else talk();
note({ done: true });
process.exit(0);
