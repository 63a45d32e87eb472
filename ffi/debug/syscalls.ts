/**
 * In debug mode: what the arguments of system calls point to that are made by number, and what the
 * kernel reads beside them.
 * @module
 */

import { kernelLayouts, linuxLayouts } from "../abi/linux.ts";
import type { Abi } from "../abi/mod.ts";
import { PointerError } from "./errors.ts";
import type { CallContext } from "./memory.ts";
import { readField } from "../structs/field.ts";

/** The names of all calls that are made by number. */
export type SystemCallName = keyof NonNullable<Abi["syscalls"]>;

/** What stands behind the pointer arguments of one call, and what it makes. */
interface SystemCall {
  /** The bytes behind each argument that is an address; arguments count from 1, after the number. */
  readonly memory: { readonly [argument: number]: number };
  readonly makes?: "descriptor";
  /** What else has to be looked at, before the call. */
  readonly check?: (context: CallContext, args: readonly unknown[]) => void;
}

const { io_uring_params, io_uring_sqe, iocb } = kernelLayouts;
const { msghdr } = linuxLayouts;

/** What a context of asynchronous requests begins with (`struct aio_ring`). */
const AIO_RING_SIZE = 32;

export const systemCalls: { readonly [Name in SystemCallName]: SystemCall } = {
  io_setup: { memory: { 2: 8 } },
  io_destroy: { memory: {} },
  io_submit: { memory: {}, check: checkRequests },
  io_uring_setup: { memory: { 2: io_uring_params.size }, makes: "descriptor" },
  io_uring_enter: { memory: {}, check: checkQueue },
  clock_gettime: { memory: { 2: 16 } },
  pidfd_open: { memory: {}, makes: "descriptor" },
  pidfd_send_signal: { memory: {} },
  // What the header points to was looked at when libc's function of this name refused it.
  sendmsg: { memory: { 2: msghdr.size } },
};

/** The call that a number means. */
export function systemCallOf(abi: Abi, number: unknown): SystemCallName | undefined {
  const entries = Object.entries(abi.syscalls ?? {}) as [SystemCallName, number][];
  return entries.find(([, of]) => of === Number(number))?.[0];
}

/** Throws where an argument of syscall(2) points where it must not. */
export function checkSystemCall(context: CallContext, args: readonly unknown[]): void {
  const name = systemCallOf(context.abi, args[0]);
  if (name === undefined) throw new PointerError("syscall", "argument 0", `is ${args[0]}: no name`);
  const { memory, check } = systemCalls[name];
  for (const [index, size] of Object.entries(memory)) {
    const address = Number(args[Number(index)]);
    context.memory.checkAddress(name, `argument ${index}`, address, size);
  }
  // The one argument that can be a view.
  if (args[3] !== null && check === undefined) {
    throw new PointerError(name, "argument 3", "is a view, which this call does not take");
  }
  check?.(context, args);
}

/** Learns from a system call that succeeded. */
export function madeBySystemCall(context: CallContext, args: readonly unknown[]): void {
  const name = systemCallOf(context.abi, args[0]);
  const { memory } = context;
  const at = Number(args[2]);
  if (name === "io_setup") {
    memory.made(Number(memory.bytesAt(at, 8).getBigUint64(0, true)), AIO_RING_SIZE);
  }
}

/** io_submit(2): an array of addresses, of a request each. */
function checkRequests(context: CallContext, args: readonly unknown[]): void {
  const list = args[3] as ArrayBufferView;
  const count = Number(args[2]);
  if (list === null) throw new PointerError("io_submit", "argument 3", "is null");
  context.memory.checkView("io_submit", "argument 3", list, 8 * count);
  const addresses = new DataView(list.buffer, list.byteOffset, list.byteLength);
  for (let i = 0; i < count; i++) {
    const address = Number(addresses.getBigUint64(8 * i, true));
    context.memory.checkAddress("io_submit", `request ${i} of argument 3`, address, iocb.size);
    const request = context.memory.bytesAt(address, iocb.size);
    const { linux } = context.abi;
    // Nothing but this one: what others point to would have to be looked at.
    if (readField(request, iocb.fields.aio_lio_opcode) !== linux!.IOCB_CMD_POLL) {
      throw new PointerError("io_submit", `request ${i} of argument 3`, "is of an unknown kind");
    }
  }
}

/** Where the queues of one io_uring are. */
interface Ring {
  readonly params: DataView;
  queues: number;
  requests: number;
}

/** The rings of this thread, by their descriptors. */
const rings = new Map<number, Ring>();

/** An io_uring was made. */
export function madeRing({ memory }: CallContext, fd: number, args: readonly unknown[]): void {
  const { buffer, byteOffset } = memory.bytesAt(Number(args[2]), io_uring_params.size);
  const params = new DataView(buffer.slice(byteOffset, byteOffset + io_uring_params.size));
  rings.set(fd, { params, queues: 0, requests: 0 });
}

/** Something was mapped, perhaps a part of a ring. */
export function mapped({ abi }: CallContext, address: number, args: readonly unknown[]): void {
  const [, , , , fd, offset] = args;
  const ring = rings.get(fd as number);
  if (ring === undefined || abi.linux === null) return;
  if (Number(offset) === abi.linux.IORING_OFF_SQ_RING) ring.queues = address;
  if (Number(offset) === abi.linux.IORING_OFF_SQES) ring.requests = address;
}

/** A descriptor was closed, perhaps that of a ring. */
export function closedRing(fd: number): void {
  rings.delete(fd);
}

/** The requests that point to nothing. */
const POINTERLESS = ["IORING_OP_POLL_ADD", "IORING_OP_POLL_REMOVE"] as const;

/** io_uring_enter(2): the requests that the kernel finds in the queue. */
function checkQueue(context: CallContext, args: readonly unknown[]): void {
  const name = "io_uring_enter";
  const count = Number(args[2]);
  if (count === 0) return;
  const ring = rings.get(Number(args[1]));
  if (ring === undefined || ring.queues === 0 || ring.requests === 0) {
    throw new PointerError(name, "argument 1", "is a ring whose queues are not known");
  }
  const { fields } = io_uring_params;
  const take = (field: keyof typeof fields) => readField(ring.params, fields[field]);
  const { memory, abi } = context;
  const word = (at: number) => {
    context.memory.checkAddress(name, "the queue", ring.queues + at, 4);
    return memory.bytesAt(ring.queues + at, 4).getUint32(0, true);
  };
  const entries = take("sq_entries");
  const head = word(take("sq_off.head"));
  for (let i = 0; i < count; i++) {
    const index = word(take("sq_off.array") + 4 * ((head + i) % entries));
    const at = ring.requests + index * io_uring_sqe.size;
    const pointer = `request ${i} of the queue`;
    context.memory.checkAddress(name, pointer, at, io_uring_sqe.size);
    const request = memory.bytesAt(at, io_uring_sqe.size);
    const member = (field: keyof typeof io_uring_sqe.fields) =>
      readField(request, io_uring_sqe.fields[field]);
    const opcode = member("opcode");
    if (opcode === abi.linux!.IORING_OP_WRITE) {
      context.memory.checkAddress(name, `addr of ${pointer}`, member("addr"), member("len"));
    } else if (!POINTERLESS.some((known) => opcode === abi.linux![known])) {
      throw new PointerError(name, pointer, "is of an unknown kind");
    }
  }
}
