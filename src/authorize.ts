/**
 * Which peers a listener lets in.
 * @module
 */

import { type Credentials, peerCredentials, peerGroups } from "./credentials.ts";
import { checkInteger } from "./util/validate.ts";

/** The users and groups that may connect. Each list that is given has to name the peer. */
export interface AllowedPeers {
  /** Effective user ids. */
  uid?: readonly number[] | undefined;
  /** Group ids: the peer's effective one, or one of its supplementary groups. */
  gid?: readonly number[] | undefined;
}

/**
 * Decides about a peer: true lets it in. Called at once for each connection, so it must not wait; a
 * promise is an error, and lets nobody in. The peer has no credentials where the kernel knows none.
 */
export type AuthorizePeer = (peer: Credentials) => boolean;

/** Whether the peer of a fresh connection may stay. */
export type Gate = (fd: number) => boolean;

/** The gate that an option asks for; null for none. */
export function gateOf(authorize: AllowedPeers | AuthorizePeer | undefined): Gate | null {
  if (authorize === undefined) return null;
  if (typeof authorize === "function") return (fd) => decide(authorize, fd);
  if (typeof authorize !== "object" || authorize === null) {
    throw new TypeError("Cannot use this as authorize: expected a function, or lists of ids");
  }
  const uids = checkIds(authorize.uid, "uid");
  const gids = checkIds(authorize.gid, "gid");
  if (uids === null && gids === null) {
    throw new TypeError("Cannot authorize by nothing: give a list of uids or of gids");
  }
  return (fd) => {
    const peer = peerCredentials(fd);
    if (peer === null) return false;
    if (uids !== null && !uids.has(peer.uid)) return false;
    if (gids === null || gids.has(peer.gid)) return true;
    return peerGroups(fd)?.some((gid) => gids.has(gid)) ?? false;
  };
}

function decide(authorize: AuthorizePeer, fd: number): boolean {
  const peer = peerCredentials(fd);
  if (peer === null) return false;
  const answer: unknown = authorize(peer);
  if (typeof answer === "boolean") return answer;
  throw new TypeError("Cannot authorize a peer: the function has to return true or false");
}

function checkIds(ids: readonly number[] | undefined, what: string): ReadonlySet<number> | null {
  if (ids === undefined) return null;
  if (!Array.isArray(ids)) throw new TypeError(`Cannot use this as ${what}: expected an array`);
  return new Set(ids.map((id) => checkInteger(id, `a ${what}`, 0, 0xffff_fffe)));
}
