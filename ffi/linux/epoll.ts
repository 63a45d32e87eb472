/**
 * The poller on Linux: one epoll set, edge-triggered.
 * @module
 */

import { checked } from "../libc/failure.ts";
import { native } from "../native.ts";
import { FOR_READING, FOR_WRITING, type Poller } from "../poller.ts";
import { writeField } from "../structs/field.ts";

/** How many events one look takes at most. */
const MAX_EVENTS = 256;

/** A new epoll set. */
export function createEpoll(): Poller {
  const { calls, abi } = native();
  const linux = abi.linux!;
  const layout = abi.layouts.epoll_event!;
  const fd = checked(calls.epoll_create1(linux.EPOLL_CLOEXEC), {
    action: "Cannot create an epoll set",
    syscall: "epoll_create1",
  });

  const { EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET } = linux;
  const forReading = EPOLLIN | EPOLLRDHUP | EPOLLET;
  const forWriting = EPOLLOUT | EPOLLET;
  const readableMask = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  const writableMask = EPOLLOUT | EPOLLHUP | EPOLLERR;

  const event = new DataView(new ArrayBuffer(layout.size));
  const events = new DataView(new ArrayBuffer(layout.size * MAX_EVENTS));
  const eventsOffset = layout.fields.events[0];
  const dataOffset = layout.fields.data[0];

  const describe = (token: number, interest: number): void => {
    const reading = interest & FOR_READING ? forReading : 0;
    const writing = interest & FOR_WRITING ? forWriting : 0;
    writeField(event, layout.fields.events, (reading | writing) >>> 0);
    writeField(event, layout.fields.data, token);
  };

  const control = (operation: number, target: number): number =>
    calls.epoll_ctl(fd, operation, target, event);

  return {
    fd,
    syscall: "epoll_ctl",

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
      const ready = calls.epoll_wait(fd, events, MAX_EVENTS, 0);
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
      calls.close(fd);
    },
  };
}
