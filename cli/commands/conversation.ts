/**
 * The two directions of a conversation: stdin to the peer, and the peer to stdout.
 * @module
 */

import { formatAddress } from "../../mod.ts";
import type { Arguments } from "../arguments.ts";
import type { Arrival, Channel, Service } from "./channels.ts";
import { Failure, UsageError } from "../failures.ts";
import { inputChunks, inputLines } from "../terminal/input.ts";
import { bytesRecord } from "../terminal/output.ts";
import type { Session } from "../session.ts";

const NEWLINE = Uint8Array.of(10);

/** How data become bytes and messages, in both directions. */
export interface Flow {
  /** Whether each line is a message. */
  lines: boolean;
  /** The most bytes to take from one connection, or in all from a socket without any. */
  maxBytes: number;
  /** Whether to end after the first arrival. */
  first: boolean;
}

/** Number and peer of a connection, for events. */
export interface Label {
  connection: number;
}

/** The flow that the options ask for. */
export function flowOf({ args }: Session, first: boolean): Flow {
  return { lines: linesOf(args), maxBytes: args.integer("max-bytes", 0) ?? Infinity, first };
}

/** Whether each line of stdin is a message. */
export function linesOf(args: Arguments): boolean {
  if (args.has("lines") && args.type === "stream") {
    throw new UsageError("--lines is for datagrams and seqpackets: a stream has no messages");
  }
  return args.has("lines");
}

/** Counts what came against `--max-bytes`, and cuts off what is beyond. */
export class Allowance {
  #left: number;
  readonly #most: number;

  constructor(most: number) {
    this.#left = this.#most = most;
  }

  /** What may be kept of the data. */
  take(data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const kept = data.subarray(0, this.#left);
    this.#left -= data.length;
    return kept;
  }

  /** Throws where more came than may. */
  check(): void {
    if (this.#left < 0) throw new Failure(`More than ${this.#most} bytes came`);
  }
}

/** Tells on stderr, or as JSON, that a service is there. */
export function announce({ output, args }: Session, service: Service): Promise<void> {
  const address = formatAddress(service.address);
  const record = { event: "listening", type: args.type, address };
  const what = args.type === "datagram" ? "Receiving" : "Listening";
  return output.event(record, `${what} on ${address}`);
}

/** Tells of a new connection. */
export async function announceConnection(
  { output }: Session,
  channel: Channel,
  { connection }: Label,
): Promise<void> {
  if (!channel.connected) return;
  const peer = channel.peer();
  const who = peer === null ? "nobody known" : `process ${peer.pid}, user ${peer.uid}`;
  await output.event(
    { event: "connection", connection, peer },
    `Connection ${connection} from ${who}`,
  );
}

/** What the peer sends goes to stdout, until its end. */
export async function receiveAll(
  session: Session,
  channel: Channel,
  flow: Flow,
  label: Label,
): Promise<void> {
  const { output } = session;
  const allowance = new Allowance(flow.maxBytes);
  for (;;) {
    const arrival = await channel.receive();
    if (arrival === null) break;
    session.alive();
    output.progress.received += arrival.data.length;
    const data = allowance.take(arrival.data);
    await show(session, { ...arrival, data }, flow, label);
    if (arrival.truncated) output.warn(new Failure(`A message of ${arrival.length} bytes was cut`));
    allowance.check();
    if (flow.first) return;
  }
  if (output.json) await output.record({ event: "end", ...label });
}

async function show(
  { output }: Session,
  arrival: Arrival,
  flow: Flow,
  label: Label,
): Promise<void> {
  if (output.json) {
    const { data, from, length } = arrival;
    await output.record({
      event: "data",
      ...label,
      ...(from.kind === "unnamed" ? {} : { from: formatAddress(from) }),
      length,
      truncated: data.length < length,
      ...bytesRecord(data),
    });
  } else {
    await output.write(arrival.data);
    if (flow.lines) await output.write(NEWLINE);
  }
}

/** The pieces of stdin, each of which is sent at once. */
export function pieces(flow: Pick<Flow, "lines">): AsyncIterable<Uint8Array> {
  return flow.lines ? inputLines() : inputChunks();
}

/** Stdin goes to the peer, and then its end. With `onFailure`, a piece that cannot be sent is skipped. */
export async function sendInput(
  session: Session,
  channel: Channel,
  flow: Pick<Flow, "lines">,
  onFailure?: (error: unknown) => void,
): Promise<void> {
  for await (const piece of pieces(flow)) {
    try {
      await channel.send(piece);
    } catch (error) {
      if (onFailure === undefined) throw error;
      onFailure(error);
      continue;
    }
    session.alive();
    session.output.progress.sent += piece.length;
  }
  channel.endSending();
}
