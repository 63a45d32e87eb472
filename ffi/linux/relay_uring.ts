/**
 * A relay by io_uring(7). Each wait is a pair of requests: poll the one descriptor, and then (linked)
 * write into the other.
 * @module
 */

import { kernelLayouts } from "../abi/linux.ts";
import { UnixSocketError } from "../errors.ts";
import { MAP_FAILED } from "../libc/symbols.ts";
import type { Relay, RelayParts } from "../runtime/relay.ts";
import { readField, writeField } from "../structs/field.ts";

/** How many requests one wait takes. */
const REQUESTS = 2;
const BIG_REQUESTS = BigInt(REQUESTS);

/**
 * How many the queue holds: those of a wait, the one that takes it back, and a last place that is never
 * used, whose memory holds what is written.
 */
const PLACES = 4;

/** Null where the kernel has no io_uring, or does not permit it. */
export function relayByUring({ runtime, libc, abi, from, into }: RelayParts): Relay | null {
  const { linux, syscalls, constants } = abi;
  if (linux === null || syscalls === null) return null;
  const { io_uring_params, io_uring_sqe } = kernelLayouts;
  const params = new DataView(new ArrayBuffer(io_uring_params.size));
  const at = BigInt(runtime.addressOf(params));
  const made = libc.syscall(BigInt(syscalls.io_uring_setup), BigInt(PLACES), at, null, 0n);
  if (made < 0n) return null;
  const ring = Number(made);
  const offset = (name: keyof typeof io_uring_params.fields) =>
    readField(params, io_uring_params.fields[name]);
  // Since Linux 5.6, as is the request to write.
  const modern = (offset("features") & linux.IORING_FEAT_RW_CUR_POS) !== 0;
  const mappings: [address: number, memory: ArrayBuffer][] = [];
  const map = (length: number, from: number) => {
    const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_POPULATE } = linux;
    const flags = MAP_SHARED | MAP_POPULATE;
    const address = libc.mmap(null, length, PROT_READ | PROT_WRITE, flags, ring, BigInt(from));
    if (address === MAP_FAILED) return null;
    const memory = runtime.viewAt(address, length);
    mappings.push([address, memory]);
    return memory;
  };
  const entries = offset("sq_entries");
  const queueSize = Math.max(
    offset("sq_off.array") + 4 * entries,
    offset("cq_off.cqes") + 16 * offset("cq_entries"),
  );
  const queues = modern ? map(queueSize, linux.IORING_OFF_SQ_RING) : null;
  const requests = queues && map(io_uring_sqe.size * entries, linux.IORING_OFF_SQES);
  const enter = BigInt(syscalls.io_uring_enter);
  const bigRing = BigInt(ring);
  // A sandbox may permit the one call and not the other.
  const permitted = libc.syscall(enter, bigRing, 0n, null, 0n) === 0n;
  // Its own, and not closed before every wait has ended: what a wait still writes into when its thread
  // was terminated must not have become another file's number.
  const target = libc.fcntl(into, constants.F_DUPFD_CLOEXEC, 0);
  const giveUp = () => {
    for (const [address, memory] of mappings) {
      const { byteLength } = memory;
      // What shows the memory must show nothing before it goes.
      memory.transfer(0);
      libc.munmap(BigInt(address), byteLength);
    }
    libc.close(ring);
  };
  if (!queues || !requests || !permitted || target === -1) {
    giveUp();
    if (target !== -1) libc.close(target);
    return null;
  }
  const words = new Uint32Array(queues);
  const word = (name: keyof typeof io_uring_params.fields) => offset(name) / 4;
  const submissionHead = word("sq_off.head");
  const submissionTail = word("sq_off.tail");
  const submissions = word("sq_off.array");
  const completionHead = word("cq_off.head");
  const completionTail = word("cq_off.tail");

  // The requests never change: they are written once.
  const one = new BigUint64Array(requests, (entries - 1) * io_uring_sqe.size, 1).fill(1n);
  const { fields } = io_uring_sqe;
  const poll = new DataView(requests, 0, io_uring_sqe.size);
  writeField(poll, fields.opcode, linux.IORING_OP_POLL_ADD);
  writeField(poll, fields.flags, linux.IOSQE_IO_LINK);
  writeField(poll, fields.fd, from);
  writeField(poll, fields.poll32_events, constants.POLLIN);
  const write = new DataView(requests, io_uring_sqe.size, io_uring_sqe.size);
  writeField(write, fields.opcode, linux.IORING_OP_WRITE);
  writeField(write, fields.fd, target);
  writeField(write, fields.addr, runtime.addressOf(one));
  writeField(write, fields.len, one.byteLength);

  const cancel = new DataView(requests, REQUESTS * io_uring_sqe.size, io_uring_sqe.size);
  writeField(cancel, fields.opcode, linux.IORING_OP_POLL_REMOVE);
  const submit = (first: number, count: number, bigCount: bigint): boolean => {
    const head = words[submissionHead]!;
    for (let i = 0; i < count; i++) words[submissions + (head + i) % entries] = first + i;
    words[submissionTail] = head + count;
    if (libc.syscall(enter, bigRing, bigCount, null, 0n) === bigCount) return true;
    // Short of memory. What the kernel took of it does no harm; the rest is taken back.
    words[submissionTail] = words[submissionHead]!;
    return false;
  };
  let closed = false;

  return {
    arm() {
      if (closed) throw refused();
      // Nobody reads what became of the last requests: the write said it.
      words[completionHead] = words[completionTail]!;
      if (!submit(0, REQUESTS, BIG_REQUESTS)) throw refused();
    },

    close() {
      if (closed) return;
      closed = true;
      words[completionHead] = words[completionTail]!;
      // As many completions as requests: no wait goes on, and nothing will be written.
      const settled = submit(REQUESTS, 1, 1n) && words[completionTail] === words[submissionHead];
      giveUp();
      if (settled) libc.close(target);
    },
  };
}

function refused(): UnixSocketError {
  const action = "Cannot wait for sockets";
  return new UnixSocketError({ action, code: "EAGAIN", errno: 0, syscall: "io_uring_enter" });
}
