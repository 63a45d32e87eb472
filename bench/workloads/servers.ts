/**
 * Echo servers with many connections: what they get through, and what it costs to hold them. Each
 * contender is the server; the clients are one program in C.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../processes.ts";
import type { Bench, Workload } from "../types.ts";
import { type Apis, inLanguages, type Measure, onRuntimes, ownServer } from "./contenders.ts";

const ACTIVE = 100;
const MANY = 10_000;
/** So that what a server allocates once is not counted with the connections. */
const BEFORE = 5000;

/** Runs a server, and clients against it. */
type Scene = (bench: Bench, server: Conversation, path: string) => Promise<number>;

async function withClients<T>(
  bench: Bench,
  path: string,
  connections: number,
  use: (clients: Conversation) => Promise<T>,
): Promise<T> {
  const clients = new Conversation(bench.peerCommand("clients", [path, String(connections)]));
  try {
    await expectReady(clients);
    return await use(clients);
  } finally {
    await clients.end();
  }
}

async function expectReady(conversation: Conversation): Promise<void> {
  const line = await conversation.line();
  if (line !== "ready") throw new Error(`Not ready: ${line}`);
}

function measuring(bench: Bench, scene: Scene): Measure {
  return async (command) => {
    const path = bench.path();
    const server = new Conversation([...command, path]);
    try {
      await expectReady(server);
      return await scene(bench, server, path);
    } finally {
      await server.end();
    }
  };
}

interface Description extends Omit<Workload, "prepare" | "targets"> {
  targets?: Workload["targets"];
  others?: Apis;
  scene: Scene;
}

function serverWorkload(
  { scene, targets = [], others = {}, ...rest }: Description,
): Workload {
  return {
    ...rest,
    targets,
    prepare(bench) {
      const measure = measuring(bench, scene);
      const apis = { async: "afunix async", ...others, own: ownServer, net: "node:net" };
      return Promise.resolve([
        ...inLanguages(bench, "server", measure, ["C", "Python"]),
        ...onRuntimes(bench, "server", apis, measure),
      ]);
    },
  };
}

function echoWith(connections: number, targets: Workload["targets"] = []): Workload {
  return serverWorkload({
    name: `echo-${connections}`,
    title: `Echo server, ${ACTIVE} of ${connections.toLocaleString("en")} connections active`,
    unit: "/s",
    better: "more",
    targets,
    scene: (bench, _, path) =>
      withClients(bench, path, connections, async (clients) => {
        await clients.ask(`load ${ACTIVE} 0.3`);
        return await clients.ask(`load ${ACTIVE} ${bench.quick ? 1 : 4}`);
      }),
  });
}

const memory = serverWorkload({
  name: "memory",
  title: "Memory for each idle connection, above the kernel's",
  unit: "KiB",
  better: "less",
  absolute: true,
  targets: [{ what: "an idle connection, in KiB", api: "async", atMost: 2 }],
  scene: (bench, server, path) =>
    withClients(bench, path, BEFORE, async () => {
      const before = await server.ask("memory");
      return await withClients(bench, path, MANY, async () => {
        return (await server.ask("memory") - before) / MANY / 1024;
      });
    }),
});

/** Microseconds of processor time that the server takes in each second. */
async function busy(server: Conversation, during: () => Promise<unknown>): Promise<number> {
  const [begin, before] = [performance.now(), server.processorTime()];
  await during();
  const seconds = (performance.now() - begin) / 1000;
  return (server.processorTime() - before) / 1000 / seconds;
}

const idle = serverWorkload({
  name: "idle",
  title: "Processor time of an idle server with 100 connections",
  unit: "µs/s",
  better: "less",
  absolute: true,
  scene: (bench, server, path) =>
    withClients(bench, path, ACTIVE, async () => {
      // What the connections set going, such as collecting garbage, shall be over.
      await sleep(bench.quick ? 500 : 2000);
      return await busy(server, () => sleep(bench.quick ? 1500 : 10_000));
    }),
});

const paced = serverWorkload({
  name: "paced",
  title: "Processor time of a server that gets 100 requests a second",
  unit: "µs/s",
  better: "less",
  others: { parked: "afunix async, no busy polling" },
  targets: [
    {
      what: "async, more than without busy polling, in µs/s",
      api: "async",
      against: "parked",
      difference: true,
      atMost: 30_000,
    },
  ],
  scene: (bench, server, path) =>
    withClients(bench, path, ACTIVE, async (clients) => {
      await clients.ask("pace 400 0.5");
      return await busy(server, () => clients.ask(`pace 100 ${bench.quick ? 1.5 : 10}`));
    }),
});

export const servers: readonly Workload[] = [
  echoWith(100),
  echoWith(1000),
  echoWith(MANY, [
    {
      what: "async, with 10,000 connections against 100",
      api: "async",
      workload: "echo-100",
      atLeast: 0.9,
    },
  ]),
  memory,
  idle,
  paced,
];
