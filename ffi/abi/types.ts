/**
 * The shapes of layouts and constants: what a target's data has to have.
 * @module
 */

import type { linuxCommon } from "./linux.ts";

/** Where a struct member stands: its offset and its width, in bytes. */
export type Field = readonly [offset: number, width: number];

/** A C struct: its size in bytes, and its members. */
export interface Layout<Names extends string> {
  readonly size: number;
  readonly fields: { readonly [Name in Names]: Field };
}

/** `sockaddr_un`; `longest` is the largest address length that the kernel takes, in bytes. */
export interface SockaddrUnLayout extends Layout<"sun_family" | "sun_path"> {
  readonly longest: number;
  readonly fields: {
    readonly sun_len?: Field;
    readonly sun_family: Field;
    readonly sun_path: Field;
  };
}

export interface Layouts {
  readonly sockaddr_un: SockaddrUnLayout;
  readonly pollfd: Layout<"fd" | "events" | "revents">;
  readonly epoll_event: Layout<"events" | "data"> | null;
  readonly ucred: Layout<"pid" | "uid" | "gid"> | null;
  readonly iovec: Layout<"iov_base" | "iov_len">;
  readonly msghdr: Layout<
    | "msg_name"
    | "msg_namelen"
    | "msg_iov"
    | "msg_iovlen"
    | "msg_control"
    | "msg_controllen"
    | "msg_flags"
  >;
  readonly cmsghdr: Layout<"cmsg_len" | "cmsg_level" | "cmsg_type">;
  readonly mmsghdr: Layout<"msg_hdr" | "msg_len"> | null;
  readonly kevent: Layout<"ident" | "filter" | "flags" | "fflags" | "data" | "udata"> | null;
  readonly xucred: Layout<"cr_version" | "cr_uid" | "cr_ngroups" | "cr_groups"> | null;
  readonly audit_token_t: Layout<"val"> | null;
  /** `st_mtim` is `st_mtimespec` on macOS. */
  readonly stat: Layout<
    | "st_dev"
    | "st_ino"
    | "st_mode"
    | "st_nlink"
    | "st_uid"
    | "st_gid"
    | "st_size"
    | "st_mtim.tv_sec"
    | "st_mtim.tv_nsec"
  >;
}

/** Constants that differ between Linux architectures. */
export interface ArchConstants {
  readonly O_DIRECTORY: number;
  readonly O_NOFOLLOW: number;
}

/** The same names, for values of any target. */
export type Widen<T> = { readonly [Name in keyof T]: number };

/** Constants that every supported system has. */
export type CommonConstants = Widen<typeof linuxCommon> & ArchConstants;
