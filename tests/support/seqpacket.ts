/**
 * Helpers around seqpacket sockets: connections of each kind, records as text.
 * @module
 */

import { assertEquals, assertInstanceOf } from "@std/assert";
import { join } from "@std/path";
import {
  type Message,
  type ReceiveBatch,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
} from "../../mod.ts";
import { bytes, text, withTempDir } from "./sockets.ts";

/** How two ends came to be connected. */
export type Peering = "pair" | "unbound" | "bound";
export const PEERINGS: readonly Peering[] = ["pair", "unbound", "bound"];

/** Two connected ends, closed afterwards: of a pair, or of a client (with an address) and a server. */
export async function withSeqpackets<T>(
  peering: Peering,
  body: (client: UnixSeqpacket, server: UnixSeqpacket, path: string) => T | Promise<T>,
): Promise<T> {
  return await withTempDir(async (directory) => {
    const path = join(directory, "test.sock");
    if (peering === "pair") {
      const [a, b] = UnixSeqpacket.pair();
      using client = a;
      using server = b;
      return await body(client, server, path);
    }
    using listener = UnixSeqpacketListener.listen(path);
    const from = peering === "bound" ? join(directory, "client.sock") : undefined;
    using client = await UnixSeqpacket.connect(path, { from });
    using server = await listener.accept();
    return await body(client, server, path);
  });
}

/** A record as text; null at the end. */
export function content(message: Message | null): string | null {
  return message === null ? null : text(message.data);
}

/** The records of a batch as text. */
export function contents(batch: ReceiveBatch): string[] {
  return Array.from(batch, (message) => text(message.data));
}

/** Sends texts, one record each. */
export async function sendTexts(socket: UnixSeqpacket, ...texts: string[]): Promise<void> {
  for (const each of texts) await socket.send(bytes(each));
}

/** Sends one byte at a time until no more fits; how many. */
export async function fillRecords(socket: UnixSeqpacket): Promise<number> {
  for (let sent = 0;; sent++) {
    try {
      await socket.send(new Uint8Array(1), { dontWait: true });
    } catch (error) {
      assertInstanceOf(error, UnixSocketError);
      assertEquals(error.code, "EAGAIN");
      return sent;
    }
  }
}

/** Takes so many records away. */
export async function drain(socket: UnixSeqpacket, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await socket.receive();
}
