/**
 * What x86_64 Linux has of its own.
 * @module
 */

import { linuxLayouts } from "./linux.ts";
import type { ArchConstants, Layouts } from "./types.ts";

export const constants: ArchConstants = { O_DIRECTORY: 65536, O_NOFOLLOW: 131072 };

/** `epoll_event` is packed on this architecture and no other. */
export const layouts: Layouts = {
  ...linuxLayouts,
  epoll_event: { size: 12, fields: { events: [0, 4], data: [4, 8] } },
  stat: {
    size: 144,
    fields: {
      st_dev: [0, 8],
      st_ino: [8, 8],
      st_nlink: [16, 8],
      st_mode: [24, 4],
      st_uid: [28, 4],
      st_gid: [32, 4],
      st_size: [48, 8],
      "st_mtim.tv_sec": [88, 8],
      "st_mtim.tv_nsec": [96, 8],
    },
  },
};

/** Numbers for `syscall(2)`, where libc has no function of that name, or one that takes less. */
export const syscalls = {
  io_setup: 206,
  io_destroy: 207,
  io_submit: 209,
  io_uring_setup: 425,
  io_uring_enter: 426,
  clock_gettime: 228,
  pidfd_send_signal: 424,
  pidfd_open: 434,
  sendmsg: 46,
} as const;
