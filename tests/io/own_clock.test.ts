/** What a program does to its runtime while sockets wait. */

import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { programCommand } from "../support/listening.ts";
import { run } from "../support/process.ts";
import { RUNTIME } from "../support/runtime.ts";

test("a program with timers and a clock of its own stops neither waits nor timeouts", async () => {
  const { code, stdout, stderr } = await run(programCommand("own_clock"));
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "ok\n", stderr: "" });
});

test("waits that can no longer be told of, as FFI was forbidden meanwhile, reject with that", {
  skip: RUNTIME === "deno" ? false : "a permission of Deno",
}, async () => {
  const { code, stdout, stderr } = await run(programCommand("revoked", [], ["--no-prompt"]));
  const expected = { code: 0, stdout: "NotCapable NotCapable\n4\n", stderr: "" };
  assertEquals({ code, stdout, stderr }, expected);
});
