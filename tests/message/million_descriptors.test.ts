import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { UnixSeqpacket, UnixStream } from "../../mod.ts";
import { withoutDebugging } from "../support/debug.ts";
import { descriptorTable, openForSignals, tableChanges } from "../support/descriptor_table.ts";
import { Peer } from "../support/interop.ts";
import { commandFor, RUNTIME, RUNTIMES, settled, withTempDir } from "../support/mod.ts";
import { numberedFiles, sendNumbered } from "../support/numbered_descriptors.ts";
import { program } from "../support/streams.ts";

// Debug mode writes down where each descriptor comes from and goes: a million times takes too long.
withoutDebugging();

/** How many go through each of two sockets: a few, so that all is open that stays, and the rest. */
const FIRST = 2000;
const REST = 500_000;
const other = RUNTIMES[(RUNTIMES.indexOf(RUNTIME) + 1) % RUNTIMES.length]!;

test(
  `G161 UnixStream and UnixSeqpacket pass 1,000,000 descriptors to a process under ${other}, and both descriptor tables are what they were`,
  async () => {
    openForSignals();
    await withTempDir(async (directory) => {
      const paths = [join(directory, "stream.sock"), join(directory, "seqpacket.sock")] as const;
      const command = commandFor(other, program("descriptors_receiver.ts"));
      await using receiver = new Peer([...command, ...paths, String(FIRST), String(REST)]);
      assertEquals(await receiver.line(), "listening");
      using stream = await UnixStream.connect(paths[0]);
      using seqpacket = await UnixSeqpacket.connect(paths[1]);
      const files = numberedFiles();
      const send = (total: number, seed: number) =>
        Promise.all([
          sendNumbered(stream, files, total, seed),
          sendNumbered(seqpacket, files, total, seed + 1),
        ]);

      // Room for two messages: the sender has to wait, and to hold duplicates.
      stream.sendBufferSize = seqpacket.sendBufferSize = 1;
      await send(FIRST, 1);
      assertEquals(await receiver.line(), "ready");
      await settled();
      const before = descriptorTable();
      await send(REST, 3);
      const { messages, changes } = await receiver.json<
        { messages: [number, number]; changes: string[] }
      >();
      assertEquals(changes, [], "the receiver's descriptors");
      assertEquals(tableChanges(before, descriptorTable()), [], "the sender's descriptors");
      for (const count of messages) assert(count > REST / 253, `${count} messages`);
      for (const file of files) file.close();
      await receiver.succeeded();
    });
  },
);
