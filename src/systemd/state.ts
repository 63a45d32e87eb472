/**
 * The state of a service as a notification: lines of `NAME=VALUE`.
 * @module
 */

import { monotonicMicroseconds } from "../../ffi/mod.ts";
import { checkFlag, checkInteger, checkOptions } from "../util/validate.ts";

/** What to tell the service manager. What is absent, or false, is not said. */
export interface NotifyState {
  /** The start, or the reloading, is complete (READY=1). */
  ready?: boolean | undefined;
  /**
   * The service reloads its configuration (RELOADING=1), with the time of this call
   * (MONOTONIC_USEC), which `Type=notify-reload` needs. Say `ready` when that is done.
   */
  reloading?: boolean | undefined;
  /** The service begins to stop (STOPPING=1). */
  stopping?: boolean | undefined;
  /** One line for people (STATUS); an empty one clears it. */
  status?: string | undefined;
  /** Why the service failed, as an errno from 0 to 4095 (ERRNO), such as `UnixSocketError.errno`. */
  errno?: number | undefined;
  /** The main process, where it is not the one that was started (MAINPID). */
  mainPid?: number | undefined;
  /**
   * `true`: the service is alive (WATCHDOG=1). `"trigger"`: it is not, and the manager is to act as
   * if the time had run out (WATCHDOG=trigger).
   */
  watchdog?: boolean | "trigger" | undefined;
  /** Another interval for the watchdog from now on, in milliseconds (WATCHDOG_USEC). */
  watchdogInterval?: number | undefined;
  /**
   * Extends the time to start, run or stop: another such message, or the end of this state, comes
   * within so many milliseconds (EXTEND_TIMEOUT_USEC).
   */
  extendTimeout?: number | undefined;
  /** Stores the descriptors that go along (FDSTORE=1); `storeFds` does that by itself. */
  fdStore?: boolean | undefined;
  /** Forgets the stored descriptors whose name is `fdName` (FDSTOREREMOVE=1). */
  fdStoreRemove?: boolean | undefined;
  /**
   * The name of descriptors in the store (FDNAME): up to 255 printable ASCII characters, no colon.
   * The manager says `stored` where there is none.
   */
  fdName?: string | undefined;
  /**
   * `false`: stored descriptors stay also after a hang-up or an error on them (FDPOLL=0); the
   * manager otherwise drops them then.
   */
  fdPoll?: boolean | undefined;
  /**
   * Other fields, such as `{ EXIT_STATUS: "3" }` or `X_…` ones: names of capital letters, digits and
   * underscores, and values of one line. Each name once, also among those above.
   */
  fields?: Readonly<Record<string, string>> | undefined;
}

/** The managers' limit in bytes: they ignore a longer message, and say so in their own log only. */
const MAX_BYTES = 4096;

/** The longest name of a stored descriptor. */
const MAX_NAME = 255;

/** The maximum time whose whole microseconds a number holds exactly. */
const MAX_TIME_MS = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

/**
 * The bytes of a notification.
 *
 * @param descriptors how many go along
 * @throws {TypeError|RangeError} for a state that makes no sense, or nothing to say
 */
export function encodeState(state: NotifyState, descriptors: number): Uint8Array {
  if (state === undefined) throw new TypeError("Cannot notify of nothing: expected an object");
  checkOptions(state);
  const fields = new Map<string, string>();
  const flag = (name: string, value: unknown, what: string) => {
    if (checkFlag(value, what)) fields.set(name, "1");
    return fields.has(name);
  };
  flag("READY", state.ready, "ready");
  if (flag("RELOADING", state.reloading, "reloading")) {
    fields.set("MONOTONIC_USEC", String(monotonicMicroseconds()));
  }
  flag("STOPPING", state.stopping, "stopping");
  const { status, errno, mainPid, watchdog, watchdogInterval, extendTimeout } = state;
  if (status !== undefined) fields.set("STATUS", checkLine(status, "status"));
  if (errno !== undefined) fields.set("ERRNO", `${checkInteger(errno, "an errno", 0, 4095)}`);
  if (mainPid !== undefined) {
    fields.set("MAINPID", `${checkInteger(mainPid, "a pid", 1, 0x7fff_ffff)}`);
  }
  if (watchdog === "trigger") fields.set("WATCHDOG", watchdog);
  else if (typeof watchdog === "string") {
    throw new TypeError('Cannot use this as watchdog: expected true, false or "trigger"');
  } else flag("WATCHDOG", watchdog, "watchdog");
  if (watchdogInterval !== undefined) {
    fields.set("WATCHDOG_USEC", microseconds(watchdogInterval, "watchdogInterval"));
  }
  if (extendTimeout !== undefined) {
    fields.set("EXTEND_TIMEOUT_USEC", microseconds(extendTimeout, "extendTimeout"));
  }
  storing(state, fields, descriptors);
  addFields(state.fields, fields);
  return encodeLines(fields, descriptors);
}

