/**
 * What the commands that serve share: the options, and one connection after the other or at once.
 * @module
 */

import type { AllowedPeers } from "../../mod.ts";
import { integerOf } from "../arguments.ts";
import { type Channel, serve, type Service } from "./channels.ts";
import { announce, announceConnection, type Label } from "./conversation.ts";
import { UsageError } from "../failures.ts";
import type { Session } from "../session.ts";

/** The largest id; −1 means nobody. */
const MAX_ID = 0xffff_fffe;

/** Reads the address and the options of a service, without opening anything yet. */
export function serviceOf({ args }: Session): () => Service {
  const { type, mode } = args;
  const address = args.takeAddress(true);
  const authorize = allowedPeers(args.texts("allow-uid"));
  if (authorize !== undefined && type === "datagram") {
    throw new UsageError("--allow-uid is for connections: datagrams have none");
  }
  return () => serve(type, address, { mode, authorize });
}

function allowedPeers(texts: readonly string[]): AllowedPeers | undefined {
  if (texts.length === 0) return undefined;
  return { uid: texts.map((text) => integerOf(text, "--allow-uid", 0, MAX_ID)) };
}

/** Whether to go on after the first connection. */
export function keepsGoing({ args }: Session, otherwise: boolean): boolean {
  args.exclude("once", "keep");
  return args.has("keep") || (otherwise && !args.has("once"));
}

/** Opens the service, tells so, and hands out the only channel or each of them. */
export async function* channelsOf(
  session: Session,
  service: Service,
  keep: boolean,
): AsyncGenerator<{ channel: Channel } & Label, void, void> {
  await announce(session, service);
  session.alive();
  let connection = 0;
  for await (const channel of service.channels()) {
    connection++;
    session.alive();
    // The path is free as soon as nobody else can be served.
    if (!keep && channel.connected) service.close();
    await announceConnection(session, channel, { connection });
    yield { channel, connection };
    if (!keep) return;
  }
}

/** Serves each connection while others go on; what goes wrong with one is told and not the end. */
export async function serveEach(
  session: Session,
  service: Service,
  keep: boolean,
  body: (channel: Channel, connection: number) => Promise<void>,
): Promise<void> {
  for await (const { channel, connection } of channelsOf(session, service, keep)) {
    const served = body(channel, connection).finally(() => channel.close());
    if (keep && channel.connected) served.catch((error) => session.output.warn(error));
    else await served;
  }
}
