/** Says what each function answers that reads the environment: on Deno, without the permission. */

import { listenFds, notifySync, startWatchdog, watchdogInterval } from "../../systemd.ts";

const calls = [
  () => listenFds().length,
  () => notifySync({ ready: true }),
  () => watchdogInterval(),
  () => startWatchdog(),
];
const answers = calls.map((call) => {
  try {
    return call();
  } catch (error) {
    return (error as Error).message;
  }
});
console.log(JSON.stringify(answers));
