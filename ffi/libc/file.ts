/**
 * The file functions of libc, one wrapper each. A result below zero is a negated errno.
 * Paths are bytes without a NUL.
 * @module
 */

import { kernelLayouts, linuxOnly } from "../abi/linux.ts";
import { again, negatedErrno, notSupported } from "./errno_gate.ts";
import { native } from "../native.ts";
import { readField } from "../structs/field.ts";

const scratch = new Int32Array(new ArrayBuffer(8));
const count = scratch.subarray(0, 1);

/** A path as C wants it. */
function cString(path: Uint8Array): Uint8Array {
  const terminated = new Uint8Array(new ArrayBuffer(path.length + 1));
  terminated.set(path);
  return terminated;
}

/** Opens a file, close-on-exec. */
export function open(path: Uint8Array, flags: number, mode: number): number {
  const { libc, abi } = native();
  const name = cString(path);
  let result;
  do result = libc.open(name, flags | abi.constants.O_CLOEXEC, mode); while (
    result === -1 && again("open")
  );
  return result === -1 ? negatedErrno : result;
}

/** Opens a path only to name it, not to read or write (O_PATH): on Linux alone. */
export function openPath(path: Uint8Array, extraFlags: number): number {
  const { linux } = native().abi;
  return linux === null ? notSupported() : open(path, linux.O_PATH | extraFlags, 0);
}

/**
 * Closes a descriptor. Never repeated: Linux releases the number even where it reports EINTR or
 * EIO, and by then another thread may hold it.
 */
export function close(fd: number): void {
  native().libc.close(fd);
}

/**
 * Closes a descriptor that came to the library as a number: from its owner, or from whoever started
 * this process.
 */
export function closeHandedOver(fd: number): void {
  native().debugging?.own(fd);
  close(fd);
}

/** Reads from any descriptor. */
export function read(fd: number, buffer: ArrayBufferView, length: number): number {
  const { libc } = native();
  let result;
  do result = libc.read(fd, buffer, length); while (result === -1 && again("read"));
  return result === -1 ? negatedErrno : result;
}

/** Writes to any descriptor. A pipe without a reader raises SIGPIPE, which every runtime ignores. */
export function write(fd: number, data: ArrayBufferView, length: number): number {
  const { libc } = native();
  let result;
  do result = libc.write(fd, data, length); while (result === -1 && again("write"));
  return result === -1 ? negatedErrno : result;
}

/** Reads at a position, which the open file's own does not notice. */
export function pread(fd: number, buffer: ArrayBufferView, length: number, at: number): number {
  const { libc } = native();
  let result;
  do result = libc.pread(fd, buffer, length, BigInt(at)); while (result === -1 && again("pread"));
  return result === -1 ? negatedErrno : result;
}

/** Writes at a position, which the open file's own does not notice. */
export function pwrite(fd: number, data: ArrayBufferView, length: number, at: number): number {
  const { libc } = native();
  let result;
  do result = libc.pwrite(fd, data, length, BigInt(at)); while (result === -1 && again("pwrite"));
  return result === -1 ? negatedErrno : result;
}

/** Moves the position of an open file; the new one, or a negated errno. */
export function seek(fd: number, offset: number, whence: number): number {
  const { libc } = native();
  let result;
  do result = Number(libc.lseek(fd, BigInt(offset), whence)); while (
    result === -1 && again("lseek")
  );
  return result === -1 ? negatedErrno : result;
}

/** Sets the length of an open file. */
export function truncate(fd: number, length: number): number {
  const { libc } = native();
  let result;
  do result = libc.ftruncate(fd, BigInt(length)); while (result === -1 && again("ftruncate"));
  return result === -1 ? negatedErrno : result;
}

/** Blocks until an open file's data are on the disk, and what describes it if `all`. */
export function sync(fd: number, all: boolean): number {
  const { libc } = native();
  let result;
  do result = all ? libc.fsync(fd) : libc.fdatasync(fd); while (
    result === -1 && again(all ? "fsync" : "fdatasync")
  );
  return result === -1 ? negatedErrno : result;
}

/** A file without a name, in memory, close-on-exec. */
export function memfd(name: Uint8Array, sealable: boolean): number {
  const { libc, abi } = native();
  if (abi.linux === null) return notSupported();
  const { MFD_CLOEXEC, MFD_ALLOW_SEALING } = abi.linux;
  const path = cString(name);
  const flags = MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0);
  let result;
  do result = libc.memfd_create(path, flags); while (result === -1 && again("memfd_create"));
  return result === -1 ? negatedErrno : result;
}

