/**
 * The poller on Linux: one epoll set, edge-triggered.
 * @module
 */

import { again, checked, negatedErrno } from "./call.ts";
import { native } from "./native.ts";
import { putField } from "./struct.ts";

/** How many events one look takes at most. */
const MOST_EVENTS = 256;

/** What a descriptor is in a set for: reading, writing, or the sum for both. */
export const FOR_READING = 1;
export const FOR_WRITING = 2;

/** Told which registration is ready for what. */
export type ReadyVisitor = (token: number, readable: boolean, writable: boolean) => void;

/** Which descriptors of a set are ready. */
export interface Poller {
  /** The set's own descriptor, readable while events wait. */
  readonly fd: number;
  /**
   * Adds a descriptor under a token; 0, or a negated errno (EPERM: cannot be polled). `interest` says
   * for what: every event that nobody waits for wakes the thread for nothing.
   */
  add(fd: number, token: number, interest: number): number;
  /** Changes what a descriptor is in the set for, and reports what is ready then; 0, or an errno. */
  change(fd: number, token: number, interest: number): number;
  /** Takes a descriptor out. To be called before it is closed: a duplicate would keep it in. */
  remove(fd: number): void;
  /** Reports what is ready now, without blocking, or a part of it; how much that was. */
  collect(visit: ReadyVisitor): number;
  /** Gives the set up. */
  close(): void;
}

export function createEpoll(): Poller {
  const { libc, abi } = native();
  const linux = abi.linux!;
  const layout = abi.layouts.epoll_event!;
  let created;
  do created = libc.epoll_create1(linux.EPOLL_CLOEXEC); while (
    created === -1 && again("epoll_create1")
  );
  const fd = checked(created === -1 ? negatedErrno : created, {
    action: "Cannot create an epoll set",
    syscall: "epoll_create1",
  });

  const { EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET } = linux;
  const forReading = EPOLLIN | EPOLLRDHUP | EPOLLET;
  const forWriting = EPOLLOUT | EPOLLET;
  const readableMask = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  const writableMask = EPOLLOUT | EPOLLHUP | EPOLLERR;

  const event = new DataView(new ArrayBuffer(layout.size));
  const events = new DataView(new ArrayBuffer(layout.size * MOST_EVENTS));
  const eventsOffset = layout.fields.events[0];
  const dataOffset = layout.fields.data[0];

  const describe = (token: number, interest: number): void => {
    const reading = interest & FOR_READING ? forReading : 0;
    const writing = interest & FOR_WRITING ? forWriting : 0;
    putField(event, layout.fields.events, (reading | writing) >>> 0);
    putField(event, layout.fields.data, token);
  };

  const control = (operation: number, target: number): number => {
    let result;
    do result = libc.epoll_ctl(fd, operation, target, event); while (
      result === -1 && again("epoll_ctl")
    );
    return result === -1 ? negatedErrno : 0;
  };

  return {
    fd,

    add(target, token, interest) {
      describe(token, interest);
      const result = control(linux.EPOLL_CTL_ADD, target);
      return result === -abi.errno.EEXIST! ? control(linux.EPOLL_CTL_MOD, target) : result;
    },

    change(target, token, interest) {
      describe(token, interest);
      return control(linux.EPOLL_CTL_MOD, target);
    },

    remove(target) {
      control(linux.EPOLL_CTL_DEL, target);
    },

    collect(visit) {
      let ready;
      do ready = libc.epoll_wait(fd, events, MOST_EVENTS, 0); while (
        ready === -1 && again("epoll_wait")
      );
      for (let i = 0; i < ready; i++) {
        const at = i * layout.size;
        const flags = events.getUint32(at + eventsOffset, true);
        const token = events.getUint32(at + dataOffset, true) +
          events.getUint32(at + dataOffset + 4, true) * 2 ** 32;
        visit(token, (flags & readableMask) !== 0, (flags & writableMask) !== 0);
      }
      return Math.max(0, ready);
    },

    close() {
      libc.close(fd);
    },
  };
}
