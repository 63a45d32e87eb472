/**
 * A stream socket carries bytes and keeps no boundaries. Where messages are lines, this finds them.
 */

import type { UnixStream } from "../mod.ts";

/** What a peer may make us keep in memory, in characters. */
const MAX_LINE = 65536;

/** The lines that arrive, without their ends; also a last one that has no end. */
export async function* readLines(stream: UnixStream): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > MAX_LINE) throw new Error("A line is too long");
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}

/** Sends a line. */
export async function writeLine(stream: UnixStream, line: string): Promise<void> {
  await stream.writeAll(new TextEncoder().encode(`${line}\n`));
}
