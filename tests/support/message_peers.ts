/**
 * What tests of messages with ancillary data share, over every type of socket: our ends, and files to
 * send.
 * @module
 */

import {
  Fd,
  type ReceivedMessage,
  UnixDatagram,
  UnixListener,
  type UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { bytes, text } from "./sockets.ts";

/** The types of sockets that can be connected. */
export const KINDS = ["UnixStream", "UnixDatagram", "UnixSeqpacket"] as const;
export type Kind = typeof KINDS[number];
export type AnySocket = UnixStream | UnixDatagram | UnixSeqpacket;

/** What a peer connects to: a listener, or a datagram socket. */
export type Owner = UnixListener | UnixSeqpacketListener | UnixDatagram;

/** A socket of this type at a path. */
export function ownerOf(kind: Kind, path: string): Owner {
  switch (kind) {
    case "UnixStream":
      return UnixListener.listen(path);
    case "UnixDatagram":
      return UnixDatagram.bind(path);
    case "UnixSeqpacket":
      return UnixSeqpacketListener.listen(path);
  }
}

/** Our end of what a peer connected, which has an address where its socket is of datagrams. */
export function connectionOf(owner: Owner, address: string): AnySocket {
  if (owner instanceof UnixDatagram) return owner.connect(address);
  return owner.acceptSync({ timeout: 0 });
}

/** Files in memory, each of which holds its text. */
export function filesOf(prefix: string, contents: readonly string[]): Fd[] {
  return contents.map((each) => {
    const file = Fd.memfd(prefix);
    file.pwriteSync(bytes(each), 0);
    return file;
  });
}

/** What files begin with, from their beginning, wherever their position is. */
export function contentsOf(files: readonly Fd[]): string[] {
  const buffer = new Uint8Array(64);
  return files.map((file) => text(buffer.subarray(0, file.preadSync(buffer, 0) ?? 0)));
}

/** The texts "0", "1", … */
export function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`);
}

/** Receives a message that has to be there, to be closed by the caller. */
export async function receiveFrom(socket: AnySocket): Promise<ReceivedMessage> {
  const message = await socket.receiveMessage();
  if (message === null) throw new Error("The end came instead of a message");
  return message;
}

/** A reason to skip the tests of what only newer kernels have, or false where it is there. */
export function unlessSocketsHave(option: "passPidfd" | "passDescriptors"): string | false {
  const [a, b] = UnixStream.pair();
  using _ = a;
  b.close();
  try {
    return a[option] && false;
  } catch (error) {
    if (error instanceof UnixSocketError && error.code === "ENOPROTOOPT") return `needs ${option}`;
    throw error;
  }
}
