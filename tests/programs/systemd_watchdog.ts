/** Starts a watchdog's timer, says what became of it, and has nothing else to do. */

import { startWatchdog } from "../../systemd.ts";

const watchdog = startWatchdog();
console.log(watchdog === null ? "no watchdog" : `every ${watchdog.interval} ms`);