/** A counter to wait for, non-blocking and close-on-exec. */
export function eventfd(initial: number, semaphore: boolean): number {
  const { libc, abi } = native();
  if (abi.linux === null) return notSupported();
  const { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } = abi.linux;
  const flags = EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0);
  let result;
  do result = libc.eventfd(initial, flags); while (result === -1 && again("eventfd"));
  return result === -1 ? negatedErrno : result;
}

/** Forbids changes of a file in memory, or tells which are forbidden. */
export function addSeals(fd: number, seals: number): number {
  const { linux } = native().abi;
  return linux === null ? notSupported() : fcntl(fd, linux.F_ADD_SEALS, seals);
}

/** The changes of a file in memory that are forbidden. */
export function getSeals(fd: number): number {
  const { linux } = native().abi;
  return linux === null ? notSupported() : fcntl(fd, linux.F_GET_SEALS, 0);
}

/** A pipe, non-blocking and close-on-exec; 0, or a negated errno. */
export function pipe(ends: [number, number]): number {
  const { libc, abi } = native();
  const { O_NONBLOCK, O_CLOEXEC } = abi.constants;
  let result;
  do result = libc.pipe2(scratch, O_NONBLOCK | O_CLOEXEC); while (result === -1 && again("pipe2"));
  if (result === -1) return negatedErrno;
  ends[0] = scratch[0]!;
  ends[1] = scratch[1]!;
  return 0;
}

function fcntl(fd: number, command: number, argument: number): number {
  const { libc } = native();
  let result;
  do result = libc.fcntl(fd, command, argument); while (result === -1 && again("fcntl"));
  return result === -1 ? negatedErrno : result;
}

/** Another descriptor for the same open file, close-on-exec. */
export function duplicate(fd: number): number {
  return fcntl(fd, native().abi.constants.F_DUPFD_CLOEXEC, 0);
}

/** Whether an open file was opened for reading, and for writing: what nobody can change. */
export function directionsOf(fd: number): { readable: boolean; writable: boolean } {
  const { F_GETFL, O_RDONLY, O_WRONLY, O_RDWR } = native().abi.constants;
  const flags = fcntl(fd, F_GETFL, 0);
  const access = flags < 0 ? O_RDWR : flags & (O_RDONLY | O_WRONLY | O_RDWR);
  return { readable: access !== O_WRONLY, writable: access !== O_RDONLY };
}

/** Whether an open file does not block those who read and write; false where nothing is open. */
export function isNonBlocking(fd: number): boolean {
  const { F_GETFL, O_NONBLOCK } = native().abi.constants;
  const flags = fcntl(fd, F_GETFL, 0);
  return flags >= 0 && (flags & O_NONBLOCK) !== 0;
}

