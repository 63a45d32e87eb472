/**
 * At the limits of descriptors: nobody spins, nothing is lost, and all goes on by itself.
 * @module
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { Party, type PartyOptions, processorShare, type RuntimeName } from "./party.ts";
import { expect, number, type Scenario, until, withDirectory } from "./scenario.ts";

/** The most of one processor that who stands at a limit may take. */
const MAX_SHARE = 0.02;

/** How long that is measured, in milliseconds. */
const WINDOW = 5000;

async function expectQuiet(party: Party): Promise<string> {
  const share = await processorShare(party, WINDOW);
  expect(share < MAX_SHARE, () => `it took ${(100 * share).toFixed(1)} % of a processor`);
  return `${(100 * share).toFixed(1)} % of a processor over ${WINDOW / 1000} s`;
}

/** A server that may have far fewer descriptors than it has clients, who stay until they must go. */
export async function listenerAtLimit(runtime: RuntimeName, clients: number): Promise<string> {
  const LIMIT = 128;
  return await withDirectory(async (directory) => {
    const path = join(directory, "limited.sock");
    await using server = new Party(runtime, "server", ["answer", path, 4096], {
      descriptors: LIMIT,
    });
    await server.line();
    await using client = new Party(runtime, "clients", [path], { descriptors: clients + 200 });
    await client.line();
    await client.ask({ do: "crowd", count: clients });
    await until(() => server.used >= LIMIT - 1, "the server is at its limit");
    const quiet = await expectQuiet(server);
    const { answered } = await client.ask<{ answered: number }>({ do: "answered" });
    expect(answered < LIMIT, () => `${answered} were answered by a server at its limit`);
    const start = performance.now();
    const end = await client.ask<{ answered: number }>({ do: "leave" });
    expect(end.answered === clients, () => `${end.answered} of ${clients} were answered`);
    const seconds = number((performance.now() - start) / 1000);
    return `a listener with ${LIMIT} descriptors and ${
      number(clients)
    } clients: ${answered} served, ` +
      `${quiet} at the limit, then all others within ${seconds} s, none lost`;
  });
}

/** A sender and a receiver of descriptors. */
async function withPassing<T>(
  runtime: RuntimeName,
  of: { sender?: PartyOptions; receiver?: PartyOptions },
  body: (sender: Party, receiver: Party) => Promise<T>,
): Promise<T> {
  return await withDirectory(async (directory) => {
    const path = join(directory, "passing.sock");
    await using receiver = new Party(runtime, "descriptors", ["receiver", path], of.receiver);
    await receiver.line();
    await using sender = new Party(runtime, "descriptors", ["sender", path], of.sender);
    await sender.line();
    return await body(sender, receiver);
  });
}

/** A user that has nothing under way: the kernel counts descriptors for each user. */
const nobody = 200_000 + process.pid;

/** A sender that may have no more descriptors under way, until they are received. */
export async function sendingAtLimit(runtime: RuntimeName, count: number): Promise<string> {
  const user = { user: nobody };
  const limited = { ...user, descriptors: 64 };
  return await withPassing(
    runtime,
    { sender: limited, receiver: user },
    async (sender, receiver) => {
      await sender.ask({ do: "begin", count });
      let refused = { sent: 0, refusals: 0 };
      await until(
        async () => (refused = await sender.ask({ do: "sent" })).refusals > 0,
        "the kernel takes no more",
      );
      const quiet = await expectQuiet(sender);
      const { sent } = await sender.ask<{ sent: number }>({ do: "sent" });
      expect(sent === refused.sent, () => `${sent - refused.sent} were sent beyond the limit`);
      await receiver.ask({ do: "begin", count });
      await sender.ask({ do: "finish" });
      const { whole } = await receiver.ask<{ whole: number }>({ do: "finish" });
      expect(whole === count, () => `${whole} of ${count} came with their descriptors`);
      return `sendMessage() with 64 descriptors allowed under way: ${sent} messages of two, ${quiet} at ` +
        `the limit, then all ${number(count)} in order, with the right descriptors`;
    },
  );
}

/** A receiver without a free descriptor, and then with many. */
export async function receivingAtLimit(runtime: RuntimeName, count: number): Promise<string> {
  const receiver = { descriptors: 128 };
  return await withPassing(runtime, { receiver }, async (sender, receiver) => {
    const exchange = async (): Promise<{ whole: number; without: number }> => {
      await receiver.ask({ do: "begin", count });
      await sender.ask({ do: "begin", count });
      await sender.ask({ do: "finish" });
      return await receiver.ask({ do: "finish" });
    };
    const first = await exchange();
    expect(first.whole === count, () => `${first.whole} of ${count} came with their descriptors`);
    const before = receiver.table;
    await receiver.ask({ do: "fill" });
    const full = receiver.descriptors;
    const limited = await exchange();
    expect(limited.without === count, () => `${limited.without} of ${count} came without theirs`);
    expect(receiver.descriptors === full, () => `${receiver.descriptors} are open, not ${full}`);
    // It waits for a message now, with no descriptor free.
    await receiver.ask({ do: "begin", count });
    const quiet = await expectQuiet(receiver);
    await receiver.ask({ do: "free" });
    await sender.ask({ do: "begin", count });
    await sender.ask({ do: "finish" });
    const last = await receiver.ask<{ whole: number }>({ do: "finish" });
    expect(last.whole === 2 * count, () => `${last.whole - count} of ${count} came with theirs`);
    const after = receiver.table;
    const changes = [...before, ...after].filter((each) =>
      before.includes(each) !== after.includes(each)
    );
    expect(before.length === after.length, () => `descriptors have changed: ${changes.join(", ")}`);
    return `receiveMessage() with no free descriptor: ${
      number(count)
    } messages whole but for their ` +
      `descriptors, ${quiet} while waiting there, then ${number(count)} with all`;
  });
}

function cannotChangeUser(): string | null {
  const { status } = spawnSync("setpriv", [`--reuid=${nobody}`, "--clear-groups", "true"]);
  return status === 0 ? null : "needs setpriv and the right to change the user";
}

/** At the limits. */
export const limitScenarios: readonly Scenario[] = [
  {
    name: "limit-accept",
    run: (runtime, quick) => listenerAtLimit(runtime, quick ? 400 : 2000),
  },
  {
    name: "limit-send",
    missing: cannotChangeUser,
    run: (runtime, quick) => sendingAtLimit(runtime, quick ? 500 : 5000),
  },
  {
    name: "limit-receive",
    run: (runtime, quick) => receivingAtLimit(runtime, quick ? 200 : 2000),
  },
];
