/**
 * `afunix send`: data to a server, and no answer.
 * @module
 */

import { formatAddress } from "../../mod.ts";
import { readAddress } from "../addresses.ts";
import { type Channel, connect } from "./channels.ts";
import { linesOf } from "./conversation.ts";
import { EXIT, Failure, UsageError } from "../failures.ts";
import { inputChunks, inputLines, inputSize, wholeInput } from "../terminal/input.ts";
import { counted } from "../terminal/output.ts";
import type { Session } from "../session.ts";

/** Runs the command. */
export async function runSend(session: Session): Promise<number> {
  const { args, output } = session;
  const { type } = args;
  const address = args.takeAddress(false);
  const from = args.text("from");
  const most = args.integer("max-bytes", 0) ?? Infinity;
  const data = args.positionals.splice(0);
  if (args.has("newline") && data.length === 0) {
    throw new UsageError("--newline is for DATA, and there is none");
  }
  if (args.has("lines") && data.length > 0) {
    throw new UsageError("--lines is for the standard input, and DATA stands in its place");
  }
  const lines = linesOf(args);
  if (args.has("wait") && type === "datagram") {
    throw new UsageError("--wait is for connections: datagrams have no end");
  }
  session.alive();
  using channel = await connect(type, address, from === undefined ? undefined : readAddress(from));
  session.alive();
  if (data.length === 0) output.progress.total = inputSize();
  output.showProgress({ reads: data.length === 0, writes: false });
  const pieces = data.length > 0 ? given(data, args.has("newline")) : input(lines, channel, most);
  let bytes = 0;
  let messages = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > most) throw new Failure(tooMany(most));
    await channel.send(piece);
    session.alive();
    messages++;
    output.progress.sent = bytes;
  }
  channel.endSending();
  if (args.has("wait")) {
    while (await channel.receive() !== null) session.alive();
  }
  await output.event(
    {
      event: "sent",
      address: formatAddress(address),
      bytes,
      ...(type === "stream" ? {} : { messages }),
    },
    `Sent ${counted(bytes, "byte")}`,
  );
  return EXIT.fine;
}

/** The words of the command line, as they are. */
function* given(data: readonly string[], newline: boolean): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const text of data) yield encoder.encode(newline ? `${text}\n` : text);
}

/** Stdin: as a stream, as a message for each line, or as one message. */
async function* input(
  lines: boolean,
  channel: Channel,
  most: number,
): AsyncGenerator<Uint8Array, void, void> {
  const longest = channel.longestMessage;
  if (lines) yield* inputLines();
  else if (longest === null) yield* inputChunks();
  else if (most < longest) yield await wholeInput(most, tooMany(most));
  else {
    const tooLong = `The input is longer than a message may be: more than ${longest} bytes`;
    yield await wholeInput(longest, tooLong);
  }
}

function tooMany(most: number): string {
  return `There are more than ${most} bytes to send`;
}
