/**
 * The functions of macOS's libc, made of those of the Linux that the tests run on: with macOS's numbers,
 * structs and answers, as its headers and manuals have them, and a real kernel behind. It is no Mac. What
 * it shows is that the library, told that it runs on macOS, calls nothing that macOS lacks, and waits,
 * sends and receives by what macOS has.
 */

import { kernelLayouts } from "../../../ffi/abi/linux.ts";
import type { Runtime } from "../../../ffi/runtime/runtime.ts";
import { readField, writeField } from "../../../ffi/structs/field.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";
import { kqueues } from "./kqueue.ts";
import { messages } from "./messages.ts";
import { options } from "./options.ts";
import { hasHungUp, isDatagram, isSocket, toLinux, toMac } from "./sockets.ts";
import { errnoOf, fcntlCommand, fileFlags, linux, mac, messageFlags, told } from "./translation.ts";

type Call = (...args: never[]) => number | bigint;

/** What the parts of the libc are made with. */
export interface Parts {
  readonly runtime: Runtime;
  /** That of Linux. */
  readonly libc: Libc;
  /** Fails with an errno of macOS. */
  fail(code: string): -1;
  /** Whether the call of Linux that just failed did so for this reason. */
  isLinuxErrno(code: string): boolean;
  /** Calls back for each descriptor that closes, before it does. */
  onClose(callback: (fd: number) => void): void;
}

/** The address of this thread's errno, and the functions. */
export function macLibc(runtime: Runtime): Libc {
  const libc = runtime.bind(linux);
  const linuxErrno = new Int32Array(runtime.viewAt(libc.__errno_location(), 4));
  const location = libc.calloc(1, 4);
  const errno = new Int32Array(runtime.viewAt(location, 4));
  let failed = false;
  const fail = (code: string): -1 => {
    failed = true;
    errno[0] = mac.errno[code]!;
    return -1;
  };
  const isLinuxErrno = (code: string) => linuxErrno[0] === linux.errno[code];
  const closing: ((fd: number) => void)[] = [];
  const onClose = (callback: (fd: number) => void) => void closing.push(callback);
  const parts: Parts = { runtime, libc, fail, isLinuxErrno, onClose };
  const functions: Record<string, Call> = {
    ...common(parts),
    ...making(parts),
    ...files(parts),
    ...addresses(parts),
    ...bytes(parts),
    ...messages(parts),
    ...options(parts),
    ...endings(parts),
    ...kqueues(parts),
    close(fd: number) {
      for (const callback of closing) callback(fd);
      return libc.close(fd);
    },
  };
  for (const [name, call] of Object.entries(functions)) {
    functions[name] = (...args) => {
      failed = false;
      const result = call(...args);
      if (result === -1 && !failed) errno[0] = errnoOf(linuxErrno[0]!);
      return result;
    };
  }
  return { ...functions, __error: () => location } as unknown as Libc;
}

/** What is the same. */
function common({ libc }: Parts): Record<string, Call> {
  const names = [
    ...["listen", "pread", "pwrite", "lseek", "poll"],
    ...["ftruncate", "fsync", "flock", "chmod", "unlink", "link", "getcwd"],
    ...["getpid", "getuid", "getgid", "calloc"],
  ] as (keyof Libc)[];
  return Object.fromEntries(names.map((name) => [name, libc[name]])) as Record<string, Call>;
}

/** What makes descriptors: without flags. */
function making({ libc, fail }: Parts): Record<string, Call> {
  const { SOCK_STREAM, SOCK_DGRAM } = mac.constants;
  const known = (type: number) => type === SOCK_STREAM || type === SOCK_DGRAM;
  return {
    socket: (domain: number, type: number, protocol: number) =>
      known(type) ? libc.socket(domain, type, protocol) : fail("EPROTONOSUPPORT"),
    socketpair: (domain: number, type: number, protocol: number, ends: ArrayBufferView) =>
      known(type) ? libc.socketpair(domain, type, protocol, ends) : fail("EPROTONOSUPPORT"),
    accept: (fd: number, address: null, length: null) => libc.accept4(fd, address, length, 0),
    pipe: (ends: ArrayBufferView) => libc.pipe2(ends, 0),
    open: (path: ArrayBufferView, flags: number, mode: number) =>
      libc.open(path, fileFlags(flags), mode),
    fcntl(fd: number, command: number, value: number) {
      if (command === mac.darwin!.F_FULLFSYNC) return libc.fsync(fd);
      const { F_SETFL, F_GETFL } = mac.constants;
      const given = command === F_SETFL ? fileFlags(value) : value;
      const result = libc.fcntl(fd, fcntlCommand(command), given);
      return command === F_GETFL && result !== -1 ? told("files", result) : result;
    },
  };
}

