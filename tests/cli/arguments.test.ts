import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { formatAddress } from "../../mod.ts";
import { readAbstractName, readAddress } from "../../cli/addresses.ts";
import { Arguments, COMMON } from "../../cli/arguments.ts";
import { COMMANDS } from "../../cli/commands.ts";
import { UsageError } from "../../cli/failures.ts";
import { helpFor } from "../../cli/help.ts";
import { columns, cut } from "../../cli/terminal/table.ts";
import { VERSION } from "../../cli/version.ts";
import { assertEnds, runCli } from "../support/cli.ts";
import { bytes, ROOT } from "../support/mod.ts";

test("afunix --version prints the version of both packages", async () => {
  for (const name of ["package.json", "deno.json"]) {
    assertEquals(JSON.parse(readFileSync(join(ROOT, name), "utf8")).version, VERSION, name);
  }
  const finished = await runCli(["--version"]);
  assertEnds(finished, 0);
  assertEquals(finished.stdout, `${VERSION}\n`);
});

test("afunix --help names every command, and help COMMAND is COMMAND --help", async () => {
  const { stdout, code } = await runCli(["--help"]);
  assertEquals(code, 0);
  for (const name of Object.keys(COMMANDS)) assertStringIncludes(stdout, `\n  ${name} `);
  const [one, other] = await Promise.all([runCli(["help", "take"]), runCli(["take", "--help"])]);
  assertEnds(one, 0);
  assertEquals(one, other);
  assertEquals(one.stdout, `${helpFor("take", COMMANDS.take!)}\n`);
});

test("afunix COMMAND --help tells every option, within 110 columns", () => {
  for (const [name, command] of Object.entries(COMMANDS)) {
    const help = helpFor(name, command);
    const options = { ...command.options, ...COMMON };
    for (const option of Object.keys(options)) assertStringIncludes(help, `--${option}`);
    for (const line of help.split("\n")) assert([...line].length <= 110, line);
  }
});

const WRONG = [
  [[], "A command is missing; see afunix --help"],
  [["lisen"], "Unknown command: lisen; see afunix --help"],
  [["constructor"], "Unknown command: constructor; see afunix --help"],
  [["--bad"], "Unknown option: --bad; see afunix --help"],
  [["ls", "--bad"], "Unknown option: --bad; see afunix ls --help"],
  [["connect"], "An address is missing; see afunix connect --help"],
  [["connect", "a", "b"], 'Too many arguments: "b"; see afunix connect --help'],
  [["connect", "@"], "The address has no name; see afunix connect --help"],
  [
    ["connect", "a", "--type", "raw"],
    '--type is stream, datagram, seqpacket; not "raw"; ' +
    "see afunix connect --help",
  ],
  [
    ["connect", "a", "--once"],
    "--once is for datagrams and seqpackets: a stream has no " +
    "messages; see afunix connect --help",
  ],
  [
    ["connect", "a", "--timeout", "--lines"],
    "--timeout needs a value: MS; see afunix connect " +
    "--help",
  ],
  [
    ["connect", "a", "--timeout=0"],
    "--timeout is a whole number from 1 to 2147483647; not " +
    '"0"; see afunix connect --help',
  ],
  [["connect", "a", "--lines=1"], "--lines takes no value; see afunix connect --help"],
  [
    ["listen", "a", "--once", "--keep"],
    "--once and --keep exclude each other; see afunix " +
    "listen --help",
  ],
  [
    ["listen", "a", "--mode", "788"],
    '--mode is octal, from 0 to 777; not "788"; see afunix ' +
    "listen --help",
  ],
  [
    ["listen", "@a", "--mode", "600"],
    "--mode is for a path: an abstract name has no " +
    "permissions; see afunix listen --help",
  ],
  [
    ["receive", "a", "--type=datagram", "--allow-uid=0"],
    "--allow-uid is for connections: " +
    "datagrams have none; see afunix receive --help",
  ],
  ...["connect", "send"].map((command) =>
    [
      [command, "a", "--lines"],
      "--lines is for datagrams and seqpackets: a stream has no messages; " +
      `see afunix ${command} --help`,
    ] as const
  ),
  [["pass", "a"], "There is no file to pass; see afunix pass --help"],
  [["pass", "a", "b", "--mode=600"], "--mode needs --listen; see afunix pass --help"],
  [["take", "a", "--"], "The command after -- is missing; see afunix take --help"],
  [
    ["take", "a", "--stdin"],
    "--stdin is for a command, and there is none; see afunix take " +
    "--help",
  ],
  [["ls", "--interval=100"], "--interval needs --watch; see afunix ls --help"],
  [["ls", "--watch"], "--watch needs a terminal that can draw, or --json; see afunix ls --help"],
  [
    ["send", "a", "b", "--lines"],
    "--lines is for the standard input, and DATA stands in its " +
    "place; see afunix send --help",
  ],
] as const;

