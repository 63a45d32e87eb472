/**
 * The file functions of libc, one wrapper each. A result below zero is a negated errno.
 * Paths are bytes without a NUL.
 * @module
 */

import { kernelLayouts, linuxOnly } from "../abi/linux.ts";
import { notSupported } from "./failure.ts";
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
  const { calls, abi } = native();
  return calls.open(cString(path), flags | abi.constants.O_CLOEXEC, mode);
}

/** Opens a path only to name it, not to read or write (O_PATH): on Linux alone. */
export function openPath(path: Uint8Array, extraFlags: number): number {
  const { linux } = native().abi;
  return linux === null ? notSupported() : open(path, linux.O_PATH | extraFlags, 0);
}

/** Closes a descriptor, whatever close(2) reports. */
export function close(fd: number): void {
  native().calls.close(fd);
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
  return native().calls.read(fd, buffer, length);
}

/** Writes to any descriptor. A pipe without a reader raises SIGPIPE, which every runtime ignores. */
export function write(fd: number, data: ArrayBufferView, length: number): number {
  return native().calls.write(fd, data, length);
}

/** Reads at a position, which the open file's own does not notice. */
export function pread(fd: number, buffer: ArrayBufferView, length: number, at: number): number {
  return native().calls.pread(fd, buffer, length, BigInt(at));
}

/** Writes at a position, which the open file's own does not notice. */
export function pwrite(fd: number, data: ArrayBufferView, length: number, at: number): number {
  return native().calls.pwrite(fd, data, length, BigInt(at));
}

/** Moves the position of an open file; the new one, or a negated errno. */
export function seek(fd: number, offset: number, whence: number): number {
  return native().calls.lseek(fd, BigInt(offset), whence);
}

/** Sets the length of an open file. */
export function truncate(fd: number, length: number): number {
  return native().calls.ftruncate(fd, BigInt(length));
}

/** Blocks until an open file's data are on the disk, and what describes it if `all`. */
export function sync(fd: number, all: boolean): number {
  const { calls } = native();
  return all ? calls.fsync(fd) : calls.fdatasync(fd);
}

/** A file without a name, in memory, close-on-exec. */
export function memfd(name: Uint8Array, sealable: boolean): number {
  const { calls, abi } = native();
  if (abi.linux === null) return notSupported();
  const { MFD_CLOEXEC, MFD_ALLOW_SEALING } = abi.linux;
  const flags = MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0);
  return calls.memfd_create(cString(name), flags);
}

/** A counter to wait for, non-blocking and close-on-exec. */
export function eventfd(initial: number, semaphore: boolean): number {
  const { calls, abi } = native();
  if (abi.linux === null) return notSupported();
  const { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } = abi.linux;
  const flags = EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0);
  return calls.eventfd(initial, flags);
}

/** Forbids changes of a file in memory, or tells which are forbidden. */
export function addSeals(fd: number, seals: number): number {
  const { linux } = native().abi;
  return linux === null ? notSupported() : native().calls.fcntl(fd, linux.F_ADD_SEALS, seals);
}

/** The changes of a file in memory that are forbidden. */
export function getSeals(fd: number): number {
  const { linux } = native().abi;
  return linux === null ? notSupported() : native().calls.fcntl(fd, linux.F_GET_SEALS, 0);
}

/** A pipe, non-blocking and close-on-exec; 0, or a negated errno. */
export function pipe(ends: [number, number]): number {
  const { calls, abi } = native();
  const { O_NONBLOCK, O_CLOEXEC } = abi.constants;
  const result = calls.pipe2(scratch, O_NONBLOCK | O_CLOEXEC);
  if (result < 0) return result;
  ends[0] = scratch[0]!;
  ends[1] = scratch[1]!;
  return 0;
}

/** Another descriptor for the same open file, close-on-exec; its number is `least` or a higher one. */
export function duplicate(fd: number, least = 0): number {
  const { calls, abi } = native();
  return calls.fcntl(fd, abi.constants.F_DUPFD_CLOEXEC, least);
}

/** Whether an open file was opened for reading, and for writing: what nobody can change. */
export function directionsOf(fd: number): { readable: boolean; writable: boolean } {
  const { calls, abi } = native();
  const { F_GETFL, O_RDONLY, O_WRONLY, O_RDWR } = abi.constants;
  const flags = calls.fcntl(fd, F_GETFL, 0);
  const access = flags < 0 ? O_RDWR : flags & (O_RDONLY | O_WRONLY | O_RDWR);
  return { readable: access !== O_WRONLY, writable: access !== O_RDONLY };
}

