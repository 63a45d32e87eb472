/**
 * `afunix receive`: what others send, to stdout.
 * @module
 */

import { flowOf, receiveAll } from "./conversation.ts";
import { EXIT } from "../failures.ts";
import { keepsGoing, serveEach, serviceOf } from "./services.ts";
import type { Session } from "../session.ts";

/** Runs the command. */
export async function runReceive(session: Session): Promise<number> {
  const { args, output } = session;
  const datagrams = args.type === "datagram";
  const open = serviceOf(session);
  args.finish();
  const keep = keepsGoing(session, datagrams);
  const flow = flowOf(session, datagrams && !keep);
  using service = open();
  output.showProgress({ reads: false, writes: true });
  await serveEach(session, service, keep, async (channel, connection) => {
    await receiveAll(session, channel, flow, { connection });
  });
  return EXIT.fine;
}
