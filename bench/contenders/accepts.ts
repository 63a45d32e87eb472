/**
 * PATH ROUNDS FLOOD...: accepts what the command FLOOD put into the backlog while the event loop
 * stood still, and closes it. How many a second.
 * @module
 */

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { UnixListener } from "../../mod.ts";
import { globals, ownApi } from "./runtimes.ts";
import { expect } from "./timed.ts";

/** Accepts and closes so many. */
type Drain = (count: number) => void | Promise<void>;

/** Counts for APIs that call back. */
class Counter {
  total = 0;
  #wanted = 0;
  #resolve = () => {};

  add(): void {
    if (++this.total === this.#wanted) this.#resolve();
  }

  reach(count: number): Promise<void> {
    expect(this.total === 0, "Connections were accepted before the time began");
    this.#wanted = count;
    return new Promise<void>((resolve) => this.#resolve = resolve).then(() => {
      this.total = 0;
    });
  }
}

async function byNet(path: string): Promise<Drain> {
  const counter = new Counter();
  const server = createServer((socket) => {
    socket.destroy();
    counter.add();
  });
  await once(server.listen({ path, backlog: 4096 }), "listening");
  return (count) => counter.reach(count);
}

function byDeno(path: string): Drain {
  const listener = globals.Deno!.listen({ transport: "unix", path });
  return async (count) => {
    for (let i = 0; i < count; i++) (await listener.accept()).close();
  };
}

function byBun(path: string): Drain {
  const counter = new Counter();
  const open = (socket: { terminate(): void }) => {
    socket.terminate();
    counter.add();
  };
  globals.Bun!.listen({ unix: path, socket: { open, data() {} } });
  return (count) => counter.reach(count);
}

const ways: Record<string, (path: string) => Drain | Promise<Drain>> = {
  sync(path) {
    const listener = UnixListener.listen(path);
    return (count) => {
      for (let i = 0; i < count; i++) listener.acceptSync().close();
    };
  },
  async(path) {
    const listener = UnixListener.listen(path);
    return async (count) => {
      for (let i = 0; i < count; i++) (await listener.accept()).close();
    };
  },
  net: byNet,
  own: ownApi<(path: string) => Drain | Promise<Drain>>({ deno: byDeno, bun: byBun, net: byNet }),
};

export async function contend(api: string, args: string[]): Promise<number> {
  const [path, rounds, program, ...rest] = args as [string, string, string];
  const drain = await ways[api]!(path);
  let [accepted, spent, warm] = [0, 0, true];
  while (accepted < Number(rounds)) {
    const count = Number(execFileSync(program, rest, { encoding: "utf8" }));
    expect(count > 0, "The backlog takes nothing");
    const begin = performance.now();
    await drain(count);
    if (!warm) {
      spent += performance.now() - begin;
      accepted += count;
    }
    warm = false;
  }
  return accepted / (spent / 1000);
}
