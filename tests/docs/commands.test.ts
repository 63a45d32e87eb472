import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { EXIT } from "../../cli/failures.ts";
import { cliCommand } from "../support/cli.ts";
import { ROOT, RUNTIME, TestProcess, withTempDir } from "../support/mod.ts";

const TEXT = readFileSync(join(ROOT, "docs", "guides", "command-line.md"), "utf8");
const ELSEWHERE = "# in another terminal\n";
const FIRST = "# in the first one: ";

/** The commands of each block, before and after another terminal is opened. */
const blocks = [...TEXT.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => {
  const [server = "", rest = ""] = block!.split(ELSEWHERE);
  const lines = rest.trimEnd().split("\n");
  return {
    server: server.trim(),
    client: lines.filter((line) => !line.startsWith("# ")).join("\n"),
    printed: lines.filter((line) => line.startsWith("# ") && !line.startsWith(FIRST))
      .map((line) => line.slice(2)),
    atServer: lines.filter((line) => line.startsWith(FIRST))
      .map((line) => line.slice(FIRST.length)),
  };
});

/** Lines as the text has them, where `…` stands for anything. */
function quoted(lines: readonly string[]): RegExp {
  return new RegExp(
    `^${lines.map((line) => `${RegExp.escape(line).replaceAll("…", ".*")}\n`).join("")}$`,
  );
}

/** A folder in which `afunix` is a command that tells when it serves. */
async function withCommand(
  body: (run: (script: string) => TestProcess, directory: string) => Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const words = cliCommand([]).map((word) => `'${word}'`).join(" ");
    const program = join(directory, "afunix");
    writeFileSync(program, `#!/bin/sh\ncommand=$1\nshift\nexec ${words} "$command" -v "$@"\n`);
    chmodSync(program, 0o755);
    const own = (script: string) =>
      script.replaceAll("/tmp/", `${directory}/`)
        .replaceAll("@echo", `@test-${process.pid}-${RUNTIME}-echo`);
    await body(
      (script) =>
        new TestProcess(["sh", "-ec", own(script)], {
          env: { PATH: `${directory}:${process.env.PATH}` },
        }),
      directory,
    );
  });
}

test("docs/guides/command-line.md has commands to run", () => {
  assert(blocks.length >= 6);
  for (const { server, client, printed, atServer } of blocks) {
    assert(server.startsWith("afunix ") && client.includes("afunix "));
    assert(printed.length + atServer.length > 0);
  }
});

for (const [i, { server, client, printed, atServer }] of blocks.entries()) {
  test(`docs/guides/command-line.md: commands ${i + 1}, ${server}`, async () => {
    await withCommand(async (run, directory) => {
      await using serving = run(`exec ${server}`);
      await serving.waitFor(/(Listening|Receiving) on .*\n/, "stderr");
      await using asking = run(client);
      asking.closeStdin();
      const { code, stdout } = await asking.finished;
      assertEquals(code, 0, asking.stderr);
      assertMatch(stdout.replaceAll(`${directory}/`, "/tmp/"), quoted(printed));
      if (atServer.length === 0) return;
      const ended = await serving.finished;
      assertEquals(ended.code, 0, ended.stderr);
      assertMatch(ended.stdout, quoted(atServer));
    });
  });
}

test("docs/guides/command-line.md has every exit code", () => {
  const table = [...TEXT.matchAll(/^\| (\d+) +\|/gm)].map(([, code]) => Number(code));
  assertEquals(table, Object.values(EXIT).toSorted((a, b) => a - b));
});
