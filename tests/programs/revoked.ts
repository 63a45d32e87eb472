/**
 * Gives up Deno's permission for FFI before anything has waited. Prints what comes of that.
 */

import { UnixStream } from "../../mod.ts";

interface Deno {
  permissions: { revoke(of: { name: "ffi" }): Promise<unknown> };
}

const [a, b] = UnixStream.pair();
const buffer = new Uint8Array(4);
const early = b.read(buffer).then(String, (error: Error) => error.name);
await (globalThis as unknown as { Deno: Deno }).Deno.permissions.revoke({ name: "ffi" });
console.log(await early, await b.read(buffer).then(String, (error: Error) => error.name));
a.writeSync(buffer);
console.log(b.readSync(buffer));
