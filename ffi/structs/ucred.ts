/**
 * `struct ucred`: who a process is, as Linux tells it.
 * @module
 */

import type { Layout } from "../abi/mod.ts";
import { readField, writeField } from "./field.ts";

/** The ids of a process; in the process's own namespaces. */
export interface RawCredentials {
  pid: number;
  uid: number;
  gid: number;
}

type Ucred = Layout<"pid" | "uid" | "gid">;

/** Writes the struct at an offset. */
export function putUcred(
  { fields }: Ucred,
  view: DataView,
  at: number,
  credentials: RawCredentials,
): void {
  for (const name of ["pid", "uid", "gid"] as const) {
    const [offset, width] = fields[name];
    writeField(view, [at + offset, width], credentials[name]);
  }
}

/** Reads the struct at an offset. */
export function takeUcred({ fields }: Ucred, view: DataView, at: number): RawCredentials {
  const take = ([offset, width]: readonly [number, number]) =>
    readField(view, [at + offset, width]);
  return { pid: take(fields.pid) | 0, uid: take(fields.uid), gid: take(fields.gid) };
}
