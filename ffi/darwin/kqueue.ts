/**
 * The poller on macOS: one kqueue, edge-triggered (EV_CLEAR). A descriptor is in it once for each
 * direction, as a filter of its own. Experimental: it has never run on a Mac.
 *
 * Adding a filter that is there already looks anew whether it is ready, as changing an epoll
 * registration does. EV_RECEIPT makes the kernel answer each change and keep the events for later.
 * @module
 */

import { checked } from "../libc/failure.ts";
import { native } from "../native.ts";
import { FOR_READING, FOR_WRITING, type Poller } from "../poller.ts";
import { readField, writeField } from "../structs/field.ts";

/** How many events one look takes at most. */
const MAX_EVENTS = 256;

/** The most changes of one call: both directions. */
const MAX_CHANGES = 2;

/** A new kqueue. It is closed on exec; no child inherits one in any case. */
export function createKqueue(): Poller {
  const { calls, abi } = native();
  const { EVFILT_READ, EVFILT_WRITE, EV_ADD, EV_DELETE, EV_CLEAR, EV_RECEIPT } = abi.darwin!;
  const { size, fields } = abi.layouts.kevent!;
  const { ENOENT } = abi.errno;
  const fd = checked(calls.kqueue(), { action: "Cannot create a kqueue", syscall: "kqueue" });
  calls.fcntl(fd, abi.constants.F_SETFD, abi.constants.FD_CLOEXEC);

  const changes = new DataView(new ArrayBuffer(size * MAX_CHANGES));
  const receipts = new DataView(new ArrayBuffer(size * MAX_CHANGES));
  const events = new DataView(new ArrayBuffer(size * MAX_EVENTS));
  // A timeout of zero: look and come back.
  const atOnce = new BigInt64Array(new ArrayBuffer(16));

  const put = (index: number, target: number, filter: number, flags: number, token: number) => {
    const at = index * size;
    const set = (name: keyof typeof fields, value: number) =>
      writeField(changes, [at + fields[name][0], fields[name][1]], value);
    set("ident", target);
    set("filter", filter);
    set("flags", flags | EV_RECEIPT);
    set("fflags", 0);
    set("data", 0);
    set("udata", token);
  };
  const take = (view: DataView, index: number, name: keyof typeof fields) =>
    readField(view, [index * size + fields[name][0], fields[name][1]]);

  /** Makes so many changes; 0, or the negated errno of the first that failed. */
  const apply = (count: number): number => {
    const answered = calls.kevent(fd, changes, count, receipts, count, null);
    if (answered < 0) return answered;
    for (let i = 0; i < answered; i++) {
      const errno = take(receipts, i, "data");
      const removing = (take(changes, i, "flags") & EV_DELETE) !== 0;
      // What is not there need not be removed.
      if (errno !== 0 && !(removing && errno === ENOENT)) return -errno;
    }
    return 0;
  };

  const filters = [[EVFILT_READ, FOR_READING], [EVFILT_WRITE, FOR_WRITING]] as const;
  const add = (target: number, token: number, interest: number): number => {
    let count = 0;
    for (const [filter, bit] of filters) {
      if (interest & bit) put(count++, target, filter, EV_ADD | EV_CLEAR, token);
    }
    return apply(count);
  };

  return {
    fd,
    syscall: "kevent",

    add(target, token, interest) {
      const result = add(target, token, interest);
      // Of two, the first may be in.
      if (result < 0) this.remove(target);
      return result;
    },

    change(target, token, interest) {
      let count = 0;
      for (const [filter, bit] of filters) {
        if (!(interest & bit)) put(count++, target, filter, EV_DELETE, token);
      }
      const result = count === 0 ? 0 : apply(count);
      return result < 0 ? result : add(target, token, interest);
    },

    remove(target) {
      for (const [index, [filter]] of filters.entries()) put(index, target, filter, EV_DELETE, 0);
      apply(filters.length);
    },

    collect(visit) {
      const ready = calls.kevent(fd, null, 0, events, MAX_EVENTS, atOnce);
      for (let i = 0; i < ready; i++) {
        const reading = take(events, i, "filter") === (EVFILT_READ & 0xffff);
        // An end (EV_EOF) is an event of its filter: a read finds it, and a write fails.
        visit(take(events, i, "udata"), reading, !reading);
      }
      return Math.max(0, ready);
    },

    close() {
      calls.close(fd);
    },
  };
}
