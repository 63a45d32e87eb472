/**
 * What aarch64 Linux has of its own.
 * @module
 */

import { linuxLayouts } from "./linux.ts";
import type { ArchConstants, Layouts } from "./types.ts";

export const constants: ArchConstants = { O_DIRECTORY: 16384, O_NOFOLLOW: 32768 };

export const layouts: Layouts = {
  ...linuxLayouts,
  epoll_event: { size: 16, fields: { events: [0, 4], data: [8, 8] } },
  stat: {
    size: 128,
    fields: {
      st_dev: [0, 8],
      st_ino: [8, 8],
      st_mode: [16, 4],
      st_nlink: [20, 4],
      st_uid: [24, 4],
      st_gid: [28, 4],
      st_size: [48, 8],
      "st_mtim.tv_sec": [88, 8],
      "st_mtim.tv_nsec": [96, 8],
    },
  },
};

/** Numbers for `syscall(2)`, where libc has no function of that name, or one that takes less. */
export const syscalls = {
  io_setup: 0,
  io_destroy: 1,
  io_submit: 2,
  io_uring_setup: 425,
  io_uring_enter: 426,
  clock_gettime: 113,
  pidfd_send_signal: 424,
  pidfd_open: 434,
  sendmsg: 211,
} as const;
