/**
 * A counter that outlives its process: what came before is in a memfd that the service manager keeps.
 * Says what it counted, stores, and ends; with `forget` it has the manager forget everything.
 */

import process from "node:process";
import { Fd } from "../../mod.ts";
import { listenFds, removeStoredFds, storeFds } from "../../systemd.ts";

using stored = listenFds({ unsetEnvironment: true }).find(({ name }) => name === "counter")?.toFd();
using counter = stored ?? Fd.memfd("counter");
const value = new Uint32Array(1);
counter.preadSync(value, 0);
value[0]!++;
counter.pwriteSync(value, 0);
console.log(value[0]);
if (process.argv[2] === "forget") await removeStoredFds("counter");
else if (stored === undefined) await storeFds("counter", [counter]);
