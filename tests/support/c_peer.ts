/**
 * A C program as the peer of messages with ancillary data: `tests/programs/ancillary_peer.c`.
 * @module
 */

import { execFileSync } from "node:child_process";
import { constants } from "node:os";
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { native } from "../../ffi/mod.ts";
import { Peer } from "./interop.ts";
import { type AnySocket, connectionOf, type Kind, type Owner, ownerOf } from "./message_peers.ts";
import { ROOT } from "./runtime.ts";
import { withTempDir } from "./sockets.ts";

export * from "./message_peers.ts";

/** The program, which does as it is told, one command after another. */
export class CPeer extends Peer {
  /** Its answer to a command, which has to succeed. */
  async does(command: string): Promise<string> {
    const answer = await this.ask(command);
    if (!/^ok\b/.test(answer)) throw new Error(`${command}: ${answer}`);
    return answer.slice("ok ".length);
  }

  /** The name of the error that a command ends with. */
  async failsTo(command: string): Promise<string | undefined> {
    const answer = await this.ask(command);
    const number = Number(/^error (\d+)$/.exec(answer)?.[1]);
    return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? answer;
  }

  async ask(command: string): Promise<string> {
    this.tell(command);
    return await this.line();
  }
}

function typeOf(kind: Kind): number {
  const { constants, linux } = native().abi;
  return {
    UnixStream: constants.SOCK_STREAM,
    UnixDatagram: constants.SOCK_DGRAM,
    UnixSeqpacket: linux!.SOCK_SEQPACKET,
  }[kind];
}

/**
 * Compiles the program and connects it with a socket of ours for the time of a body. Then waits until it
 * has ended well.
 *
 * @param before is called with the socket that the program connects to, before it does
 */
export async function withC(
  kind: Kind,
  body: (socket: AnySocket, peer: CPeer) => Promise<void>,
  before?: (owner: Owner) => void,
): Promise<void> {
  await withTempDir(async (directory) => {
    const [path, program] = [join(directory, "test.sock"), join(directory, "program")];
    const source = join(ROOT, "tests", "programs", "ancillary_peer.c");
    execFileSync("cc", ["-Wall", "-o", program, source], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    using owner = ownerOf(kind, path);
    before?.(owner);
    await using peer = new CPeer([program, String(typeOf(kind)), path]);
    assertEquals(await peer.line(), "connected");
    using socket = connectionOf(owner, `${path}.peer`);
    await body(socket, peer);
    await peer.succeeded();
  });
}
