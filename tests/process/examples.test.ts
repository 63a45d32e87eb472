import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import process from "node:process";
import { commandFor, ROOT, run, RUNTIME, RUNTIMES } from "../support/mod.ts";

const example = (name: string) => join(ROOT, "examples", `${name}.ts`);

for (const other of [...RUNTIMES, undefined]) {
  test(`examples/spawn_parent.ts talks to a child under ${other ?? "the same runtime"}`, async () => {
    const command = commandFor(RUNTIME, example("spawn_parent"), {
      allowAll: false,
      flags: RUNTIME === "deno" ? ["--allow-run", "--allow-env"] : [],
    });
    // The child is found by its name.
    const binaries = join(ROOT, "node_modules", ".bin");
    const env = { PATH: `${binaries}:${process.env.PATH}`, NODE_NO_WARNINGS: "1" };
    const finished = await run(other === undefined ? command : [...command, other], { env });
    assertEquals(finished, {
      code: 0,
      signal: null,
      stdout: "Good morning, parent\nThe child ended with 0\n",
      stderr: "",
    });
  });
}

test("examples/spawn_parent.ts and spawn_child.ts say how they are used", async () => {
  for (const [name, args] of [["spawn_parent", ["python"]], ["spawn_child", []]] as const) {
    const flags = RUNTIME === "deno" ? ["--allow-env"] : [];
    const command = commandFor(RUNTIME, example(name), { allowAll: false, flags });
    const { code, stdout, stderr } = await run([...command, ...args]);
    assertEquals([code, stdout, stderr.split(":")[0]], [2, "", "Usage"]);
  }
});