// In several tests, because a machine may take long to start so many processes.
for (let from = 0; from < WRONG.length; from += 8) {
  const cases = WRONG.slice(from, from + 8);
  const name = `cases ${from + 1} to ${from + cases.length}`;
  test(`afunix ends with 2 and one line, and does nothing, after wrong usage: ${name}`, async () => {
    // A few at a time.
    for (let i = 0; i < cases.length; i += 4) {
      await Promise.all(
        cases.slice(i, i + 4).map(async ([args, message]) => {
          const finished = await runCli(args);
          assertEnds(finished, 2, `${message}\n`);
          assertEquals(finished.stdout, "");
        }),
      );
    }
  });
}

test("afunix COMMAND --json tells wrong usage as an object", async () => {
  for (const args of [["connect", "--json"], ["connect", "--json", "--bad"]]) {
    const { code, stderr } = await runCli(args);
    assertEquals(code, 2);
    assertEquals(JSON.parse(stderr).code, "USAGE");
  }
});

test("readAddress() tells paths, URLs and abstract names apart", () => {
  assertEquals(readAddress("/a/b"), { kind: "pathname", path: "/a/b" });
  assertEquals(readAddress("./@x"), { kind: "pathname", path: "./@x" });
  assertEquals(readAddress("a\\x41"), { kind: "pathname", path: "a\\x41" });
  assertEquals(readAddress("file:///a%20b"), { kind: "pathname", path: "/a b" });
  assertEquals(readAddress("file:///a%ff"), {
    kind: "pathname",
    path: "/a\ufffd",
    bytes: Uint8Array.of(0x2f, 0x61, 0xff),
  });
  assertEquals(readAddress("@x"), { kind: "abstract", name: bytes("x") });
  assertEquals(readAddress("@"), { kind: "unnamed" });
  assertEquals(readAbstractName("@\\x41"), { kind: "abstract", name: bytes("@\\x41") });
});

test("readAddress() reads an abstract name back that formatAddress() wrote", () => {
  const name = Uint8Array.from([0, 255, 0x5c, 0x78, 0x34, 0x31, 10, 0xc3, 0xbc]);
  const address = { kind: "abstract", name } as const;
  assertEquals(readAddress(formatAddress(address)), address);
});

test("readAddress() refuses what is none", () => {
  const wrong = ["", `@${"x".repeat(108)}`, "a\ud800"];
  const urls = ["file://host/x", "file:///a%00", "file:a", "file:///a?b", "file:///a#b"];
  for (const text of [...wrong, ...urls]) {
    assertThrows(() => readAddress(text), UsageError);
  }
});

test("Arguments takes options anywhere before --, short ones too", () => {
  const specs = COMMANDS.take!.options;
  const args = new Arguments(
    ["a", "-t", "datagram", "-v", "--allow-uid=1", "--allow-uid", "2", "--", "x", "--json"],
    specs,
    true,
  );
  assertEquals(args.type, "datagram");
  assertEquals([args.has("verbose"), args.has("json")], [true, false]);
  assertEquals(args.texts("allow-uid"), ["1", "2"]);
  assertEquals(args.positionals, ["a"]);
  assertEquals(args.rest, ["x", "--json"]);
  assertThrows(() => new Arguments(["--count=1", "--count=2"], specs), UsageError, "given twice");
});

test("columns() and cut() count characters, not what colours them", () => {
  assertEquals(columns([["a", "b"], ["\x1b[1mccc\x1b[22m", "d"]]), [
    "a    b",
    "\x1b[1mccc\x1b[22m  d",
  ]);
  assertEquals([cut("äöü", 3), cut("äöü", 2)], ["äöü", "ä…"]);
});
