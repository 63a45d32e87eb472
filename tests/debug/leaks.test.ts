import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { programCommand } from "../support/listening.ts";
import { commandFor, debugFlag, ROOT, run, RUNTIME } from "../support/mod.ts";
import { GC_FLAGS } from "../support/passing.ts";

const FLAG = debugFlag(RUNTIME);
const debug = (value: string) => ({ env: { AFUNIX_DEBUG: value } });
const leave = (what: string, value = "1") =>
  run(programCommand("left_open", [what], [FLAG]), debug(value));

const freeMemory = programCommand("freed_memory", [], [FLAG, ...GC_FLAGS]);

test("AFUNIX_DEBUG=1 reports at the end what is still open, once for each place", async () => {
  const { stdout, stderr, code } = await leave("pairs");
  assertEquals([stdout, code], ["done\n", 0]);
  // Each end of a pair is made at a place of its own.
  const numbers = String.raw`\d+(?:, \d+){2}`;
  const said =
    `^afunix: 6 descriptors are still open at the end:\nDescriptor ${numbers}: UnixStream, `;
  assertMatch(stderr, new RegExp(`${said}made here:\n`));
  assertMatch(stderr, /left_open\.ts/);
  assertEquals(stderr.match(/made here/g)?.length, 2);
});

test("AFUNIX_DEBUG=strict reports what is open at process.exit(), too, and 1 does not", async () => {
  const strict = await leave("exit", "strict");
  assertEquals(strict.code, 1);
  assertMatch(strict.stderr, /^afunix: 2 descriptors are still open at the end:\n/);
  const { stderr, code } = await leave("exit");
  assertEquals([stderr, code], ["", 0]);
});

for (const what of ["nothing", "unref", "given away", "standard input", "waiting"]) {
  test(`AFUNIX_DEBUG=strict has nothing to say of ${what}`, async () => {
    const { stdout, stderr, code } = await leave(what, "strict");
    assertEquals([stdout, stderr, code], ["done\n", "", 0]);
  });
}

test("AFUNIX_DEBUG=strict makes a process fail that leaves something open", async () => {
  const { stdout, stderr, code } = await leave("pairs", "strict");
  assertEquals([stdout, code], ["done\n", 1]);
  assertMatch(stderr, /^afunix: 6 descriptors are still open at the end:\n/);
  assertEquals((await leave("another status", "strict")).code, 7);
});

test("AFUNIX_DEBUG=strict makes a process fail that lost something", async () => {
  const command = programCommand("left_open", ["lost"], [FLAG, ...GC_FLAGS]);
  const { stdout, stderr, code } = await run(command, debug("strict"));
  assertEquals([stdout, code], ["done\n", 1]);
  assertMatch(stderr, /^afunix: Fd \d+ was lost and never closed; it was made here:\n/);
});

test("AFUNIX_DEBUG=pointers checks, and reports nothing that is lost or left open", async () => {
  const { stdout, stderr, code } = await leave("pairs", "pointers");
  assertEquals([stdout, stderr, code], ["done\n", "", 0]);
  const freed = await run(freeMemory, debug("pointers"));
  assertMatch(freed.stdout, /^PointerError/);
});

test("debug mode takes any other value of AFUNIX_DEBUG for 1", async () => {
  const { stdout, stderr, code } = await leave("pairs", "");
  assertEquals([stdout, code], ["done\n", 0]);
  assertMatch(stderr, /^afunix: 6 descriptors are still open at the end:\n/);
});

test("without the import, AFUNIX_DEBUG does nothing", async () => {
  const command = programCommand("left_open", ["pairs"]).filter((word) => word !== FLAG);
  const { stdout, stderr, code } = await run(command, debug("strict"));
  assertEquals([stdout, stderr, code], ["done\n", "", 0]);
});

test("without the permission to read it, AFUNIX_DEBUG is taken for 1", {
  skip: RUNTIME === "deno" ? false : "this runtime has no such permission",
}, async () => {
  const script = `${ROOT}/tests/programs/left_open.ts`;
  const command = commandFor("deno", script, { allowAll: false, flags: [FLAG] });
  const { stdout, stderr, code } = await run([...command, "pairs"], debug("strict"));
  assertEquals([stdout, code], ["done\n", 0]);
  assertMatch(stderr, /^afunix: 6 descriptors are still open at the end:\n/);
});

test("memory that was freed is named with the place where its address was taken", async () => {
  const { stdout, stderr } = await run(freeMemory, debug("1"));
  assertMatch(stdout, /^PointerError: Cannot call sendmsg: iov_base 0 of argument 1 is 0x[\da-f]+/);
  assert(stdout.includes("for 64 bytes, which were freed, in a buffer of 64 bytes"), stdout);
  assertMatch(stdout, /its address taken here:\n.*freed_memory\.ts/s);
  assertEquals(stderr, "");
});
