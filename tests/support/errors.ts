/**
 * What the tests of errors share: what an error says, and what can be in the way.
 * @module
 */

import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { errnoNumber, sockets } from "../../ffi/mod.ts";
import { UnixListener, type UnixSocketError } from "../../mod.ts";
import { packedPath, succeed, withRawSocket } from "./raw.ts";
import { assertFails, withTempDir } from "./sockets.ts";

export interface Expected {
  code: string;
  syscall: string;
  address?: string | undefined;
}

/** Asserts everything that an error says. */
export async function assertError(
  action: () => unknown,
  { code, syscall, address }: Expected,
): Promise<UnixSocketError> {
  const error = await assertFails(action, code, syscall);
  assertInstanceOf(error, Error);
  assertEquals(error.name, "UnixSocketError");
  assertEquals(error.errno, errnoNumber(code));
  assertEquals(error.address, address);
  assertMatch(error.message, new RegExp(`^Cannot [^\\n]+: ${code}( \\([^\\n]+\\))?$`));
  return error;
}

/** Leaves a socket file that nobody serves. */
export function leaveStale(path: string): void {
  UnixListener.listen(path, { unlinkOnClose: false }).close();
}

/** Everything that can be in the way, in a directory: name → what connect(2) says. */
export async function withObstacles(
  body: (directory: string) => void | Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const at = (name: string) => join(directory, name);
    writeFileSync(at("file"), "content");
    mkdirSync(at("directory"));
    leaveStale(at("stale"));
    symlinkSync(at("nothing"), at("dangling"));
    symlinkSync(at("loop"), at("loop"));
    await withRawSocket("SOCK_STREAM", async (bound) => {
      succeed(sockets.bind(bound, packedPath(at("bound"))));
      await withRawSocket("SOCK_DGRAM", async (datagram) => {
        succeed(sockets.bind(datagram, packedPath(at("datagram"))));
        await body(directory);
      });
    });
  });
}
