/**
 * The functions of libc behind the errno gate: each returns the result of the call, or the negated
 * errno.
 *
 * Each function has a body of its own, in which an engine sees one function of libc and can call it
 * directly. One body for all functions of as many arguments took about 15 ns more for each call on Bun.
 *
 * errno is read right after the call, before anything allocates memory or calls another function.
 * @module
 */

import type { Abi } from "../abi/mod.ts";
import { type Calls, failedCalls, ok, okAddress } from "./errno_gate.ts";
import type { Libc } from "./symbols.ts";

/** Puts the errno gate behind the functions of libc. `errno` is this thread's; element 0. */
export function gatedCalls(abi: Abi, libc: Libc, errno: Int32Array): Calls {
  const failed = failedCalls(abi, libc, errno);
  return {
    socket: (a, b, c) => ok(libc.socket(a, b, c)) ?? failed.socket(errno[0]!, a, b, c),
    socketpair: (a, b, c, d) =>
      ok(libc.socketpair(a, b, c, d)) ?? failed.socketpair(errno[0]!, a, b, c, d),
    bind: (a, b, c) => ok(libc.bind(a, b, c)) ?? failed.bind(errno[0]!, a, b, c),
    connect: (a, b, c) => ok(libc.connect(a, b, c)) ?? failed.connect(errno[0]!, a, b, c),
    listen: (a, b) => ok(libc.listen(a, b)) ?? failed.listen(errno[0]!, a, b),
    accept4: (a, b, c, d) => ok(libc.accept4(a, b, c, d)) ?? failed.accept4(errno[0]!, a, b, c, d),
    shutdown: (a, b) => ok(libc.shutdown(a, b)) ?? failed.shutdown(errno[0]!, a, b),
    getsockname: (a, b, c) =>
      ok(libc.getsockname(a, b, c)) ?? failed.getsockname(errno[0]!, a, b, c),
    getpeername: (a, b, c) =>
      ok(libc.getpeername(a, b, c)) ?? failed.getpeername(errno[0]!, a, b, c),
    getsockopt: (a, b, c, d, e) =>
      ok(libc.getsockopt(a, b, c, d, e)) ?? failed.getsockopt(errno[0]!, a, b, c, d, e),
    setsockopt: (a, b, c, d, e) =>
      ok(libc.setsockopt(a, b, c, d, e)) ?? failed.setsockopt(errno[0]!, a, b, c, d, e),
    send: (a, b, c, d) => ok(libc.send(a, b, c, d)) ?? failed.send(errno[0]!, a, b, c, d),
    recv: (a, b, c, d) => ok(libc.recv(a, b, c, d)) ?? failed.recv(errno[0]!, a, b, c, d),
    sendto: (a, b, c, d, e, f) =>
      ok(libc.sendto(a, b, c, d, e, f)) ?? failed.sendto(errno[0]!, a, b, c, d, e, f),
    recvfrom: (a, b, c, d, e, f) =>
      ok(libc.recvfrom(a, b, c, d, e, f)) ?? failed.recvfrom(errno[0]!, a, b, c, d, e, f),
    recvmsg: (a, b, c) => ok(libc.recvmsg(a, b, c)) ?? failed.recvmsg(errno[0]!, a, b, c),
    sendmsg: (a, b, c) => ok(libc.sendmsg(a, b, c)) ?? failed.sendmsg(errno[0]!, a, b, c),
    sendmmsg: (a, b, c, d) =>
      ok(libc.sendmmsg(a, b, c, d)) ?? failed.sendmmsg(errno[0]!, a, b, c, d),
    recvmmsg: (a, b, c, d, e) =>
      ok(libc.recvmmsg(a, b, c, d, e)) ?? failed.recvmmsg(errno[0]!, a, b, c, d, e),
    poll: (a, b, c) => ok(libc.poll(a, b, c)) ?? failed.poll(errno[0]!, a, b, c),
    epoll_create1: (a) => ok(libc.epoll_create1(a)) ?? failed.epoll_create1(errno[0]!, a),
    epoll_ctl: (a, b, c, d) =>
      ok(libc.epoll_ctl(a, b, c, d)) ?? failed.epoll_ctl(errno[0]!, a, b, c, d),
    epoll_wait: (a, b, c, d) =>
      ok(libc.epoll_wait(a, b, c, d)) ?? failed.epoll_wait(errno[0]!, a, b, c, d),
    kqueue: () => ok(libc.kqueue()) ?? failed.kqueue(errno[0]!),
    kevent: (a, b, c, d, e, f) =>
      ok(libc.kevent(a, b, c, d, e, f)) ?? failed.kevent(errno[0]!, a, b, c, d, e, f),
    open: (a, b, c) => ok(libc.open(a, b, c)) ?? failed.open(errno[0]!, a, b, c),
    close: (a) => ok(libc.close(a)) ?? failed.close(errno[0]!, a),
    read: (a, b, c) => ok(libc.read(a, b, c)) ?? failed.read(errno[0]!, a, b, c),
    write: (a, b, c) => ok(libc.write(a, b, c)) ?? failed.write(errno[0]!, a, b, c),
    pread: (a, b, c, d) => ok(libc.pread(a, b, c, d)) ?? failed.pread(errno[0]!, a, b, c, d),
    pwrite: (a, b, c, d) => ok(libc.pwrite(a, b, c, d)) ?? failed.pwrite(errno[0]!, a, b, c, d),
    lseek: (a, b, c) => ok(Number(libc.lseek(a, b, c))) ?? failed.lseek(errno[0]!, a, b, c),
    ftruncate: (a, b) => ok(libc.ftruncate(a, b)) ?? failed.ftruncate(errno[0]!, a, b),
    fsync: (a) => ok(libc.fsync(a)) ?? failed.fsync(errno[0]!, a),
    fdatasync: (a) => ok(libc.fdatasync(a)) ?? failed.fdatasync(errno[0]!, a),
    memfd_create: (a, b) => ok(libc.memfd_create(a, b)) ?? failed.memfd_create(errno[0]!, a, b),
    pipe2: (a, b) => ok(libc.pipe2(a, b)) ?? failed.pipe2(errno[0]!, a, b),
    fcntl: (a, b, c) => ok(libc.fcntl(a, b, c)) ?? failed.fcntl(errno[0]!, a, b, c),
    ioctl: (a, b, c) => ok(libc.ioctl(a, b, c)) ?? failed.ioctl(errno[0]!, a, b, c),
    flock: (a, b) => ok(libc.flock(a, b)) ?? failed.flock(errno[0]!, a, b),
    fchmod: (a, b) => ok(libc.fchmod(a, b)) ?? failed.fchmod(errno[0]!, a, b),
    chmod: (a, b) => ok(libc.chmod(a, b)) ?? failed.chmod(errno[0]!, a, b),
    unlink: (a) => ok(libc.unlink(a)) ?? failed.unlink(errno[0]!, a),
    link: (a, b) => ok(libc.link(a, b)) ?? failed.link(errno[0]!, a, b),
    statx: (a, b, c, d, e) =>
      ok(libc.statx(a, b, c, d, e)) ?? failed.statx(errno[0]!, a, b, c, d, e),
    lchmod: (a, b) => ok(libc.lchmod(a, b)) ?? failed.lchmod(errno[0]!, a, b),
    getcwd: (a, b) => okAddress(libc.getcwd(a, b)) ?? failed.getcwd(errno[0]!, a, b),
    eventfd: (a, b) => ok(libc.eventfd(a, b)) ?? failed.eventfd(errno[0]!, a, b),
    syscall: (a, b, c, d, e) =>
      ok(Number(libc.syscall(a, b, c, d, e))) ?? failed.syscall(errno[0]!, a, b, c, d, e),
    mmap: (a, b, c, d, e, f) =>
      okAddress(libc.mmap(a, b, c, d, e, f)) ?? failed.mmap(errno[0]!, a, b, c, d, e, f),
    munmap: (a, b) => ok(libc.munmap(a, b)) ?? failed.munmap(errno[0]!, a, b),
    readSocket: (a, b, c) => ok(libc.read(a, b, c)) ?? failed.readSocket(errno[0]!, a, b, c),
    writeSocket: (a, b, c) => ok(libc.write(a, b, c)) ?? failed.writeSocket(errno[0]!, a, b, c),
  };
}