function files({ libc, fail }: Parts): Record<string, Call> {
  const { statx } = libc;
  const told = kernelLayouts.statx.fields;
  const status = new DataView(new ArrayBuffer(kernelLayouts.statx.size));
  const { AT_EMPTY_PATH, STATX_BASIC_STATS } = linux.linux!;
  const ask = (at: number, path: ArrayBufferView, flags: number) =>
    statx(at, path, flags, STATX_BASIC_STATS, status);
  const nothing = new Uint8Array(1);
  const fill = (result: number, stat: ArrayBufferView): number => {
    if (result === -1) return -1;
    const out = new DataView(stat.buffer, stat.byteOffset, stat.byteLength);
    const { fields } = mac.layouts.stat;
    const copy = (to: keyof typeof fields, from: keyof typeof told) =>
      writeField(out, fields[to], readField(status, told[from]));
    copy("st_nlink", "stx_nlink");
    copy("st_uid", "stx_uid");
    copy("st_gid", "stx_gid");
    copy("st_mode", "stx_mode");
    copy("st_ino", "stx_ino");
    copy("st_size", "stx_size");
    copy("st_mtim.tv_sec", "stx_mtime.tv_sec");
    copy("st_mtim.tv_nsec", "stx_mtime.tv_nsec");
    copy("st_dev", "stx_dev_minor");
    return 0;
  };
  return {
    lstat: (path: ArrayBufferView, stat: ArrayBufferView) =>
      fill(ask(linux.constants.AT_FDCWD, path, linux.constants.AT_SYMLINK_NOFOLLOW), stat),
    fstat: (fd: number, stat: ArrayBufferView) => fill(ask(fd, nothing, AT_EMPTY_PATH), stat),
    fchmod: (fd: number, mode: number) =>
      isSocket(libc, fd) ? fail("EINVAL") : libc.fchmod(fd, mode),
    lchmod: (path: ArrayBufferView, mode: number) => libc.chmod(path, mode),
  };
}

function addresses({ libc, fail, isLinuxErrno }: Parts): Record<string, Call> {
  const naming =
    (name: "getsockname" | "getpeername") =>
    (fd: number, address: ArrayBufferView, length: ArrayBufferView) => {
      if (name === "getpeername" && hasHungUp(libc, fd)) return fail("EINVAL");
      const result = libc[name](fd, address, length);
      if (result !== -1) toMac(address, length);
      return result;
    };
  return {
    getsockname: naming("getsockname"),
    getpeername: naming("getpeername"),
    bind: (fd: number, address: ArrayBufferView, length: number) =>
      libc.bind(fd, toLinux(address, length), length),
    connect(fd: number, address: ArrayBufferView, length: number) {
      const view = new DataView(address.buffer, address.byteOffset, length);
      if (view.getUint8(1) === 0) {
        libc.connect(fd, new Uint8Array(16), 16);
        return fail("EAFNOSUPPORT");
      }
      const result = libc.connect(fd, toLinux(address, length), length);
      // There is no waiting for room in a backlog.
      return result === -1 && isLinuxErrno("EAGAIN") ? fail("ECONNREFUSED") : result;
    },
  };
}

/** shutdown(2), which refuses to end what has ended. */
function endings({ libc, fail, onClose }: Parts): Record<string, Call> {
  const ended = new Map<number, Set<number>>();
  onClose((fd) => ended.delete(fd));
  const { SHUT_RDWR } = mac.constants;
  return {
    shutdown(fd: number, how: number) {
      const before = ended.get(fd) ?? new Set();
      if (hasHungUp(libc, fd) || before.has(how) || (how === SHUT_RDWR && before.size > 0)) {
        return fail("ENOTCONN");
      }
      ended.set(fd, before.add(how));
      return libc.shutdown(fd, how);
    },
  };
}

/** Descriptors that came along would be open, and nobody would know them. */
function losesDescriptors(): never {
  throw new Error("received without room for descriptors");
}

function bytes({ libc, fail, isLinuxErrno }: Parts): Record<string, Call> {
  /** A receiver without room is told by another errno. */
  const sent = (fd: number, result: number): number =>
    result === -1 && isLinuxErrno("EAGAIN") && isDatagram(libc, fd) ? fail("ENOBUFS") : result;
  return {
    send: (fd: number, data: ArrayBufferView, length: number, flags: number) =>
      sent(fd, libc.send(fd, data, length, messageFlags(flags))),
    write: (fd: number, data: ArrayBufferView, length: number) =>
      sent(fd, libc.write(fd, data, length)),
    recv: losesDescriptors,
    recvfrom: losesDescriptors,
    read: (fd: number, buffer: ArrayBufferView, length: number) =>
      isSocket(libc, fd) ? losesDescriptors() : libc.read(fd, buffer, length),
    sendto: (
      ...[fd, data, length, flags, to, toLength]: Parameters<Libc["sendto"]>
    ) =>
      sent(
        fd,
        libc.sendto(fd, data, length, messageFlags(flags), toLinux(to, toLength), toLength),
      ),
  };
}
