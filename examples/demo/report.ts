/**
 * What the demo's processes tell `main.ts`: reports, one JSON text a line, on their standard output.
 */

import process from "node:process";
import { type Credentials, Fd } from "../../mod.ts";

/** One report. */
export type Report =
  /** The server can be connected to. */
  | { event: "listening"; pid: number; runtime: string }
  /** A connection is made; the peer is what the kernel says of the other end. */
  | { event: "connected"; pid: number; runtime: string; peer: Credentials | null }
  /** The client has so many bytes back, or the server has read so many. */
  | { event: "progress"; bytes: number }
  /** The server has sent back everything. */
  | { event: "served"; bytes: number }
  /**
   * The server has read the file through the descriptor that the client opened and sent; `sender` is
   * what the kernel says of who sent it.
   */
  | {
    event: "read";
    sender: Credentials | null;
    bytes: number;
    sha256: string;
    milliseconds: number;
  }
  /** The client has everything back. */
  | {
    event: "received";
    sent: { bytes: number; sha256: string };
    received: { bytes: number; sha256: string };
    milliseconds: number;
  }
  /** The last report: the most memory that was resident, in bytes. */
  | { event: "end"; peakMemory: number };

/** Tells `main.ts`. */
export function report(report: Report): void {
  console.log(JSON.stringify(report));
}

/** Which of the three runs this process. */
export function ownRuntime(): string {
  return process.versions.deno ? "deno" : process.versions.bun ? "bun" : "node";
}

/** The most memory that was resident since this program began, in bytes (`proc(5)`, VmHWM). */
export async function peakMemory(): Promise<number> {
  using status = Fd.open("/proc/self/status");
  const text = await new Response(status.readable).text();
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(text)?.[1] ?? NaN) * 1024;
}
