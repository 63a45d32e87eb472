/**
 * A model of the part of macOS's libc that ffi/darwin/kqueue.ts, ffi/darwin/libc.ts, ffi/darwin/messages.ts and
 * ffi/darwin/credentials.ts call. It reads and writes the bytes that they pack. It is no Mac: what it
 * does is what the manuals of macOS say.
 */

import { type Abi, abiFor } from "../../ffi/abi/mod.ts";
import { installDebugging, nativeOf, useNative } from "../../ffi/native.ts";
import type { Runtime } from "../../ffi/runtime/runtime.ts";
import { readField, writeField } from "../../ffi/structs/field.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";

/** An open descriptor of the model. */
export interface Opened {
  kind: "socket" | "pipe" | "kqueue";
  closeOnExec: boolean;
  nonblocking: boolean;
  noSigpipe: boolean;
  /** Bytes that wait to be read, and room that waits to be written. */
  readable: number;
  writable: number;
  ended: boolean;
}

/** A filter in a kqueue. */
interface Knote {
  token: number;
  due: boolean;
}

const abi = abiFor("darwin", "arm64") as Abi;
const { constants, layouts } = abi;
const darwin = abi.darwin!;

export class Mac {
  readonly errno = new Int32Array(1);
  readonly files = new Map<number, Opened>();
  readonly knotes = new Map<string, Knote>();
  /** What SOL_LOCAL options answer with: bytes, or an errno. */
  readonly local = new Map<number, Uint8Array | number>();
  /** What the next call of this name fails with, after so many that succeed. */
  readonly failures = new Map<string, { errno: number; after: number }>();
  /** The messages that wait: lengths. */
  messages: number[] = [];
  readonly calls: string[] = [];
  #next = 3;

  open(kind: Opened["kind"]): number {
    const fd = this.#next++;
    this.files.set(fd, {
      kind,
      closeOnExec: false,
      nonblocking: false,
      noSigpipe: false,
      readable: 0,
      writable: 1,
      ended: false,
    });
    return fd;
  }

  /** Something happens to a descriptor, of which its filters hear. */
  happens(fd: number, what: Partial<Opened>): void {
    Object.assign(this.files.get(fd)!, what);
    for (const [key, knote] of this.knotes) {
      if (key.split(" ")[0] === `${fd}` && this.#isDue(key)) knote.due = true;
    }
  }

  #isDue(key: string): boolean {
    const [fd, filter] = key.split(" ");
    const file = this.files.get(Number(fd))!;
    if (file.ended) return true;
    return filter === `${darwin.EVFILT_READ}` ? file.readable > 0 : file.writable > 0;
  }