/** Makes a descriptor close-on-exec and its open file non-blocking; 0, or a negated errno. */
export function prepareDescriptor(fd: number): number {
  const { F_GETFL, F_SETFL, F_SETFD, FD_CLOEXEC, O_NONBLOCK } = native().abi.constants;
  const flags = fcntl(fd, F_GETFL, 0);
  if (flags < 0) return flags;
  const set = (flags & O_NONBLOCK) === 0 ? fcntl(fd, F_SETFL, flags | O_NONBLOCK) : 0;
  return set < 0 ? set : Math.min(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
}

/** Bytes waiting to be read. */
export function bytesReadable(fd: number): number {
  const { libc, abi } = native();
  let result;
  do result = libc.ioctl(fd, abi.constants.FIONREAD, count); while (
    result === -1 && again("ioctl")
  );
  return result === -1 ? negatedErrno : count[0]!;
}

/** What of the written is not read yet, in the kernel's accounting: its memory, not its bytes. */
export function bytesUnsent(fd: number): number {
  const { libc, abi } = native();
  // macOS puts what is sent into the peer's buffer at once, and counts nothing here.
  if (abi.linux === null) return notSupported();
  const { SIOCOUTQ } = abi.linux;
  let result;
  do result = libc.ioctl(fd, SIOCOUTQ, count); while (result === -1 && again("ioctl"));
  return result === -1 ? negatedErrno : count[0]!;
}

/**
 * An O_PATH descriptor of the file that a socket is bound to, wherever that is by now; EPERM without
 * CAP_NET_ADMIN, ENOENT for a socket without a file. On Linux alone.
 */
export function fileOfSocket(fd: number): number {
  const { libc, abi: { linux } } = native();
  if (linux === null) return notSupported();
  let result;
  do result = libc.ioctl(fd, linux.SIOCUNIXFILE, count); while (result === -1 && again("ioctl"));
  return result === -1 ? negatedErrno : result;
}

/** Takes or gives back the lock of an open file; EAGAIN where somebody holds it. */
export function flock(fd: number, operation: "lock" | "unlock"): number {
  const { libc, abi } = native();
  const { LOCK_EX, LOCK_NB, LOCK_UN } = abi.constants;
  const how = operation === "lock" ? LOCK_EX | LOCK_NB : LOCK_UN;
  let result;
  do result = libc.flock(fd, how); while (result === -1 && again("flock"));
  return result === -1 ? negatedErrno : result;
}

/** Sets the mode of a descriptor's inode. */
export function fchmod(fd: number, mode: number): number {
  const { libc } = native();
  let result;
  do result = libc.fchmod(fd, mode); while (result === -1 && again("fchmod"));
  return result === -1 ? negatedErrno : result;
}

/** Sets the mode of what a path leads to. */
export function chmod(path: Uint8Array, mode: number): number {
  const { libc } = native();
  const name = cString(path);
  let result;
  do result = libc.chmod(name, mode); while (result === -1 && again("chmod"));
  return result === -1 ? negatedErrno : result;
}

/** The same of a link itself, which is not followed: on macOS alone. */
export function lchmod(path: Uint8Array, mode: number): number {
  const { libc } = native();
  const name = cString(path);
  let result;
  do result = libc.lchmod(name, mode); while (result === -1 && again("lchmod"));
  return result === -1 ? negatedErrno : result;
}

/** Removes a name from a directory. */
export function unlink(path: Uint8Array): number {
  const { libc } = native();
  const name = cString(path);
  let result;
  do result = libc.unlink(name); while (result === -1 && again("unlink"));
  return result === -1 ? negatedErrno : result;
}

/** Gives an inode a second name; EEXIST where the name is taken. */
export function link(from: Uint8Array, to: Uint8Array): number {
  const { libc } = native();
  const [source, target] = [cString(from), cString(to)];
  let result;
  do result = libc.link(source, target); while (result === -1 && again("link"));
  return result === -1 ? negatedErrno : result;
}

/** What identifies a file, and what it is. */
export interface FileStatus {
  /** Device and inode, comparable as text. */
  identity: string;
  /** The lower 32 bits of the inode's number. */
  inode: number;
  /** Type and permissions, as in `st_mode`. */
  mode: number;
  uid: number;
  gid: number;
  size: number;
  links: number;
  /** Milliseconds since 1970 of the last change of the contents. */
  modified: number;
}

let statBuffer: DataView | undefined;

/** The status of a path (its last component is not followed), or of an open file; or a negated errno. */
export function status(target: Uint8Array | number): FileStatus | number {
  const { libc, abi } = native();
  const { size, fields } = kernelLayouts.statx;
  statBuffer ??= new DataView(new ArrayBuffer(size));
  const byPath = typeof target !== "number";
  const { AT_FDCWD, AT_SYMLINK_NOFOLLOW } = abi.constants;
  // Where it is made of something else, statx has the same flags.
  const { AT_EMPTY_PATH, STATX_BASIC_STATS } = linuxOnly;
  const flags = byPath ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
  const name = byPath ? cString(target) : cString(new Uint8Array(0));
  const at = byPath ? AT_FDCWD : target;
  let result;
  do result = libc.statx(at, name, flags, STATX_BASIC_STATS, statBuffer); while (
    result === -1 && again("statx")
  );
  if (result === -1) return negatedErrno;
  const take = (field: keyof typeof fields) => readField(statBuffer!, fields[field]);
  // An inode number may exceed 2⁵³: compare all of it.
  const inode = statBuffer.getBigUint64(fields.stx_ino[0], true);
  return {
    identity: `${take("stx_dev_major")}:${take("stx_dev_minor")}:${inode}`,
    inode: Number(inode & 0xffff_ffffn),
    mode: take("stx_mode"),
    uid: take("stx_uid"),
    gid: take("stx_gid"),
    size: take("stx_size"),
    links: take("stx_nlink"),
    modified: Number(statBuffer.getBigInt64(fields["stx_mtime.tv_sec"][0], true)) * 1000 +
      Math.floor(take("stx_mtime.tv_nsec") / 1e6),
  };
}

/** Whether a mode is that of a socket. */
export function isSocketMode(mode: number): boolean {
  const { S_IFMT, S_IFSOCK } = native().abi.constants;
  return (mode & S_IFMT) === S_IFSOCK;
}

/** The current directory's path as bytes, or a negated errno. */
export function currentDirectory(): Uint8Array | number {
  const { libc } = native();
  const buffer = new Uint8Array(new ArrayBuffer(4096));
  let result;
  do result = libc.getcwd(buffer, buffer.length); while (result === 0 && again("getcwd"));
  return result === 0 ? negatedErrno : buffer.slice(0, buffer.indexOf(0));
}
