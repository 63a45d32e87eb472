import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { installDebugging, native } from "../../ffi/mod.ts";
import { UnixListener } from "../../mod.ts";
import { cliCommand } from "../support/cli.ts";
import { programCommand, underDescriptorLimit } from "../support/listening.ts";
import { debugFlag, run, RUNTIME, withTempSocketPath } from "../support/mod.ts";
import { GC_FLAGS } from "../support/passing.ts";

const FLAG = debugFlag(RUNTIME);
const lose = (what: string, path: string, flags: string[] = []) =>
  programCommand("lost_objects", [what, path], [...flags, ...GC_FLAGS]);

for (const [what, made] of [["pipes", "Fd"], ["streams", "UnixStream"]] as const) {
  test(`AFUNIX_DEBUG=1 names where ${what} were made that the program has lost`, async () => {
    await withTempSocketPath(async (path) => {
      const { stdout, stderr } = await run(lose(what, path, [FLAG]), {
        env: { AFUNIX_DEBUG: "1" },
      });
      assertEquals(stdout, "ok\n");
      const said = `^afunix: ${made} \\d+ was lost and never closed; it was made here:\n`;
      assertMatch(stderr, new RegExp(said));
      assert(stderr.includes("lost_objects.ts"), stderr.slice(0, 300));
    });
  });
}

test("AFUNIX_DEBUG=pointers goes on where no descriptor is free to find a place with", async () => {
  const sending = { what: "send", free: 1, count: 2, way: "peer" };
  const command = programCommand("descriptors_at_limit", ["stream", JSON.stringify([sending])], [
    FLAG,
  ]);
  const env = { AFUNIX_DEBUG: "pointers" };
  const { code, stdout, stderr } = await run(underDescriptorLimit(100, command), { env });
  assertEquals([stderr, code], ["", 0]);
  assertEquals(JSON.parse(stdout)[0].outcome.outcome, ["EMFILE", "fcntl"]);
});

test("without debug mode nothing is said of what was lost", async () => {
  await withTempSocketPath(async (path) => {
    const { stdout, stderr } = await run(lose("pipes", path));
    assertEquals([stdout, stderr], ["ok\n", ""]);
  });
});

test("AFUNIX_DEBUG switches debug mode on for the command line", async () => {
  await withTempSocketPath(async (path) => {
    using listener = UnixListener.listen(path);
    const accepting = listener.accept();
    const finished = run(cliCommand(["connect", path]), { env: { AFUNIX_DEBUG: "strict" } });
    (await accepting).close();
    // The program ends with process.exit(), and leaves its connection open until then.
    const { stderr, code } = await finished;
    assertMatch(stderr, /^afunix: 1 descriptor is still open at the end:\nDescriptor \d+: UnixStr/);
    assertEquals(code, 1);
  });
});

test("installDebugging() throws once the C library was opened", () => {
  native();
  assertThrows(() => installDebugging(null), Error, "has opened the C library already");
});

test("debug mode is on in a Worker that imports it, and on Node.js in each", async () => {
  const { stdout, stderr } = await run(programCommand("debug_in_workers", [], [FLAG]));
  assertEquals(stderr, "");
  const inherited = RUNTIME === "node";
  assertEquals(JSON.parse(stdout), { main: true, worker: inherited, importing: true });
});
