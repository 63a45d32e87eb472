import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { type Account, afunix, counterpart, type Part, play } from "../support/conversations.ts";
import { freshName, Peer } from "../support/interop.ts";
import { OWN_SOCKETS, ownSockets } from "../support/own_sockets.ts";
import {
  commandFor,
  ROOT,
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  withTempSocketPath,
} from "../support/mod.ts";

const SIZE = 1_500_000;

/** The conversations: what our end does, and at what kind of address. */
const conversations: [part: Part, kind: "path" | "abstract name"][] = [
  ["both", "path"],
  ["echo", "abstract name"],
  ["first", "path"],
  ["last", "path"],
];

const what: Record<Part, string> = {
  both: "is echoed",
  echo: "echoes",
  first: "ends its writing first",
  last: "ends its writing last",
};

function withAddress<T>(kind: "path" | "abstract name", body: (address: string) => T): Promise<T> {
  if (kind === "path") return withTempSocketPath(body) as Promise<T>;
  return Promise.resolve(body(`\0${freshName()}`));
}

/** Another program, which plays the other part with the sockets of its own runtime. */
function startProgram(runtime: RuntimeName, ...args: string[]): Peer {
  const command = commandFor(runtime, join(ROOT, "tests/programs/conversation.ts"));
  return new Peer([...command, ...args, String(SIZE)]);
}

function assertAgree(ours: Account, theirs: Account): void {
  assertEquals(theirs.received, ours.sent);
  assertEquals(ours.received, theirs.sent);
}

for (const runtime of RUNTIMES) {
  for (const sockets of OWN_SOCKETS[runtime]) {
    const peer = sockets === "node:net" ? `${runtime}'s node:net` : `${sockets}'s sockets`;
    for (const [part, kind] of conversations) {
      test(`O250 UnixStream that connects to ${peer} at a ${kind} ${what[part]}`, async () => {
        await withAddress(kind, async (address) => {
          const name = address.replace("\0", "@");
          await using other = startProgram(runtime, sockets, "listen", name, counterpart[part]);
          assertEquals(await other.line(), "ready");
          const account = await play(part, await afunix.connect(address), SIZE, 3);
          assertAgree(account, await other.json<Account>());
          await other.succeeded();
        });
      });

      test(`O250 UnixStream that accepts ${peer} at a ${kind} ${what[part]}`, async () => {
        await withAddress(kind, async (address) => {
          const name = address.replace("\0", "@");
          const accepted = Promise.withResolvers<Account>();
          const listener = await afunix.listen(address, (connection) => {
            play(part, connection, SIZE, 3).then(accepted.resolve, accepted.reject);
          });
          try {
            await using other = startProgram(runtime, sockets, "connect", name, counterpart[part]);
            assertAgree(await accepted.promise, await other.json<Account>());
            await other.succeeded();
          } finally {
            listener.close();
          }
        });
      });
    }
  }
}

for (const name of OWN_SOCKETS[RUNTIME]) {
  for (const [part, kind] of conversations) {
    for (const [client, server] of [["afunix", name], [name, "afunix"]] as const) {
      const title = client === "afunix" ? `connects to ${name}` : `accepts ${name}`;
      test(`O250 UnixStream that ${title} of its own process at a ${kind} ${what[part]}`, async () => {
        await withAddress(kind, async (address) => {
          const [from, to] = [client, server].map((each) =>
            each === "afunix" ? afunix : ownSockets(each)
          );
          const [clientPart, serverPart] = client === "afunix"
            ? [part, counterpart[part]]
            : [counterpart[part], part];
          const accepted = Promise.withResolvers<Account>();
          const listener = await to!.listen(address, (connection) => {
            play(serverPart, connection, SIZE, 1).then(accepted.resolve, accepted.reject);
          });
          try {
            const asked = play(clientPart, await from!.connect(address), SIZE, 2);
            assertAgree(await asked, await accepted.promise);
          } finally {
            listener.close();
          }
        });
      });
    }
  }
}