  #fail(errno: string): -1 {
    this.errno[0] = abi.errno[errno as keyof typeof abi.errno]!;
    return -1;
  }

  /** Notes a call; whether it is one that has to fail. */
  #fails(name: string): boolean {
    this.calls.push(name);
    const failure = this.failures.get(name);
    if (failure === undefined) return false;
    if (failure.after-- > 0) return false;
    this.failures.delete(name);
    this.errno[0] = failure.errno;
    return true;
  }

  #change(event: DataView): number {
    const { fields } = layouts.kevent!;
    const fd = readField(event, fields.ident);
    const filter = event.getInt16(fields.filter[0], true);
    const flags = readField(event, fields.flags);
    const key = `${fd} ${filter}`;
    if (!this.files.has(fd)) return abi.errno.EBADF!;
    if (flags & darwin.EV_DELETE) return this.knotes.delete(key) ? 0 : abi.errno.ENOENT!;
    if (!(flags & darwin.EV_CLEAR)) throw new Error("not edge-triggered");
    if (this.#fails(`EV_ADD ${filter}`)) return this.errno[0]!;
    const token = readField(event, fields.udata);
    this.knotes.set(key, { token, due: this.#isDue(key) });
    return 0;
  }

  #kevent(
    changes: DataView | null,
    count: number,
    events: DataView,
    room: number,
    waits: boolean,
  ): number {
    if (this.#fails("kevent")) return -1;
    const { size, fields } = layouts.kevent!;
    const at = (view: DataView, i: number) =>
      new DataView(view.buffer, view.byteOffset + i * size, size);
    let filled = 0;
    for (let i = 0; i < count; i++) {
      const event = at(changes!, i);
      if (!(readField(event, fields.flags) & darwin.EV_RECEIPT)) {
        throw new Error("no receipt asked");
      }
      const errno = this.#change(event);
      const receipt = at(events, filled++);
      for (const name of ["ident", "filter", "udata"] as const) {
        writeField(receipt, fields[name], readField(event, fields[name]));
      }
      writeField(receipt, fields.flags, darwin.EV_ERROR);
      writeField(receipt, fields.data, errno);
    }
    if (count > 0) return filled;
    if (waits) throw new Error("the thread would block");
    for (const [key, knote] of this.knotes) {
      if (!knote.due || filled === room) continue;
      knote.due = false;
      const [fd, filter] = key.split(" ").map(Number) as [number, number];
      const event = at(events, filled++);
      writeField(event, fields.ident, fd);
      writeField(event, fields.filter, filter & 0xffff);
      writeField(event, fields.flags, this.files.get(fd)!.ended ? darwin.EV_EOF : 0);
      writeField(event, fields.udata, knote.token);
    }
    return filled;
  }

  #option(fd: number, level: number, name: number, value: DataView, length: DataView): number {
    if (!this.files.has(fd)) return this.#fail("EBADF");
    let answer: Uint8Array | number = abi.errno.ENOPROTOOPT!;
    if (level === darwin.SOL_LOCAL) answer = this.local.get(name) ?? answer;
    else if (name === darwin.SO_NREAD) answer = bytesOf(this.messages[0] ?? 0);
    if (typeof answer === "number") {
      this.errno[0] = answer;
      return -1;
    }
    new Uint8Array(value.buffer, value.byteOffset).set(answer.subarray(0, value.byteLength));
    length.setUint32(0, answer.length, true);
    return 0;
  }

  /** One message into a header, cut off where its room is too small. */
  #receive(header: DataView): number {
    const waiting = this.messages.shift();
    if (waiting === undefined) return this.#fail("EAGAIN");
    const room = 10;
    writeField(header, layouts.msghdr.fields.msg_flags, waiting > room ? constants.MSG_TRUNC : 0);
    writeField(header, layouts.msghdr.fields.msg_controllen, 0);
    return Math.min(waiting, room);
  }

  /** The functions that macOS has. */
  libc(): Libc {
    const view = (memory: ArrayBufferView) =>
      new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    const making = (name: string, kind: Opened["kind"]) => () =>
      this.#fails(name) ? -1 : this.open(kind);
    const two = (name: string, kind: Opened["kind"]) => (ends: ArrayBufferView) => {
      if (this.#fails(name)) return -1;
      view(ends).setInt32(0, this.open(kind), true);
      view(ends).setInt32(4, this.open(kind), true);
      return 0;
    };
    const pair = two("socketpair", "socket");
    const functions = {
      socket: making("socket", "socket"),
      accept: making("accept", "socket"),
      kqueue: making("kqueue", "kqueue"),
      pipe: two("pipe", "pipe"),
      socketpair: (_d: number, _t: number, _p: number, ends: ArrayBufferView) => pair(ends),
      close: (fd: number) => {
        // A call that succeeds may leave anything there.
        this.errno[0] = 0;
        return this.files.delete(fd) ? 0 : this.#fail("EBADF");
      },
      fcntl: (fd: number, command: number, value: number) => {
        if (this.#fails("fcntl")) return -1;
        const file = this.files.get(fd);
        if (file === undefined) return this.#fail("EBADF");
        const { F_SETFD, F_GETFL, F_SETFL, FD_CLOEXEC, O_RDWR, O_NONBLOCK } = constants;
        if (command === F_GETFL) return O_RDWR | (file.nonblocking ? O_NONBLOCK : 0);
        if (command === F_SETFD) file.closeOnExec = (value & FD_CLOEXEC) !== 0;
        else if (command === F_SETFL) {
          if (!(value & O_RDWR)) throw new Error("the other flags are lost");
          file.nonblocking = (value & O_NONBLOCK) !== 0;
        } else return this.#fail("EINVAL");
        return 0;
      },
      setsockopt: (fd: number, level: number, name: number, value: ArrayBufferView) => {
        if (this.#fails("setsockopt")) return -1;
        if (level !== constants.SOL_SOCKET || name !== darwin.SO_NOSIGPIPE) {
          return this.#fail("EINVAL");
        }
        this.files.get(fd)!.noSigpipe = view(value).getInt32(0, true) === 1;
        return 0;
      },
      getsockopt: (
        ...[fd, level, name, value, length]: [
          number,
          number,
          number,
          ArrayBufferView,
          ArrayBufferView,
        ]
      ) => this.#option(fd, level, name, view(value), view(length)),
      kevent: (
        ...[kq, changes, count, events, room, timeout]: [
          number,
          ArrayBufferView | null,
          number,
          ArrayBufferView,
          number,
          ArrayBufferView | null,
        ]
      ) => {
        if (this.files.get(kq)?.kind !== "kqueue") return this.#fail("EBADF");
        return this.#kevent(changes && view(changes), count, view(events), room, timeout === null);
      },
      recvmsg: (_fd: number, header: ArrayBufferView, flags: number) => {
        if (flags & constants.MSG_TRUNC) throw new Error("MSG_TRUNC is an output only");
        return this.#receive(view(header));
      },
      recvfrom: (_fd: number, _buffer: ArrayBufferView, length: number, flags: number) => {
        if (flags & constants.MSG_TRUNC) throw new Error("MSG_TRUNC is an output only");
        const waiting = this.messages.shift();
        return waiting === undefined ? this.#fail("EAGAIN") : Math.min(waiting, length);
      },
      sendmsg: () => this.#fails("sendmsg") ? -1 : 5,
      sendto: () => this.#fails("sendto") ? -1 : 5,
      ioctl: (_fd: number, request: number, out: ArrayBufferView) => {
        this.calls.push(`ioctl ${request}`);
        view(out).setInt32(0, -1, true);
        return 0;
      },
      fsync: () => this.calls.push("fsync") * 0,
      __error: () => 1,
    };
    return functions as unknown as Libc;
  }
}

function bytesOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** Makes this process one of the model's, before anything else has used libc. */
export function becomeMac(): Mac {
  const mac = new Mac();
  const never = () => {
    throw new Error("not part of the model");
  };
  const runtime: Runtime = {
    name: "bun",
    prefersFewArguments: false,
    bind: () => mac.libc(),
    addressOf: () => 0x10_0000,
    viewAt: () => mac.errno.buffer as ArrayBuffer,
    isWorker: () => false,
    watch: never,
  };
  // The model has no memory for debug mode to look at.
  installDebugging(null);
  useNative(nativeOf(runtime, abi));
  return mac;
}

export { abi as macAbi };
