import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { commandFor, ROOT, run, RUNTIME, withTempDir } from "../support/mod.ts";

/** The programs in the text, each with its chapter. */
function programs(): { chapter: string; source: string }[] {
  const text = readFileSync(join(ROOT, "docs", "migrating.md"), "utf8");
  const found: { chapter: string; source: string }[] = [];
  for (const part of text.split(/^## /m).slice(1)) {
    const chapter = part.slice(0, part.indexOf("\n"));
    for (const [, source] of part.matchAll(/^```ts\n(.*?)^```$/gms)) {
      found.push({ chapter, source: source! });
    }
  }
  return found;
}

const all = programs();

test("docs/migrating.md has a program for every chapter", () => {
  assert(all.length >= 6, `found only ${all.length}`);
});

for (const [i, { chapter, source }] of all.entries()) {
  test(`docs/migrating.md: program ${i + 1}, for ${chapter}, prints what it says`, async () => {
    await withTempDir(async (directory) => {
      const script = join(directory, "program.ts");
      const own = source
        .replaceAll("/tmp/", `${directory}/`)
        .replaceAll('"afunix"', JSON.stringify(join(ROOT, "mod.ts")));
      writeFileSync(script, own);
      const expected = source.split("\n").filter((line) => line.startsWith("// "));
      assert(expected.length > 0);
      assertEquals(await run(commandFor(RUNTIME, script, { allowAll: false })), {
        code: 0,
        signal: null,
        stdout: expected.map((line) => `${line.slice(3)}\n`).join(""),
        stderr: "",
      });
    });
  });
}

test("docs/migrating.md: Duplex.fromWeb() takes a UnixStream", async () => {
  const { Duplex } = await import("node:stream");
  const { UnixStream } = await import("../../mod.ts");
  const [a, b] = UnixStream.pair();
  using _b = b;
  // deno-lint-ignore no-explicit-any -- the two declarations of web streams differ
  const duplex = Duplex.fromWeb(a as any);
  duplex.end("hello");
  const buffer = new Uint8Array(16);
  assertEquals(await b.read(buffer), 5);
  assertEquals(await b.read(buffer), null);
  await b.writeAll(new TextEncoder().encode("answer"));
  b.close();
  let text = "";
  for await (const chunk of duplex) text += chunk;
  assertEquals(text, "answer");
});
