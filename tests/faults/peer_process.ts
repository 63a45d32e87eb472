/**
 * The process at the other end of a run: started, stopped, continued and killed, and what it noted.
 * @module
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Fd } from "../../mod.ts";
import { suiteDebugFlags } from "../support/runtime.ts";
import type { Script } from "./script.ts";
import type { World } from "./world.ts";

/** One line of what it noted. */
export type Note =
  | { ready: true }
  | { done: true }
  | { wrote: number }
  | { failed: number; taken: number; code: string }
  | { got: string; fds: number[]; cut: boolean }
  | { end: true }
  | { error: string }
  | { connected: number }
  | { heard: number; bytes: string }
  | { refused: number; code: string };

const folder = import.meta.dirname!;

let python: string | null | undefined;
/** A Python that knows what the program needs, itself and not a script that looks for it; or null. */
function findPython(): string | null {
  if (python !== undefined) return python;
  const asked = "import os, sys; os.memfd_create; print(sys.executable)";
  // Not through pipes: Bun closes its ends of those a little later, in the midst of the first run.
  using answer = Fd.memfd("python3");
  try {
    execFileSync("python3", ["-c", asked], { stdio: ["ignore", answer.fd, "ignore"] });
    return python = readFileSync(`/proc/self/fd/${answer.fd}`, "utf8").trim();
  } catch {
    return python = null;
  }
}

/** Has the runtime open what it opens for the first program that it runs. */
export function prepareProcesses(): void {
  findPython();
}

function commandFor(program: Script["program"]): string[] {
  const python = program === "python3" ? findPython() : null;
  if (python !== null) {
    return [python, "-S", "-E", "-B", join(folder, "peer.py")];
  }
  // Where there is no Python, another runtime does it.
  const runtime = program === "python3" ? "bun" : program;
  const binary = join(folder, "..", "..", "node_modules", ".bin", runtime);
  const flags = {
    deno: ["run", "--allow-all", "--no-check", "--quiet"],
    bun: [],
    node: ["--no-warnings", "--experimental-ffi"],
  }[runtime];
  return [binary, ...flags, ...suiteDebugFlags(runtime), join(folder, "peer.ts")];
}

let connections = 0;

/** An abstract name that nobody has. */
export function freshName(): string {
  return `afunix-faults-${process.pid}-${connections++}`;
}

export class PeerProcess {
  readonly #world: World;
  readonly #folder: string;
  readonly #child: ChildProcess;
  /** Fulfilled when it has ended. */
  readonly ended: Promise<void>;
  killed = false;
  over = false;
  #code: number | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(world: World, script: Script, name: string) {
    this.#world = world;
    this.#folder = mkdtempSync(join(tmpdir(), "afunix-faults-peer-"));
    const [program, ...args] = commandFor(script.program);
    const complaints = openSync(join(this.#folder, "stderr"), "w");
    closeSync(openSync(this.#notes, "w"));
    try {
      this.#child = spawn(program!, [...args, name, this.#notes, JSON.stringify(script)], {
        stdio: ["ignore", "ignore", complaints],
      });
    } finally {
      closeSync(complaints);
    }
    world.journal.count(`processes of ${program!.split("/").at(-1)!.replace(/[\d.]+$/, "")}`);
    process.on("exit", this.#kill);
    const ended = new Promise<void>((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("exit", (code) => {
        this.#code = code;
        this.over = true;
        resolve();
      });
    });
    this.ended = world.watched("the other process", ended).then(({ error }) => {
      if (error !== undefined) world.fail(`the other process cannot be started: ${error}`);
    });
  }

  get #notes(): string {
    return join(this.#folder, "notes");
  }

  #kill = (): void => this.#signal("SIGKILL");

  // Not by its object: on Deno that takes a process for dead after any signal.
  #signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    if (this.over) return;
    try {
      process.kill(this.#child.pid!, name);
    } catch (error) {
      if ((error as { code?: string }).code !== "ESRCH") throw error;
    }
  }

  /** Does a step that is about the process; false for any other. */
  disturb(what: string): boolean {
    if (what === "kill") this.kill();
    else if (what === "stop") this.#stop();
    else if (what === "continue") this.#signal("SIGCONT");
    else return false;
    return true;
  }

  #stop(): void {
    if (!this.over && !this.killed) this.#world.journal.count("processes stopped");
    this.#signal("SIGSTOP");
  }

  kill(): void {
    if (this.over || this.killed) return;
    this.killed = true;
    this.#world.journal.count("processes killed");
    this.#world.journal.note("    killed");
    this.#signal("SIGKILL");
  }

  /** Lets it come to its end: it may stop itself as often as it likes, and is killed if that is planned. */
  async letEnd({ killedAfter }: Script): Promise<void> {
    const killing = killedAfter < 0 ? null : setTimeout(() => this.kill(), killedAfter / 10);
    this.#timer = setInterval(() => this.#signal("SIGCONT"), 5);
    this.#signal("SIGCONT");
    await this.ended;
    clearInterval(this.#timer);
    if (killing !== null) clearTimeout(killing);
  }

  /** Tells it that nothing more will be sent to it, where the kernel does not: a file beside its notes. */
  sayOver(): void {
    writeFileSync(`${this.#notes}.over`, "");
  }

  /** What it noted, in order, after it has ended. */
  notes(): Note[] {
    const lines = readFileSync(this.#notes, "utf8").split("\n");
    // A line that was being written when it was killed has no end.
    lines.pop();
    const complaints = readFileSync(join(this.#folder, "stderr"), "utf8");
    if (!this.killed && this.#code !== 0) {
      this.#world.fail(`the other process ended with ${this.#code}:\n${complaints}`);
    }
    return lines.map((line) => JSON.parse(line) as Note);
  }

  /** Removes what it left behind. */
  tidyUp(): void {
    process.off("exit", this.#kill);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
