/**
 * What debug mode throws. Each of these errors is a mistake in the library itself.
 * @module
 */

const REPORT = "This is a mistake in afunix itself: please report it";

/** A call would have been given memory that it must not use. It was not made. */
export class PointerError extends Error {
  override name = "PointerError";
  /** The C function, or the function of the runtime, that was to be called. */
  readonly syscall: string;
  /** Which pointer: an argument, or a member of the struct that it points to. */
  readonly pointer: string;

  /** `problem` goes on where the name of the pointer ends. */
  constructor(syscall: string, pointer: string, problem: string) {
    super(`Cannot call ${syscall}: ${pointer} ${problem}\n${REPORT}`);
    this.syscall = syscall;
    this.pointer = pointer;
  }
}

/** A descriptor would have been closed that is not the library's to close. It was not. */
export class DescriptorError extends Error {
  override name = "DescriptorError";
  /** The number. */
  readonly fd: number;

  constructor(fd: number, problem: string) {
    super(`Cannot close descriptor ${fd}: ${problem}\n${REPORT}`);
    this.fd = fd;
  }
}

/** How many calls are shown of a place in the program; a stack of ten is all the library's own. */
const CALLS_SHOWN = 30;

/** Whether the runtime can tell now where the program is. */
let canTell = (): boolean => true;

/** Sets what is asked before each look at the stack. */
export function tellPlacesIf(can: () => boolean): void {
  canTell = can;
}

/**
 * Where the program is, as text: an error would keep alive what stands on its stack. Without the
 * innermost calls, as many as `skip` says.
 */
export function currentPlace(skip = 0): string {
  if (!canTell()) return "    (unknown: the runtime needs a free descriptor to tell)";
  const limits = Error as { stackTraceLimit?: number };
  const before = limits.stackTraceLimit;
  limits.stackTraceLimit = CALLS_SHOWN;
  const stack = new Error().stack ?? "";
  limits.stackTraceLimit = before!;
  // Without the line of the message, and without this function.
  return stack.split("\n").slice(2 + skip).join("\n");
}
