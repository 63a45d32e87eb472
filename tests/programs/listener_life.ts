/**
 * A server whose life depends on what its listener does. Arguments: what that is, and the path.
 */

import { openSync } from "node:fs";
import process from "node:process";
import { UnixListener } from "../../mod.ts";
import { openForSignals } from "../support/descriptor_table.ts";

const [what, path] = process.argv.slice(2) as [string, string];
const listener = UnixListener.listen(path);

async function serve(): Promise<void> {
  for await (const stream of listener) {
    await stream.writeAll(new TextEncoder().encode("served"));
    stream.close();
  }
}

const lives: Record<string, () => unknown> = {
  "open": () => {},
  "unref, loop": () => void (listener.unref(), serve()),
  "loop, unref": () => void (serve(), listener.unref()),
  "loop": () => void serve(),
  "accept": () => void listener.accept().then((stream) => stream.close()),
  "loop, unref, ref": () => void (serve(), listener.unref(), listener.ref()),
  "unref, loop, timer": () => {
    listener.unref();
    serve();
    process.stdin.on("end", () => {}).resume();
  },
  "exit": () => process.exit(3),
  "exit of the runtime"() {
    (globalThis as { Deno?: { exit(code: number): never } }).Deno?.exit(3);
    process.exit(3);
  },
  "unref, loop at the limit"() {
    openForSignals();
    listener.unref();
    // The loop meets EMFILE with the parent's connection, which comes before the last word.
    process.stdin.once("data", () => {
      process.stdin.destroy();
      try {
        for (;;) openSync("/dev/null", "r");
      } catch {
        serve();
      }
    });
  },
};

console.log("listening");
await lives[what]!();
