/**
 * `afunix connect`: a conversation with a server.
 * @module
 */

import { formatAddress } from "../../mod.ts";
import { readAddress } from "../addresses.ts";
import { type Channel, connect } from "./channels.ts";
import { type Flow, flowOf, receiveAll, sendInput } from "./conversation.ts";
import { EXIT, UsageError } from "../failures.ts";
import { hungUp } from "./hang_up.ts";
import { inputSize } from "../terminal/input.ts";
import type { Session } from "../session.ts";

/** Runs the command. */
export async function runConnect(session: Session): Promise<number> {
  const { args, output } = session;
  const { type } = args;
  const address = args.takeAddress(false);
  const from = args.text("from");
  args.finish();
  if (type === "stream" && args.has("once")) {
    throw new UsageError("--once is for datagrams and seqpackets: a stream has no messages");
  }
  const flow = flowOf(session, args.has("once"));
  session.alive();
  const channel = await connect(type, address, from === undefined ? undefined : readAddress(from));
  session.alive();
  const peer = channel.peer();
  const shown = formatAddress(address);
  await output.event({ event: "connected", type, address: shown, peer }, `Connected to ${shown}`);
  output.progress.total = inputSize();
  output.showProgress({ reads: true, writes: true });
  await converse(session, channel, flow, 1);
  return EXIT.fine;
}

/** Both directions at once, until both have ended or the peer is gone. */
export async function converse(
  session: Session,
  channel: Channel,
  flow: Flow,
  connection: number,
): Promise<void> {
  const sending = sendInput(session, channel, flow);
  const receiving = receiveAll(session, channel, flow, { connection });
  // Whichever fails first ends both; but what a peer said before it went is still to be had.
  const sent = sending.catch(async (error) => {
    if (channel.connected && channel.hungUp) await receiving;
    throw error;
  });
  await Promise.race([receiving, sent.then(() => receiving)]);
  // After the first answer, what is under way still goes out.
  if (channel.connected && !flow.first) await Promise.race([sending, hungUp(channel, sending)]);
  else if (!flow.first) await sending;
}
