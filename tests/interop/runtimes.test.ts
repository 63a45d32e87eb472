import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { Account, Part } from "../support/conversations.ts";
import { freshName, Peer } from "../support/interop.ts";
import {
  commandFor,
  ROOT,
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  withTempSocketPath,
} from "../support/mod.ts";

const SIZE = 10 << 20;

function startProgram(runtime: RuntimeName, ...args: string[]): Peer {
  const command = commandFor(runtime, join(ROOT, "tests/programs/conversation.ts"));
  return new Peer([...command, "afunix", ...args, String(SIZE)]);
}

/** Lets two runtimes converse, each in a process of its own. */
async function converse(
  server: RuntimeName,
  client: RuntimeName,
  name: string,
  serverPart: Part,
): Promise<void> {
  await using listening = startProgram(server, "listen", name, serverPart);
  assertEquals(await listening.line(), "ready");
  await using connecting = startProgram(client, "connect", name, "both");
  const [there, here] = [await listening.json<Account>(), await connecting.json<Account>()];
  assertEquals(there.received, here.sent);
  assertEquals(here.received, there.sent);
  assertEquals(there.received === there.sent, serverPart === "echo");
  await connecting.succeeded();
  await listening.succeeded();
}

// The row and the column of this runtime: run on all three, they are the whole matrix.
const pairs = RUNTIMES.flatMap((server) => RUNTIMES.map((client) => [server, client] as const))
  .filter((pair) => pair.includes(RUNTIME));

for (const [server, client] of pairs) {
  test(`O250 UnixListener on ${server} echoes 10 MiB to UnixStream on ${client}`, async () => {
    await withTempSocketPath((path) => converse(server, client, path, "echo"));
  });

  test(`O250 UnixListener on ${server} and UnixStream on ${client} send 10 MiB at once`, async () => {
    await withTempSocketPath((path) => converse(server, client, path, "both"));
  });
}

for (const other of RUNTIMES) {
  test(`A17 UnixStream on ${RUNTIME} reaches an abstract name that ${other} bound`, async () => {
    await converse(other, RUNTIME, `@${freshName()}`, "echo");
  });
}
