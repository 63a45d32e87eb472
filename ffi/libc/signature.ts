/**
 * The description of one function of libc in the symbol table.
 * @module
 */

/**
 * How an argument or a result crosses. `buffer` is a view whose memory is borrowed for the call,
 * `nullable` a view or null, `pointer` an address as a result.
 */
export type NativeType = "i32" | "u32" | "i64" | "u64" | "buffer" | "nullable" | "pointer";

/** The structs whose layouts are known, by name. */
export type StructName =
  | "pollfd"
  | "epoll_event"
  | "kevent"
  | "msghdr"
  | "mmsghdr"
  | "stat"
  | "statx"
  | "timespec";

/**
 * How much memory has to stand behind a pointer argument: a number of bytes; one struct; a text that
 * ends with a NUL; as many bytes as another argument says (`bytes`), or as the `socklen_t` says that
 * another one points to (`bytesIn`); an array of structs with its length in another argument; or the
 * beginning of a whole mapping, with its length in another argument. Arguments count from 0.
 */
export type Extent =
  | number
  | StructName
  | "string"
  | { readonly bytes: number }
  | { readonly bytesIn: number }
  | { readonly entries: number; readonly of: StructName }
  | { readonly mapping: number };

/** One C function. */
export interface Signature {
  readonly args: readonly NativeType[];
  readonly result: "i32" | "i64" | "pointer";
  /**
   * What stands behind each pointer argument, checked in debug mode; null for memory is right where
   * the type is `nullable`. "by number": ffi/debug/syscalls.ts says it for each system call.
   */
  readonly memory?: { readonly [argument: number]: Extent } | "by number";
  /**
   * What a success makes: a descriptor; one that lives as long as its thread; two, in the array that
   * an argument points to; memory of as many bytes as these arguments multiply to, or of a number of
   * bytes. What depends on a command is in ffi/debug/mod.ts.
   */
  readonly makes?:
    | "descriptor"
    | "lasting descriptor"
    | { readonly descriptorsIn: number }
    | { readonly memory: readonly number[] }
    | { readonly bytes: number };
  /** Bound on this system only. */
  readonly os?: "linux" | "darwin";
  /**
   * How many arguments stand before the `...` of a variadic prototype. Apple's arm64 passes those
   * after it on the stack, never in registers.
   */
  readonly variadicAfter?: number;
  /**
   * The errno values this call can leave. Any other was clobbered between the call and its
   * reading, and the call is made again. Absent: all but 0.
   */
  readonly errnos?: readonly string[];
  /** False if a failed call is never repeated, not even after EINTR. */
  readonly repeats?: false;
  /**
   * False if nothing calls it through the errno gate: it cannot fail, so that −1 is a result like any
   * other, or only what stands between the gate and libc calls it.
   */
  readonly gated?: false;
}
