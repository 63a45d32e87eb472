/**
 * kqueue(2) by way of epoll: filters for reading and writing, edge-triggered, with receipts.
 */

import { readField, writeField } from "../../../ffi/structs/field.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";
import type { Parts } from "./libc.ts";
import { linux, mac } from "./translation.ts";

const darwin = mac.darwin!;
const layout = mac.layouts.kevent!;
const epollEvent = linux.layouts.epoll_event!;
const { EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET } = linux.linux!;

/** The tokens of a descriptor, by filter. */
type Filters = Map<number, number>;

export function kqueues(
  { libc, isLinuxErrno, onClose }: Parts,
): Record<string, (...args: never[]) => number> {
  const sets = new Map<number, Map<number, Filters>>();
  // What is closed is in no set any more.
  onClose((fd) => {
    sets.delete(fd);
    for (const set of sets.values()) set.delete(fd);
  });
  const scratch = new DataView(new ArrayBuffer(epollEvent.size));

  /** Tells epoll what the filters of a descriptor are for; 0, or the errno. */
  const apply = (kq: number, fd: number, filters: Filters, isNew: boolean): number => {
    const { EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL } = linux.linux!;
    const reading = filters.has(darwin.EVFILT_READ) ? EPOLLIN | EPOLLRDHUP : 0;
    const writing = filters.has(darwin.EVFILT_WRITE) ? EPOLLOUT : 0;
    writeField(scratch, epollEvent.fields.events, (reading | writing | EPOLLET) >>> 0);
    writeField(scratch, epollEvent.fields.data, fd);
    const operation = filters.size === 0 ? EPOLL_CTL_DEL : isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (libc.epoll_ctl(kq, operation, fd, scratch) === 0) return 0;
    // Of a file, which epoll does not take and nothing has to wait for.
    return isLinuxErrno("EPERM") ? 0 : mac.errno.EBADF!;
  };

  const change = (kq: number, event: DataView): number => {
    const set = sets.get(kq)!;
    const fd = readField(event, layout.fields.ident);
    const filter = event.getInt16(layout.fields.filter[0], true);
    const flags = readField(event, layout.fields.flags);
    const filters = set.get(fd) ?? new Map<number, number>();
    const isNew = filters.size === 0;
    if (flags & darwin.EV_DELETE) {
      if (!filters.delete(filter)) return mac.errno.ENOENT!;
    } else {
      if (!(flags & darwin.EV_CLEAR)) throw new Error("not edge-triggered");
      filters.set(filter, readField(event, layout.fields.udata));
    }
    if (filters.size === 0) set.delete(fd);
    else set.set(fd, filters);
    const result = apply(kq, fd, filters, isNew);
    if (result !== 0) set.delete(fd);
    return result;
  };

  const found = new DataView(new ArrayBuffer(epollEvent.size * 64));

  const collect = (kq: number, events: ArrayBufferView, room: number): number => {
    // An event of epoll makes two at most.
    const most = Math.min(64, Math.floor(room / 2));
    const count = libc.epoll_wait(kq, found, most, 0);
    let filled = 0;
    const put = (fd: number, filter: number, token: number, ended: boolean) => {
      const at = events.byteOffset + filled++ * layout.size;
      const event = new DataView(events.buffer, at, layout.size);
      writeField(event, layout.fields.ident, fd);
      writeField(event, layout.fields.filter, filter & 0xffff);
      writeField(event, layout.fields.flags, ended ? darwin.EV_EOF : 0);
      writeField(event, layout.fields.udata, token);
    };
    for (let i = 0; i < count; i++) {
      const event = new DataView(found.buffer, i * epollEvent.size, epollEvent.size);
      const flags = readField(event, epollEvent.fields.events);
      const fd = readField(event, epollEvent.fields.data);
      const ended = (flags & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) !== 0;
      const filters = sets.get(kq)!.get(fd);
      const reading = filters?.get(darwin.EVFILT_READ);
      const writing = filters?.get(darwin.EVFILT_WRITE);
      if (reading !== undefined && (flags & EPOLLIN || ended)) {
        put(fd, darwin.EVFILT_READ, reading, ended);
      }
      if (writing !== undefined && flags & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        put(fd, darwin.EVFILT_WRITE, writing, ended);
      }
    }
    return count === -1 ? -1 : filled;
  };

  return {
    kqueue() {
      const kq = libc.epoll_create1(0);
      if (kq !== -1) sets.set(kq, new Map());
      return kq;
    },
    kevent(...[kq, changes, count, events, room, timeout]: Parameters<Libc["kevent"]>) {
      if (count === 0) {
        if (timeout === null) throw new Error("the thread would block");
        return collect(kq, events!, room);
      }
      for (let i = 0; i < count; i++) {
        const at = i * layout.size;
        const event = new DataView(changes!.buffer, changes!.byteOffset + at, layout.size);
        if (!(readField(event, layout.fields.flags) & darwin.EV_RECEIPT)) {
          throw new Error("no receipt asked");
        }
        const receipt = new DataView(events!.buffer, events!.byteOffset + at, layout.size);
        writeField(receipt, layout.fields.flags, darwin.EV_ERROR);
        writeField(receipt, layout.fields.data, change(kq, event));
      }
      return count;
    },
  };
}
