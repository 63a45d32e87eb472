import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { pathOfLength } from "../support/addresses.ts";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { run, withTempDir } from "../support/mod.ts";

/**
 * Asserts that taking a path over is EMFILE with no free descriptor, with one, and so on, and leaves
 * everything as it was, until there are enough to look; and what it is then.
 */
async function assertLooks(
  kind: string,
  what: "stale" | "served",
  path: string,
  then: string,
): Promise<void> {
  const command = programCommand("takeover_at_limit", [kind, what, path]);
  const { code, stdout, stderr } = await run(underDescriptorLimit(64, command));
  assertEquals([stderr, code], ["", 0]);
  const { outcomes, untouched } = JSON.parse(stdout) as { outcomes: string[]; untouched: boolean };
  assertEquals([outcomes.pop(), untouched], [then, true], outcomes.join(", "));
  for (const outcome of outcomes) assert(outcome.startsWith("EMFILE in "), outcome);
  // At least for the socket, for the lock on its directory, and for the socket that knocks.
  assert(outcomes.length >= 3, outcomes.join(", "));
}

for (
  const [kind, name] of [
    ["listener", "UnixListener.listen()"],
    ["datagram", "UnixDatagram.bind()"],
  ] as const
) {
  test(`${name} over a stale path fails with EMFILE, and removes nothing, until there are enough free descriptors to look`, async () => {
    await withTempDir(async (directory) => {
      await assertLooks(kind, "stale", join(directory, "short.sock"), "taken over");
      await assertLooks(kind, "stale", pathOfLength(directory, 300), "taken over");
    });
  });

  test(`${name} over a path that is served says so only when there were enough free descriptors to look`, async () => {
    await withTempDir(async (directory) => {
      await assertLooks(kind, "served", join(directory, "served.sock"), "EADDRINUSE in bind");
    });
  });
}
