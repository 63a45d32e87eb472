import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { run, withTempSocketPath } from "../support/mod.ts";
import { GC_FLAGS } from "../support/passing.ts";

const lose = (what: string, path: string) => programCommand("lost_objects", [what, path], GC_FLAGS);

for (const [what, made] of [["pipes", "Fd"], ["streams", "UnixStream"]] as const) {
  test(`AFUNIX_DEBUG=1 names where ${what} were made that the program has lost`, async () => {
    await withTempSocketPath(async (path) => {
      const { stdout, stderr } = await run(lose(what, path), { env: { AFUNIX_DEBUG: "1" } });
      assertEquals(stdout, "ok\n");
      const said = `^afunix: ${made} \\d+ was lost and never closed; it was made here:\n`;
      assertMatch(stderr, new RegExp(said));
      assert(stderr.includes("lost_objects.ts"), stderr.slice(0, 300));
    });
  });
}

test("AFUNIX_DEBUG=pointers goes on where no descriptor is free to find a place with", async () => {
  const sending = { what: "send", free: 1, count: 2, way: "peer" };
  const command = programCommand("descriptors_at_limit", ["stream", JSON.stringify([sending])]);
  const env = { AFUNIX_DEBUG: "pointers" };
  const { code, stdout, stderr } = await run(underDescriptorLimit(100, command), { env });
  assertEquals([stderr, code], ["", 0]);
  assertEquals(JSON.parse(stdout)[0].outcome.outcome, ["EMFILE", "fcntl"]);
});

test("without AFUNIX_DEBUG nothing is said of what was lost", async () => {
  await withTempSocketPath(async (path) => {
    const { stdout, stderr } = await run(lose("pipes", path));
    assertEquals([stdout, stderr], ["ok\n", ""]);
  });
});
