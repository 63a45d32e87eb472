import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fromFileUrl, join } from "@std/path";
import {
  commandFor,
  type Finished,
  ROOT,
  run,
  RUNTIME,
  type RuntimeName,
  withTempDir,
} from "../support/mod.ts";

const echo = join(ROOT, "tests/programs", "bundled_echo.ts");
const imported = join(ROOT, "tests/programs", "imported.ts");
const binary = (name: RuntimeName) => join(ROOT, "node_modules", ".bin", name);

function assertSays(finished: Finished, expected: string): void {
  const { code, signal, stdout, stderr } = finished;
  assertEquals({ code, signal, stdout, stderr }, {
    code: 0,
    signal: null,
    stdout: expected,
    stderr: "",
  });
}

/** Builds with a command, in a directory that holds nothing of the project. */
async function build(command: string[], directory: string, output: string): Promise<string> {
  const { code, stdout, stderr } = await run(command, { cwd: directory });
  assertEquals(code, 0, `${stdout}\n${stderr}`);
  const path = join(directory, output);
  assert(existsSync(path));
  return path;
}

/** Runs a program there, on a path and on an abstract name. */
async function assertEchoes(command: string[], directory: string): Promise<void> {
  assertSays(await run([...command, join(directory, "echo.sock")], { cwd: directory }), "ok\n");
  assertSays(await run(command, { cwd: directory }), "ok\n");
  assert(!existsSync(join(directory, "echo.sock")));
}

test("the library works from another directory", async () => {
  await withTempDir((directory) => assertEchoes(commandFor(RUNTIME, echo), directory));
});

test("a bundle of the library has nothing of debug mode, unless it imports it", async () => {
  const { build } = await import("esbuild");
  const { exports } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const entries = Object.values<string>(exports).map((file) => join(ROOT, file));
  const debug = join(ROOT, "debug.ts");
  const debugFiles = async (entryPoints: string[]) => {
    const { metafile } = await build({
      absWorkingDir: ROOT,
      bundle: true,
      entryPoints,
      format: "esm",
      metafile: true,
      outdir: "never-written",
      platform: "node",
      write: false,
    });
    return Object.keys(metafile.inputs).filter((file) => /(^|\/)debug(\/|\.ts)/.test(file));
  };
  const cli = join(ROOT, "cli.ts");
  assertEquals(await debugFiles(entries.filter((file) => file !== debug && file !== cli)), []);
  assert((await debugFiles([debug])).length > 5);
});

test("importing the library prints nothing", async () => {
  assertSays(await run(commandFor(RUNTIME, imported)), "imported\n");
});

// Each tool is tried by the tests of its own runtime.
if (RUNTIME === "bun") testBun();
if (RUNTIME === "deno") await testDeno();
if (RUNTIME === "node") testNode();

function testBun(): void {
  const builder = [binary("bun"), "build"];

  for (const flags of [[], ["--minify"]]) {
    for (const runtime of ["bun", "node"] as const) {
      const title = `bun build ${[`--target=${runtime}`, ...flags].join(" ")}`;
      test(`${title} makes one file that works on ${runtime}`, async () => {
        await withTempDir(async (directory) => {
          const command = [...builder, `--target=${runtime}`, ...flags, "--outfile=echo.mjs", echo];
          const path = await build(command, directory, "echo.mjs");
          await assertEchoes(commandFor(runtime, path), directory);
        });
      });
    }
  }

  test("bun build --compile makes an executable that works", async () => {
    await withTempDir(async (directory) => {
      const command = [...builder, "--compile", "--outfile=echo", echo];
      await assertEchoes([await build(command, directory, "echo")], directory);
    });
  });
}

/** Why `deno bundle` cannot be tried: it fetches its bundler when it is first used. */
async function withoutDenoBundler(): Promise<string | false> {
  if (process.env.AFUNIX_REQUIRE_PROGRAMS) return false;
  return await withTempDir(async (directory) => {
    writeFileSync(join(directory, "empty.ts"), "");
    const command = [binary("deno"), "bundle", "--quiet", "-o", "out.js", "empty.ts"];
    const { code } = await run(command, { cwd: directory });
    return code !== 0 && "deno bundle has no bundler and cannot fetch one";
  });
}

async function testDeno(): Promise<void> {
  const deno = (permissions: string[], script: string) => [
    ...[binary("deno"), "run", "--quiet", "--no-check", "--no-prompt"],
    ...permissions,
    script,
  ];

  const skip = await withoutDenoBundler();
  for (const flags of [[], ["--minify"]]) {
    const title = ["deno bundle", ...flags].join(" ");
    test(`${title} makes one file that works on Deno`, { skip }, async () => {
      await withTempDir(async (directory) => {
        const command = [binary("deno"), "bundle", "--quiet", ...flags, "-o", "echo.mjs", echo];
        const path = await build(command, directory, "echo.mjs");
        await assertEchoes(deno(["--allow-ffi"], path), directory);
      });
    });
  }

  test("deno run --allow-ffi is permission enough", async () => {
    await withTempDir((directory) => assertEchoes(deno(["--allow-ffi"], echo), directory));
  });

  test("deno run without --allow-ffi fails with an error that names the flag", async () => {
    const { code, stderr } = await run(deno(["--allow-read", "--allow-net"], echo));
    assertEquals(code, 1);
    assertStringIncludes(stderr, "NotCapable");
    assertStringIncludes(stderr, "--allow-ffi");
  });

  test("deno run imports the library without any permission", async () => {
    assertSays(await run(deno([], imported)), "imported\n");
  });

  test("afunix/framing imports nothing but its own folder and src/util", async () => {
    // The graph lists imports of types too.
    const command = [binary("deno"), "info", "--no-config", "--json", join(ROOT, "framing.ts")];
    const { modules } = JSON.parse((await run(command)).stdout) as {
      modules: { specifier: string }[];
    };
    const paths = modules.map(({ specifier }) => fromFileUrl(specifier).slice(ROOT.length + 1));
    assert(paths.includes("src/framing/framing.ts"));
    assertEquals(
      paths.filter((path) => !/^(framing\.ts|src\/(framing|util)\/\w+\.ts)$/.test(path)),
      [],
    );
  });
}

function testNode(): void {
  const node = (permissions: string[], script: string) => [
    ...[binary("node"), "--no-warnings", "--permission", `--allow-fs-read=${ROOT}`],
    ...permissions,
    script,
  ];

  test("node --permission --allow-ffi is permission enough", async () => {
    await withTempDir((directory) => assertEchoes(node(["--allow-ffi"], echo), directory));
  });

  test("node --permission without --allow-ffi fails with an error that names the flag", async () => {
    const { code, stderr } = await run(node([], echo));
    assertEquals(code, 1);
    assertStringIncludes(stderr, "ERR_ACCESS_DENIED");
    assertStringIncludes(stderr, "--allow-ffi");
  });

  test("node --permission imports the library", async () => {
    assertSays(await run(node([], imported)), "imported\n");
  });
}
