/**
 * Clients in this process, and those who serve them: each says who it is and hears an answer.
 * @module
 */

import { UnixSocketError, UnixStream } from "../../mod.ts";
import type { UnixSeqpacket } from "../../mod.ts";
import { answer, type Client, greeter, greeting } from "./listener_model.ts";
import type { Step } from "./plan.ts";
import { codeOf, type World } from "./world.ts";

export type Connection = UnixStream | UnixSeqpacket;

/** What a fault brings that is over in a moment. */
const PASSING = ["EMFILE", "ENOMEM", "ENOBUFS"];

/** The other end has gone. */
const GONE = ["EPIPE", "ECONNRESET", "ENOTCONN"];

/** Tries until it is no passing fault that is in the way. */
async function patiently<T>(world: World, call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof UnixSocketError) || !PASSING.includes(error.code)) throw error;
      world.journal.count(`error ${error.code}`);
      await world.turns(1);
    }
  }
}

async function say(world: World, connection: Connection, data: Uint8Array): Promise<boolean> {
  try {
    await patiently(world, async () => {
      if (connection instanceof UnixStream) await connection.writeAll(data);
      else await connection.send(data);
    });
    return true;
  } catch (error) {
    if (GONE.includes(codeOf(error))) return false;
    throw error;
  }
}

/** What comes next; null for the end, and for a connection that was reset. */
async function hear(world: World, connection: Connection): Promise<Uint8Array | null> {
  try {
    const message = await patiently(world, () => connection.receiveMessage({ size: 100 }));
    return message === null ? null : message.data;
  } catch (error) {
    if (GONE.includes(codeOf(error))) return null;
    throw error;
  }
}

/** What a client does when it is connected. */
export async function visit(
  world: World,
  step: Step,
  client: Client,
  connection: Connection,
): Promise<void> {
  client.connected = true;
  client.left = true;
  try {
    if (step.choice % 7 === 0) return;
    client.greeted = await say(world, connection, greeting(client.id));
    if (!client.greeted || step.choice % 7 === 1) return;
    const parts: Uint8Array[] = [];
    for (;;) {
      const part = await hear(world, connection);
      if (part === null) break;
      parts.push(part);
    }
    client.heard = new Uint8Array(Buffer.concat(parts));
    client.left = false;
  } finally {
    connection.close();
  }
}

/** Serves a connection; who it was, or null for somebody who left without a word. */
export async function serve(world: World, connection: Connection): Promise<number | null> {
  try {
    const data = await hear(world, connection);
    if (data === null) return null;
    const id = greeter(data);
    if (id === null) throw new Error(`A client said ${data}`);
    await say(world, connection, answer(id));
    return id;
  } finally {
    connection.close();
  }
}
