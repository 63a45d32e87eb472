/**
 * `afunix echo`: a server that sends back what it gets.
 * @module
 */

import { formatAddress } from "../../mod.ts";
import type { Channel } from "./channels.ts";
import { Allowance } from "./conversation.ts";
import { EXIT } from "../failures.ts";
import { counted } from "../terminal/output.ts";
import { keepsGoing, serveEach, serviceOf } from "./services.ts";
import type { Session } from "../session.ts";

/** Runs the command. */
export async function runEcho(session: Session): Promise<number> {
  const { args, output } = session;
  const datagrams = args.type === "datagram";
  const open = serviceOf(session);
  args.finish();
  const keep = keepsGoing(session, true);
  const most = args.integer("max-bytes", 0) ?? Infinity;
  using service = open();
  output.showProgress({ reads: false, writes: false });
  await serveEach(session, service, keep, async (channel, connection) => {
    const bytes = datagrams
      ? await echoDatagrams(session, channel, most, keep)
      : await echo(session, channel, most);
    const end = { event: "end", connection, bytes };
    if (!datagrams) {
      await output.event(end, `Connection ${connection} ended, ${counted(bytes, "byte")}`);
    }
  });
  return EXIT.fine;
}

/** Sends back all of a connection; how many bytes that were. */
async function echo(session: Session, channel: Channel, most: number): Promise<number> {
  const allowance = new Allowance(most);
  let bytes = 0;
  for (let arrival; (arrival = await channel.receive()) !== null;) {
    const data = allowance.take(arrival.data);
    await channel.send(data);
    allowance.check();
    bytes += data.length;
    count(session, data.length);
  }
  channel.endSending();
  return bytes;
}

/** Sends back each message to its sender, if that can be reached. */
async function echoDatagrams(
  session: Session,
  channel: Channel,
  most: number,
  keep: boolean,
): Promise<number> {
  const { output } = session;
  const allowance = new Allowance(most);
  let bytes = 0;
  for (;;) {
    const arrival = await channel.receive();
    if (arrival === null) return bytes;
    const data = allowance.take(arrival.data);
    allowance.check();
    const { from, length } = arrival;
    const answered = from.kind !== "unnamed";
    await output.event(
      { event: "message", from: answered ? formatAddress(from) : null, length },
      `${counted(length, "byte")} from ${formatAddress(from)}`,
    );
    try {
      if (answered) await channel.send(data);
    } catch (error) {
      if (!keep) throw error;
      output.warn(error);
    }
    bytes += data.length;
    count(session, data.length);
    if (!keep) return bytes;
  }
}

function count(session: Session, bytes: number): void {
  session.alive();
  session.output.progress.received += bytes;
  session.output.progress.sent += bytes;
}