/** Whether an open file does not block those who read and write; false where nothing is open. */
export function isNonBlocking(fd: number): boolean {
  const { calls, abi } = native();
  const { F_GETFL, O_NONBLOCK } = abi.constants;
  const flags = calls.fcntl(fd, F_GETFL, 0);
  return flags >= 0 && (flags & O_NONBLOCK) !== 0;
}

/** Makes a descriptor close-on-exec and its open file non-blocking; 0, or a negated errno. */
export function prepareDescriptor(fd: number): number {
  const { calls, abi } = native();
  const { F_GETFL, F_SETFL, O_NONBLOCK } = abi.constants;
  const flags = calls.fcntl(fd, F_GETFL, 0);
  if (flags < 0) return flags;
  const set = (flags & O_NONBLOCK) === 0 ? calls.fcntl(fd, F_SETFL, flags | O_NONBLOCK) : 0;
  return set < 0 ? set : closeOnExec(fd);
}

/** Makes a descriptor close-on-exec and changes nothing else; 0, or a negated errno. */
export function closeOnExec(fd: number): number {
  const { calls, abi } = native();
  const { F_SETFD, FD_CLOEXEC } = abi.constants;
  return Math.min(0, calls.fcntl(fd, F_SETFD, FD_CLOEXEC));
}

/** Makes an open file blocking, as programs expect what they start with; 0, or a negated errno. */
export function makeBlocking(fd: number): number {
  const { calls, abi } = native();
  const { F_GETFL, F_SETFL, O_NONBLOCK } = abi.constants;
  const flags = calls.fcntl(fd, F_GETFL, 0);
  return flags < 0 ? flags : Math.min(0, calls.fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

/** Bytes waiting to be read. */
export function bytesReadable(fd: number): number {
  const { calls, abi } = native();
  const result = calls.ioctl(fd, abi.constants.FIONREAD, count);
  return result < 0 ? result : count[0]!;
}

/** What of the written is not read yet, in the kernel's accounting: its memory, not its bytes. */
export function bytesUnsent(fd: number): number {
  const { calls, abi } = native();
  // macOS puts what is sent into the peer's buffer at once, and counts nothing here.
  if (abi.linux === null) return notSupported();
  const result = calls.ioctl(fd, abi.linux.SIOCOUTQ, count);
  return result < 0 ? result : count[0]!;
}

/**
 * An O_PATH descriptor of the file that a socket is bound to, wherever that is by now; EPERM without
 * CAP_NET_ADMIN, ENOENT for a socket without a file. On Linux alone.
 */
export function fileOfSocket(fd: number): number {
  const { calls, abi: { linux } } = native();
  if (linux === null) return notSupported();
  return calls.ioctl(fd, linux.SIOCUNIXFILE, count);
}

/** Takes or gives back the lock of an open file; EAGAIN where somebody holds it. */
export function flock(fd: number, operation: "lock" | "unlock"): number {
  const { calls, abi } = native();
  const { LOCK_EX, LOCK_NB, LOCK_UN } = abi.constants;
  const how = operation === "lock" ? LOCK_EX | LOCK_NB : LOCK_UN;
  return calls.flock(fd, how);
}

/** Sets the mode of a descriptor's inode. */
export function fchmod(fd: number, mode: number): number {
  return native().calls.fchmod(fd, mode);
}

/** Sets the mode of what a path leads to. */
export function chmod(path: Uint8Array, mode: number): number {
  return native().calls.chmod(cString(path), mode);
}

/** The same of a link itself, which is not followed: on macOS alone. */
export function lchmod(path: Uint8Array, mode: number): number {
  return native().calls.lchmod(cString(path), mode);
}

/** Removes a name from a directory. */
export function unlink(path: Uint8Array): number {
  return native().calls.unlink(cString(path));
}

/** Gives an inode a second name; EEXIST where the name is taken. */
export function link(from: Uint8Array, to: Uint8Array): number {
  return native().calls.link(cString(from), cString(to));
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
  const { calls, abi } = native();
  const { size, fields } = kernelLayouts.statx;
  statBuffer ??= new DataView(new ArrayBuffer(size));
  const byPath = typeof target !== "number";
  const { AT_FDCWD, AT_SYMLINK_NOFOLLOW } = abi.constants;
  // Where it is made of something else, statx has the same flags.
  const { AT_EMPTY_PATH, STATX_BASIC_STATS } = linuxOnly;
  const flags = byPath ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
  const name = byPath ? cString(target) : cString(new Uint8Array(0));
  const at = byPath ? AT_FDCWD : target;
  const result = calls.statx(at, name, flags, STATX_BASIC_STATS, statBuffer);
  if (result < 0) return result;
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
  const buffer = new Uint8Array(new ArrayBuffer(4096));
  const result = native().calls.getcwd(buffer, buffer.length);
  return result < 0 ? result : buffer.slice(0, buffer.indexOf(0));
}
