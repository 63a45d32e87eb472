/**
 * Which descriptors of a set are ready: what every system's way has to do.
 * @module
 */

/** What a descriptor is in a set for: reading, writing, or the sum for both. */
export const FOR_READING = 1;
export const FOR_WRITING = 2;

/** Told which registration is ready for what. */
export type ReadyVisitor = (token: number, readable: boolean, writable: boolean) => void;

/** A set of descriptors, edge-triggered: each change is reported once. */
export interface Poller {
  /** The set's own descriptor, readable while events wait. */
  readonly fd: number;
  /** The C function that adds and changes. */
  readonly syscall: string;
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
