/**
 * Receives numbered descriptors on two connections at once, a stream and a seqpacket socket. Arguments:
 * their paths, how many descriptors come on each at first, and how many later.
 *
 * Prints "listening", then "ready" after the first, and after the rest as JSON how many messages came
 * on each, and what has changed in the descriptor table in between.
 */

import process from "node:process";
import { UnixListener, UnixSeqpacketListener } from "../../mod.ts";
import { descriptorTable, openForSignals, tableChanges } from "../support/descriptor_table.ts";
import { receiveNumbered } from "../support/numbered_descriptors.ts";

const [streamPath, seqpacketPath, ...counts] = process.argv.slice(2);
const [first, rest] = counts.map(Number);
const say = (text: string) => new Promise((resolve) => process.stdout.write(`${text}\n`, resolve));

openForSignals();
using streams = UnixListener.listen(streamPath!);
using seqpackets = UnixSeqpacketListener.listen(seqpacketPath!);
await say("listening");
using stream = await streams.accept();
using seqpacket = await seqpackets.accept();
const receive = (total: number) =>
  Promise.all([receiveNumbered(stream, total), receiveNumbered(seqpacket, total)]);

await receive(first!);
await say("ready");
const before = descriptorTable();
const messages = await receive(rest!);
await say(JSON.stringify({ messages, changes: tableChanges(before, descriptorTable()) }));
