import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { run } from "../support/mod.ts";

/** What the program comes to that may have only so many descriptors. */
async function atLimit(what: string): Promise<unknown> {
  const command = underDescriptorLimit(100, programCommand("ready_at_limit", [what]));
  const { code, stdout, stderr } = await run(command);
  assertEquals([stderr, code], ["", 0]);
  return JSON.parse(stdout);
}

for (
  const what of [
    "UnixStream.read()",
    "UnixStream.write() and receiveMessage()",
    "all of UnixDatagram",
    "all of UnixSeqpacket",
    "Fd.read()",
    "Fd.pread()",
  ]
) {
  test(`${what}: a thousand times ready at once succeeds where nothing can wait for want of descriptors`, async () => {
    assertEquals(await atLimit(what), { succeeded: 1000 });
  });
}

for (
  const [what, descriptors] of [
    ["UnixStream.writeAll()", 0],
    ["UnixStream.sendMessage()", 0],
    ["UnixStream.sendMessage() with descriptors", 2],
  ] as const
) {
  test(`${what} that cannot wait for the rest is EMFILE, and tells exactly what has left`, async () => {
    const expected = { code: "EMFILE", exact: true, descriptors, goesOn: true };
    assertEquals(await atLimit(what), expected);
  });
}

for (const name of ["UnixStream", "UnixDatagram", "UnixSeqpacket"]) {
  for (const free of [0, 3]) {
    test(`${name}.sendMessage() with a descriptor that could leave at once does, a thousand times in a row, where ${free} are free to wait with`, async () => {
      const what = `${name}.sendMessage() with a descriptor where ${free} are free`;
      assertEquals(await atLimit(what), { result: [1000, 1000], turned: true });
    });
  }
}
