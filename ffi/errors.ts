/**
 * The error that every failed system call becomes.
 * @module
 */

/** What a {@linkcode UnixSocketError} is made of. */
export interface UnixSocketErrorInit {
  /** What failed, as the beginning of a sentence: `Cannot connect to "/run/x.sock"`. */
  action: string;
  /** The symbolic errno, such as `ECONNREFUSED`, or `UNKNOWN_nnn`. */
  code: string;
  /** The errno's number on this system, or 0 where it has none. */
  errno: number;
  /** The C function that failed. */
  syscall: string;
  /** The address concerned, as text for people: a path, `@name`, or `(unnamed)`. */
  address?: string | undefined;
  /** What to know beyond the code; shown in parentheses. */
  detail?: string | undefined;
  /** How many bytes had been transferred when a whole-buffer operation stopped. */
  bytesTransferred?: number | undefined;
}

/**
 * A system call failed, or the library refused to make it.
 *
 * `message` reads `Cannot connect to "/run/x.sock": ECONNREFUSED`.
 *
 * @example
 * ```ts
 * import { UnixSocketError, UnixStream } from "@afunix/afunix";
 *
 * try {
 *   await UnixStream.connect("/run/nobody.sock");
 * } catch (error) {
 *   if (error instanceof UnixSocketError && error.code === "ENOENT") console.log("not there");
 * }
 * ```
 */
export class UnixSocketError extends Error {
  /** Always `UnixSocketError`. */
  override name = "UnixSocketError";
  /** The symbolic errno: `ECONNREFUSED`, `EPIPE`, …; one that has no name is `UNKNOWN_nnn`. */
  readonly code: string;
  /** The errno's number on this system; 0 where it has none. Also set where no call was made. */
  readonly errno: number;
  /** The C function that failed, such as `connect`. */
  readonly syscall: string;
  /** The address concerned, as text for people: a path, `@name`, or `(unnamed)`. */
  declare readonly address: string | undefined;
  /**
   * For an operation on a whole buffer (`writeAllSync` and the like): how many of its bytes had
   * been transferred before it failed or timed out. Undefined elsewhere.
   */
  declare readonly bytesTransferred: number | undefined;

  /** Puts the message together from its parts. */
  constructor(init: UnixSocketErrorInit, options?: ErrorOptions) {
    const detail = init.detail === undefined ? "" : ` (${init.detail})`;
    super(`${init.action}: ${init.code}${detail}`, options);
    this.code = init.code;
    this.errno = init.errno;
    this.syscall = init.syscall;
    if (init.address !== undefined) this.address = init.address;
    if (init.bytesTransferred !== undefined) this.bytesTransferred = init.bytesTransferred;
  }
}
