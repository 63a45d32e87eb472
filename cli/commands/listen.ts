/**
 * `afunix listen`: a conversation with whoever connects.
 * @module
 */

import type { Channel } from "./channels.ts";
import { converse } from "./connect.ts";
import { type Flow, flowOf, pieces, receiveAll, sendInput } from "./conversation.ts";
import { EXIT, Failure } from "../failures.ts";
import { hungUp } from "./hang_up.ts";
import { channelsOf, keepsGoing, serveEach, serviceOf } from "./services.ts";
import type { Session } from "../session.ts";

/** Runs the command. */
export async function runListen(session: Session): Promise<number> {
  const { args, output } = session;
  const datagrams = args.type === "datagram";
  const open = serviceOf(session);
  args.finish();
  const keep = keepsGoing(session, datagrams);
  const flow = flowOf(session, datagrams && !keep);
  using service = open();
  output.showProgress({ reads: true, writes: true });
  if (keep && !datagrams) {
    const hub = new Hub(session, flow);
    const input = hub.run();
    await Promise.race([
      serveEach(session, service, true, (channel, connection) => hub.serve(channel, connection)),
      // Its end is not the end of the service, but its failure is.
      input.then(() => new Promise<never>(() => {})),
    ]);
    return EXIT.fine;
  }
  for await (const { channel, connection } of channelsOf(session, service, keep)) {
    using _open = channel;
    if (datagrams) await answer(session, channel, flow, connection);
    else await converse(session, channel, flow, connection);
  }
  return EXIT.fine;
}

/** Datagrams: stdin goes to whoever wrote last. */
async function answer(
  session: Session,
  channel: Channel,
  flow: Flow,
  connection: number,
): Promise<void> {
  const { output } = session;
  // Only of a service for one sender the answer is all that is left to do.
  const onFailure = flow.first ? undefined : (error: unknown) => output.warn(error);
  let sent = false;
  const sending = sendInput(session, channel, flow, onFailure).then(() => void (sent = true));
  const receiving = receiveAll(session, channel, flow, { connection });
  await Promise.race([receiving, sending.then(() => receiving)]);
  if (channel.answerable) await sending;
  else if (!sent) output.warn(new Failure("The sender has no address, and gets no answer"));
}

/**
 * Copies stdin to all who are connected. While nobody is, it waits; the slowest sets the pace. Those
 * who come after its end are told the end at once.
 */
class Hub {
  readonly #session: Session;
  readonly #flow: Flow;
  readonly #channels = new Set<Channel>();
  #someone = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #ended = false;

  constructor(session: Session, flow: Flow) {
    this.#session = session;
    this.#flow = flow;
  }

  /** Reads stdin to its end. */
  async run(): Promise<void> {
    await this.#someone.promise;
    for await (const piece of pieces(this.#flow)) {
      while (this.#channels.size === 0) await this.#someone.promise;
      const sendings = [...this.#channels].map((channel) => this.#send(channel, piece));
      await Promise.all(sendings);
      this.#session.alive();
      this.#session.output.progress.sent += piece.length * sendings.length;
    }
    this.#ended = true;
    for (const channel of this.#channels) this.#endSending(channel);
    this.#over.resolve();
  }

  /** One connection, until its end. */
  async serve(channel: Channel, connection: number): Promise<void> {
    this.#channels.add(channel);
    this.#someone.resolve();
    if (this.#ended) this.#endSending(channel);
    try {
      await receiveAll(this.#session, channel, this.#flow, { connection });
      if (!this.#ended) await hungUp(channel, this.#over.promise);
    } finally {
      this.#remove(channel);
    }
  }

  /** Sends it nothing any more; whether it was still sent to. */
  #remove(channel: Channel): boolean {
    const removed = this.#channels.delete(channel);
    if (removed && this.#channels.size === 0) this.#someone = Promise.withResolvers();
    return removed;
  }

  async #send(channel: Channel, piece: Uint8Array): Promise<void> {
    try {
      await channel.send(piece);
    } catch (error) {
      // The receiving side closes it.
      if (this.#remove(channel)) this.#session.output.warn(error);
    }
  }

  #endSending(channel: Channel): void {
    try {
      channel.endSending();
    } catch (error) {
      this.#session.output.warn(error);
    }
  }
}
