/**
 * The model of a listener: every connection is accepted or refused once, and every client that said who it
 * is, and stayed, is served exactly once.
 * @module
 */

import { firstDifference, numbered, placeOf } from "./numbers.ts";
import type { Note } from "./peer_process.ts";

/** How long a greeting is, and an answer. */
const LENGTH = 8;

/** What a client says first. */
export function greeting(id: number): Uint8Array<ArrayBuffer> {
  return numbered(LENGTH, id);
}

/** What it is told. */
export function answer(id: number): Uint8Array<ArrayBuffer> {
  return numbered(LENGTH, id, LENGTH);
}

/** Who greets, or null for nobody. */
export function greeter(data: Uint8Array): number | null {
  const place = data.length === LENGTH ? placeOf(data) : null;
  return place?.offset === 0 ? place.id : null;
}

/** What became of a client. */
export interface Client {
  readonly id: number;
  connected: boolean;
  /** Whether it said who it is. */
  greeted: boolean;
  /** Whether it left without hearing to the end. */
  left: boolean;
  /** All that it heard; null where it did not listen to the end. */
  heard: Uint8Array | null;
}

export interface Doorbook {
  readonly clients: readonly Client[];
  /** How often each client was served. */
  readonly served: ReadonlyMap<number, number>;
  /** Connections that were accepted, and those that `authorize` refused. */
  readonly accepted: number;
  readonly refused: number;
  /** Whether a listener ended while connections may have been in its backlog. */
  readonly interrupted: boolean;
  /** Connections that nobody can count: of a process that was killed. */
  readonly unknown: number;
}

/** The clients of another process, by its notes. */
export function clientsBy(notes: readonly Note[], said: ReadonlySet<number>): Client[] {
  const clients = new Map<number, Client>();
  for (const note of notes) {
    if ("connected" in note) {
      const id = note.connected;
      const client = { id, connected: true, greeted: said.has(id), left: true, heard: null };
      clients.set(id, client);
    } else if ("heard" in note) {
      const client = clients.get(note.heard)!;
      client.left = false;
      client.heard = new Uint8Array(Buffer.from(note.bytes, "base64"));
    }
  }
  return [...clients.values()];
}

/** What is wrong, in one line; null where nothing is. */
export function judgeListener(book: Doorbook): string | null {
  const { clients, served, accepted, refused, interrupted, unknown } = book;
  const byId = new Map(clients.map((client) => [client.id, client]));
  for (const [id, times] of served) {
    if (!byId.has(id)) return `client ${id}, who never connected, is served`;
    if (times !== 1) return `client ${id} is served ${times} times`;
  }
  let lost = 0;
  for (const { id, connected, greeted, left, heard } of clients) {
    if (heard !== null && heard.length > 0) {
      const expected = answer(id);
      if (heard.length !== expected.length || firstDifference(heard, expected) !== -1) {
        return `client ${id} heard ${heard}`;
      }
      if (!served.has(id)) return `client ${id} heard an answer that nobody gave`;
    } else if (connected && greeted && !left) {
      // It stayed, and heard nothing.
      if (served.has(id)) return `client ${id} was served and heard nothing`;
      lost++;
    }
  }
  if (lost > refused && !interrupted) {
    return `${lost} clients are lost, and ${refused} were refused`;
  }
  const connected = clients.filter(({ connected }) => connected).length;
  const taken = accepted + refused;
  if (taken > connected + unknown) return `${taken} connections came of ${connected} clients`;
  if (taken < connected && !interrupted) {
    return `${connected - taken} of ${connected} connections were never accepted`;
  }
  return null;
}
