/**
 * Fetches from an HTTP server that listens on a Unix socket, and prints what it answers.
 *
 *     node examples/http_fetch.ts /run/docker.sock /version
 *     bun examples/http_fetch.ts /tmp/http.sock /upload < FILE
 *     deno run --allow-ffi examples/http_fetch.ts @abstract-name /
 *
 * With an address that begins with `@` the name is abstract. What is piped to the standard input is
 * sent with POST, as it is read. The status goes to the standard error; a status from 400 on exits
 * with 1.
 */

import process from "node:process";
import { createFetch } from "../http.ts";

const [name, path = "/"] = process.argv.slice(2);
if (name === undefined) {
  console.error("Usage: http_fetch.ts ADDRESS [PATH]");
  process.exit(2);
}

/** The standard input as a body, if it is no terminal and not empty. */
async function bodyOfInput(): Promise<ReadableStream<Uint8Array> | null> {
  if (process.stdin.isTTY) return null;
  const chunks: AsyncIterator<Uint8Array> = process.stdin[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done) return null;
  let next: IteratorResult<Uint8Array> | null = first;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = next ?? await chunks.next();
      next = null;
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

try {
  const address = name.startsWith("@") ? `\0${name.slice(1)}` : name;
  using fetch = createFetch(address);
  const body = await bodyOfInput();
  const response = await fetch(path, body === null ? {} : { method: "POST", body });
  console.error(`${response.status} ${response.statusText}`);
  for await (const chunk of response.body ?? []) {
    if (!process.stdout.write(chunk)) {
      await new Promise<void>((resolve) => process.stdout.once("drain", () => resolve()));
    }
  }
  if (!response.ok) process.exitCode = 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
