/**
 * Many connections: at once, one after the other, and in storms.
 * @module
 */

import { join } from "node:path";
import { type Measures, Party, type RuntimeName } from "./party.ts";
import {
  expect,
  expectFlat,
  memory,
  number,
  type Scenario,
  until,
  withDirectory,
} from "./scenario.ts";

interface Count {
  accepted: number;
  open: number;
}

/** Runs a body with a server and clients of it. */
async function withServer<T>(
  runtime: RuntimeName,
  { how = "answer", backlog = 4096, clients: clientCount = 1, descriptors }: {
    how?: "answer" | "count";
    backlog?: number;
    clients?: number;
    descriptors?: number;
  },
  body: (server: Party, clients: Party[]) => Promise<T>,
): Promise<T> {
  return await withDirectory(async (directory) => {
    const path = join(directory, "server.sock");
    const limit = descriptors === undefined ? {} : { descriptors };
    await using server = new Party(runtime, "server", [how, path, backlog], limit);
    await server.line();
    await using all = new AsyncDisposableStack();
    const clients = Array.from(
      { length: clientCount },
      () => all.use(new Party(runtime, "clients", [path], limit)),
    );
    for (const client of clients) await client.line();
    return await body(server, clients);
  });
}

/** Waits until a server has nobody left. */
async function untilAlone(server: Party, accepted: number): Promise<void> {
  await until(
    async () => (await server.ask<Count>({ do: "count" })).open === 0,
    "the server has closed its connections",
  );
  const count = await server.ask<Count>({ do: "count" });
  expect(count.accepted === accepted, () => `${count.accepted} of ${accepted} were accepted`);
}

/** So many connections at once, several times over, each of which gets the right answer. */
export async function atOnce(runtime: RuntimeName, count: number, rounds: number): Promise<string> {
  const descriptors = count + 200;
  return await withServer(runtime, { descriptors }, async (server, [clients]) => {
    let accepted = 0;
    const round = async (size: number): Promise<void> => {
      await clients!.ask({ do: "open", count: size });
      await clients!.ask({ do: "ask", from: accepted });
      accepted += size;
      const { open } = await server.ask<Count>({ do: "count" });
      expect(open === size, () => `${open} of ${size} connections are open`);
      expect(server.descriptors > size, () => "the server's descriptors are not counted");
      await clients!.ask({ do: "ask", from: 2 * accepted });
      await clients!.ask({ do: "close" });
      await untilAlone(server, accepted);
    };
    // What the runtime takes once.
    await round(Math.ceil(count / 20));
    const start = await both(server, clients!);
    await round(count);
    let before = await both(server, clients!);
    const first = before;
    for (let i = 1; i < rounds; i++) {
      await round(count);
      const after = await both(server, clients!);
      expectFlat("the server", before.server, after.server);
      expectFlat("the client", before.client, after.client);
      before = after;
    }
    for (const side of ["server", "client"] as const) {
      // A runtime keeps pages that it has had; what it keeps is not what lives.
      expectFlat(`the ${side}`, start[side], { ...first[side], resident: 0 });
      expectFlat(`the ${side}`, start[side], { ...before[side], resident: 0 });
    }
    const rest = memory("server", start.server, before.server);
    return `${
      number(count)
    } connections at once, ${rounds} times, all answered twice and closed; ${rest}`;
  });
}

interface Sides {
  server: Measures;
  client: Measures;
}

async function both(server: Party, client: Party): Promise<Sides> {
  return { server: await server.measure(), client: await client.measure() };
}

/** So many connections one after the other, each of which gets its ordinal number. */
export async function inSequence(runtime: RuntimeName, count: number): Promise<string> {
  return await withServer(runtime, { how: "count" }, async (server, [client]) => {
    const tenth = count / 10;
    const start = performance.now();
    const measures: Sides[] = [];
    for (let i = 0; i < 10; i++) {
      await client!.ask({ do: "sequence", from: i * tenth, count: tenth });
      await untilAlone(server, (i + 1) * tenth);
      measures.push(await both(server, client!));
      expectFlat("the server", measures[0]!.server, measures[i]!.server);
      expectFlat("the client", measures[0]!.client, measures[i]!.client);
    }
    const [first, last] = [measures[0]!.server, measures[9]!.server];
    const seconds = (performance.now() - start) / 1000;
    const rest = memory("server after the first and the last tenth", first, last);
    const rate = number(count / seconds);
    return `${number(count)} connections in sequence, none lost, ${rate} a second; ${rest}`;
  });
}

/** How many clients a storm has. */
const STORM = 200;

/** Storms of clients in several processes, whom a short backlog makes wait and try again. */
export async function storms(
  runtime: RuntimeName,
  backlogs: readonly number[],
  rounds: number,
  processes: number,
): Promise<string> {
  const count = STORM / processes;
  const parts: string[] = [];
  for (const backlog of backlogs) {
    parts.push(
      await withServer(runtime, { backlog, clients: processes }, async (server, clients) => {
        let slowest = 0;
        for (let round = 0; round < rounds; round++) {
          const start = performance.now();
          await Promise.all(
            clients.map((client, i) =>
              client.ask({ do: "storm", count, from: (round * processes + i) * count })
            ),
          );
          slowest = Math.max(slowest, performance.now() - start);
          await untilAlone(server, (round + 1) * STORM);
        }
        return `at backlog ${backlog} ${rounds} × ${STORM} served, the slowest round in ${
          number(slowest)
        } ms`;
      }),
    );
  }
  return `storms of ${STORM} clients in ${processes} processes: ${parts.join("; ")}`;
}

/** Many connections. */
export const connectionScenarios: readonly Scenario[] = [
  {
    name: "connections",
    run: (runtime, quick) => quick ? atOnce(runtime, 1000, 2) : atOnce(runtime, 10_000, 3),
  },
  { name: "sequence", run: (runtime, quick) => inSequence(runtime, quick ? 20_000 : 1_000_000) },
  { name: "storm", run: (runtime, quick) => storms(runtime, [1, 128], quick ? 2 : 20, 8) },
];
