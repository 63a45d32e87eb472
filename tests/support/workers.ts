/**
 * The two kinds of Workers behind one face.
 * @module
 */

import process from "node:process";
import { Worker as ThreadWorker } from "node:worker_threads";
import type { Job } from "../programs/worker.ts";

export type WorkerKind = "threads" | "web";

/** A Worker that does one job of `programs/worker.ts`. */
export interface JobWorker {
  /** The next message. Rejects with an error of the Worker. */
  next(): Promise<string>;
  terminate(): Promise<void>;
  /** Lets the process end while the Worker lives. */
  unref(): void;
  /** Resolves when the Worker has ended; never for a Worker of the web. */
  readonly ended: Promise<number>;
}

interface WebWorker {
  onmessage: ((event: { data: string }) => void) | null;
  onerror: ((event: { message: string; preventDefault?(): void }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
  unref?(): void;
}

// Deno and Bun run no preload in a Worker.
const name = process.env.AFUNIX_DEBUG ? "worker_in_debug_mode" : "worker";
const script = new URL(`../programs/${name}.ts`, import.meta.url);

export function startWorker(kind: WorkerKind, job: Job): JobWorker {
  const messages: string[] = [];
  const readers: { resolve(message: string): void; reject(error: unknown): void }[] = [];
  const take = (message: string) => {
    const reader = readers.shift();
    if (reader === undefined) messages.push(message);
    else reader.resolve(message);
  };
  const fail = (error: unknown) => {
    for (const reader of readers.splice(0)) reader.reject(error);
  };
  const next = () =>
    new Promise<string>((resolve, reject) => {
      const message = messages.shift();
      if (message === undefined) readers.push({ resolve, reject });
      else resolve(message);
    });
  if (kind === "threads") {
    const worker = new ThreadWorker(script);
    const ended = new Promise<number>((resolve) => worker.on("exit", resolve));
    worker.on("message", take);
    worker.on("error", fail);
    worker.postMessage(job);
    return {
      next,
      ended,
      terminate: async () => void await worker.terminate(),
      unref: () => worker.unref(),
    };
  }
  const { Worker } = globalThis as unknown as {
    Worker: new (url: URL, options: { type: "module" }) => WebWorker;
  };
  const worker = new Worker(script, { type: "module" });
  worker.onmessage = ({ data }) => take(data);
  worker.onerror = (event) => {
    event.preventDefault?.();
    fail(new Error(event.message));
  };
  worker.postMessage(job);
  return {
    next,
    ended: new Promise(() => {}),
    // deno-lint-ignore require-await
    terminate: async () => worker.terminate(),
    unref: () => worker.unref?.(),
  };
}
