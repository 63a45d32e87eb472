/**
 * PATH ROUNDS: connects and closes, again and again. How many a second.
 * @module
 */

import { connect } from "node:net";
import { UnixStream } from "../../mod.ts";
import { connectBy } from "./clients.ts";
import { globals, ownApi } from "./runtimes.ts";
import { expect, timed } from "./timed.ts";

function byNet(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", reject);
  });
}

const ways: Record<string, (path: string) => unknown> = {
  sync: (path) => UnixStream.connectSync(path).close(),
  async: async (path) => (await UnixStream.connect(path)).close(),
  net: byNet,
  own: ownApi({
    deno: async (path: string) =>
      (await globals.Deno!.connect({ transport: "unix", path })).close(),
    bun: async (path: string) => {
      const socket = { data() {} };
      (await globals.Bun!.connect({ unix: path, socket })).terminate();
    },
    net: byNet,
  }),
};

export async function contend(api: string, args: string[]): Promise<number> {
  const [path, rounds] = [args[0]!, Number(args[1])];
  const greeting = new Uint8Array(1);
  await (await connectBy(api, path)).receive(greeting);
  expect(greeting[0] === 33, "Another greeting");
  const way = ways[api]!;
  return rounds / ((await timed(rounds, api !== "sync", () => way(path))) / 1000);
}
