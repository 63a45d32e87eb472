/**
 * Listens, accepts a connection when it is told to by a line, and says as JSON its peer's pid and whose
 * its pidfd is by then.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { UnixListener } from "../../mod.ts";

using listener = UnixListener.listen(process.argv[2]!);
console.log("listening");
await new Promise((resolve) => process.stdin.once("data", resolve));
using stream = await listener.accept();
const { pid } = stream.peerCredentials()!;
let living: number | string;
try {
  using pidfd = stream.peerPidfd()!;
  const info = readFileSync(`/proc/self/fdinfo/${pidfd.fd}`, "utf8");
  living = Number(/^Pid:\s*(-?\d+)$/m.exec(info)![1]);
} catch (error) {
  // Before Linux 6.16 there is none for a process that is gone.
  living = (error as { code: string }).code;
}
console.log(JSON.stringify({ pid, living }));
process.exit(0);
