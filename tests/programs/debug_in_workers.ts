/** Prints where debug mode is on: here, in a Worker, and in a Worker that imports it. */

import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { native } from "../../ffi/mod.ts";

async function isOnInWorker(importing: boolean): Promise<boolean> {
  const worker = new Worker(new URL(import.meta.url), { workerData: importing });
  const [answer] = await once(worker, "message");
  await worker.terminate();
  return answer;
}

if (isMainThread) {
  const main = native().debugging !== null;
  const [worker, importing] = [await isOnInWorker(false), await isOnInWorker(true)];
  console.log(JSON.stringify({ main, worker, importing }));
} else {
  if (workerData) await import("../../debug.ts");
  parentPort!.postMessage(native().debugging !== null);
}
