/**
 * Waits for one client, prints its message and answers. A message lasts until its sender ends it.
 *
 *     deno run --allow-ffi examples/hello_server.ts /tmp/hello.sock
 *     bun examples/hello_server.ts /tmp/hello.sock
 *     node examples/hello_server.ts /tmp/hello.sock
 */

import process from "node:process";
import { UnixListener } from "../mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || path.startsWith("-") || rest.length > 0) {
  console.error("Usage: hello_server.ts PATH");
  process.exit(2);
}

try {
  using listener = UnixListener.listen(path);
  const stop = () => {
    listener.close();
    process.exit();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  console.log(`Listening on ${path}`);
  using client = await listener.accept();
  console.log(await new Response(client.readable).text());
  await client.writeAll(new TextEncoder().encode("Hello, client"));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
