/**
 * The names of users and groups.
 * @module
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** How long a directory service has to answer. */
const TIMEOUT_MS = 2000;

const known = new Map<string, string | null>();

/** The name of a user; null where none is known. */
export function userName(uid: number): string | null {
  return nameOf("passwd", uid);
}

/** The name of a group; null where none is known. */
export function groupName(gid: number): string | null {
  return nameOf("group", gid);
}

function nameOf(database: "passwd" | "group", id: number): string | null {
  const key = `${database} ${id}`;
  let name = known.get(key);
  if (name === undefined) {
    known.set(key, name = inFile(database, id) ?? inDatabase(database, id));
  }
  return name;
}

function inFile(database: string, id: number): string | null {
  try {
    return find(readFileSync(`/etc/${database}`, "utf8"), id);
  } catch {
    return null;
  }
}

/** Asks what is configured besides the files, where getent(1) is there. */
function inDatabase(database: string, id: number): string | null {
  try {
    const { stdout } = spawnSync("getent", [database, String(id)], {
      encoding: "utf8",
      timeout: TIMEOUT_MS,
      stdio: ["ignore", "pipe", "ignore"],
    });
    return find(stdout ?? "", id);
  } catch {
    return null;
  }
}

function find(text: string, id: number): string | null {
  for (const line of text.split("\n")) {
    const [name, , number] = line.split(":");
    if (name && number === String(id)) return name;
  }
  return null;
}
