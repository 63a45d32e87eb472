import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { ROOT, run, RUNTIME, withTempDir } from "../support/mod.ts";

const program = join(ROOT, "tests", "programs", "permitted.ts");
const binary = join(ROOT, "node_modules", ".bin", RUNTIME);

/** The start of a program that may do what these flags say. */
function command(flags: readonly string[], script = program): string[] {
  switch (RUNTIME) {
    case "deno":
      return [binary, "run", "--no-check", "--quiet", "--no-prompt", ...flags, script];
    case "node":
      return [
        ...[binary, "--no-warnings", "--permission", `--allow-fs-read=${ROOT}`],
        ...flags,
        script,
      ];
    case "bun":
      return [binary, script];
  }
}

/** What came of each thing that a program tried under these flags. */
async function outcomes(
  flags: readonly string[],
  ...wanted: string[]
): Promise<Map<string, string>> {
  return await withTempDir(async (directory) => {
    const { stdout, stderr, code } = await run([...command(flags), directory, ...wanted], {
      cwd: directory,
    });
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const lines = stdout.trim().split("\n").map((line) => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)] as const;
    });
    return new Map(lines);
  });
}

/** What does not work under these flags. */
async function refused(flags: readonly string[]): Promise<string[]> {
  const all = [...await outcomes(flags)];
  assert(all.length === 16, `${all.length} were tried`);
  return all.filter(([, outcome]) => outcome !== "works").map(([name]) => name);
}

/** Asserts that each of these things fails with an error that names a flag. */
async function assertNames(
  flag: string,
  flags: readonly string[],
  things: string[],
): Promise<void> {
  const found = await outcomes(flags, ...things);
  assertEquals([...found.keys()], things);
  for (const outcome of found.values()) assertStringIncludes(outcome, flag);
}

const VARIABLES =
  "LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES,NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID,AFUNIX_SOCKET_FD,AFUNIX_FDS";
const STARTING = ["starting", "starting scripts"];

if (RUNTIME === "deno") {
  test("Deno: with --allow-ffi alone all works but what reads variables and starts processes", async () => {
    assertEquals(await refused(["--allow-ffi"]), ["systemd", "inheriting", ...STARTING]);
  });

  test("Deno: with the variables by their names systemd and inheriting work", async () => {
    const flags = ["--allow-ffi", `--allow-env=${VARIABLES}`];
    assertEquals(await refused(flags), STARTING);
  });

  test("Deno: with --allow-run and --allow-env everything works", async () => {
    assertEquals(await refused(["--allow-ffi", "--allow-run", "--allow-env"]), []);
  });

  test("Deno: without --allow-ffi the error names it, also where a list of files is allowed", async () => {
    const things = ["paths", "abstract names", "datagrams", "HTTP", "shared memory"];
    const others = ["--allow-read", "--allow-write", "--allow-net", "--allow-env", "--allow-sys"];
    for (const flags of [[], others, ["--allow-ffi=libc.so.6"], ["--allow-ffi=/lib"]]) {
      await assertNames("--allow-ffi", flags, things);
    }
    await assertNames("--allow-ffi", ["--allow-all", "--deny-ffi"], things);
    // The name of the library that was tried first, and not that of another C library.
    for (const flags of [[], ["--allow-ffi=libc.so.6"], ["--allow-ffi=/lib"]]) {
      await assertNames('"libc.so.6"', flags, ["paths"]);
    }
    const list = "without a list of files";
    await assertNames(list, ["--allow-ffi=libc.so.6,libc.musl-x86_64.so.1"], ["paths"]);
  });

  test("Deno: without --allow-env or --allow-run the error names it", async () => {
    await assertNames("--allow-env", ["--allow-ffi", "--allow-run"], [
      ...["systemd", "inheriting"],
      ...STARTING,
    ]);
    await assertNames("--allow-run", ["--allow-ffi", "--allow-env"], STARTING);
  });

  test("Deno: --allow-ffi is every permission: with it alone a program reads what --deny-read forbids", async () => {
    const found = await outcomes(["--allow-ffi", "--deny-read"], "descriptors and credentials");
    assertEquals([...found.values()], ["works"]);
  });
}

if (RUNTIME === "node") {
  test("Node.js: with --permission and --allow-ffi all works but what starts processes", async () => {
    assertEquals(await refused(["--allow-ffi"]), STARTING);
  });

  test("Node.js: with --allow-child-process everything works", async () => {
    assertEquals(await refused(["--allow-ffi", "--allow-child-process"]), []);
  });

  test("Node.js: without --allow-ffi the error names it", async () => {
    const things = ["paths", "abstract names", "datagrams", "HTTP", "shared memory"];
    const others = ["--allow-fs-read=*", "--allow-fs-write=*", "--allow-net", "--allow-addons"];
    for (const flags of [[], others]) await assertNames("--allow-ffi", flags, things);
  });

  test("Node.js: without --allow-child-process the error names it", async () => {
    await assertNames("--allow-child-process", ["--allow-ffi"], STARTING);
  });

  test("Node.js: without --allow-fs-read nothing is read, and the error names it", async () => {
    const { code, stderr } = await run([binary, "--permission", "--allow-ffi", program, "/tmp"]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "--allow-fs-read");
  });

  test("Node.js: --allow-ffi is every permission: with it alone a program reads what it was not allowed", async () => {
    const found = await outcomes(["--allow-ffi"], "descriptors and credentials");
    assertEquals([...found.values()], ["works"]);
  });
}

if (RUNTIME === "bun") {
  test("Bun: everything works, and no flag takes anything away", async () => {
    assertEquals(await refused([]), []);
    assert(process.versions.bun !== undefined);
  });
}