/** The fields about the store of descriptors, which make sense together only. */
function storing(state: NotifyState, fields: Map<string, string>, descriptors: number): void {
  const store = checkFlag(state.fdStore, "fdStore");
  const remove = checkFlag(state.fdStoreRemove, "fdStoreRemove");
  const poll = checkFlag(state.fdPoll, "fdPoll", true);
  const { fdName } = state;
  if (store && remove) throw new TypeError("Cannot store and remove descriptors in one message");
  if (store && descriptors === 0) throw new TypeError("Cannot store descriptors: there are none");
  if (remove && fdName === undefined) {
    throw new TypeError("Cannot remove stored descriptors: expected their fdName");
  }
  if (fdName !== undefined && !store && !remove) {
    throw new TypeError("Cannot use fdName without fdStore or fdStoreRemove");
  }
  if (!poll && !store) throw new TypeError("Cannot use fdPoll without fdStore");
  if (store) fields.set("FDSTORE", "1");
  if (remove) fields.set("FDSTOREREMOVE", "1");
  if (fdName !== undefined) fields.set("FDNAME", checkFdName(fdName));
  if (!poll) fields.set("FDPOLL", "0");
}

function addFields(more: unknown, fields: Map<string, string>): void {
  checkOptions(more);
  for (const [name, value] of Object.entries((more ?? {}) as Record<string, unknown>)) {
    if (!/^[A-Z_][A-Z0-9_]*$/.test(name)) {
      throw new TypeError(
        `Cannot use ${JSON.stringify(name)} as a field: expected capital letters, digits and _`,
      );
    }
    if (name === "BARRIER") throw new TypeError("Cannot send BARRIER so: use notifyBarrier()");
    if (fields.has(name)) throw new TypeError(`Cannot send ${name} twice in one message`);
    fields.set(name, checkLine(value, name));
  }
}

function encodeLines(fields: Map<string, string>, descriptors: number): Uint8Array {
  if (fields.size === 0) throw new TypeError("Cannot notify of nothing: every field is absent");
  if (
    descriptors > 0 && !fields.has("FDSTORE") && ![...fields.keys()].some((name) => !OWN.has(name))
  ) {
    throw new TypeError("Cannot send descriptors without a field that says what for: use fdStore");
  }
  const lines = Array.from(fields, ([name, value]) => `${name}=${value}`);
  const bytes = new TextEncoder().encode(lines.join("\n"));
  if (bytes.length <= MAX_BYTES) return bytes;
  throw new RangeError(
    `Cannot send a notification of ${bytes.length} bytes: managers ignore more than ${MAX_BYTES}`,
  );
}

/** Fields of ours that want no descriptors. */
const OWN = new Set([
  "READY",
  "RELOADING",
  "MONOTONIC_USEC",
  "STOPPING",
  "STATUS",
  "ERRNO",
  "MAINPID",
  "WATCHDOG",
  "WATCHDOG_USEC",
  "EXTEND_TIMEOUT_USEC",
  "FDSTOREREMOVE",
  "FDNAME",
]);

/** A value that is one line. */
function checkLine(value: unknown, what: string): string {
  if (typeof value !== "string") {
    throw new TypeError(`Cannot use this as ${what}: expected a string`);
  }
  if (/[\n\0]/.test(value) || !value.isWellFormed()) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(value)} as ${what}: expected text of one line, without a NUL`,
    );
  }
  return value;
}

/** The name of a stored descriptor, as managers take it. */
export function checkFdName(name: unknown): string {
  if (typeof name !== "string") throw new TypeError("Cannot use this as fdName: expected a string");
  if (!/^[\x20-\x39\x3b-\x7e]*$/.test(name)) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(name)} as fdName: expected printable ASCII without a colon`,
    );
  }
  if (name.length > 0 && name.length <= MAX_NAME) return name;
  throw new RangeError(`Cannot use a name of ${name.length} characters: from 1 to ${MAX_NAME}`);
}

/** Milliseconds as whole microseconds, as text. */
function microseconds(value: unknown, what: string): string {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot use this as ${what}: expected a number`);
  }
  if (!(value >= 0.001 && value <= MAX_TIME_MS)) {
    throw new RangeError(
      `Cannot use ${value} as ${what}: expected milliseconds from 0.001 to ${MAX_TIME_MS}`,
    );
  }
  return String(Math.round(value * 1000));
}
