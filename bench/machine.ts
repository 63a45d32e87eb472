/**
 * What this machine can run: compilers, runtimes, addons.
 * @module
 */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { build } from "esbuild";
import type { Language, Report, RuntimeName } from "./types.ts";

const here = import.meta.dirname!;
const MAIN = join(import.meta.dirname!, "contenders", "main.ts");
const binaries = join(here, "..", "node_modules", ".bin");

/** What the contenders in each language can do; the C programs are one for each workload. */
const workloads: Record<Language, readonly string[]> = {
  C: [],
  Python: [
    ...["round_trip", "throughput", "datagrams", "descriptors", "connects", "accepts"],
    ...["server", "startup"],
  ],
  Rust: ["round_trip", "throughput", "datagrams", "connects"],
  Go: ["round_trip", "throughput", "connects"],
};

const addonWorkloads: Record<string, readonly string[]> = {
  "unix-dgram": ["datagrams"],
  "node-unix-socket": ["datagrams"],
  "usocket": ["round_trip", "descriptors"],
};

const runtimeFlags: Record<RuntimeName, readonly string[]> = {
  deno: ["run", "-A", "--no-check", "--v8-flags=--expose-gc"],
  bun: [],
  node: ["--no-warnings", "--expose-gc"],
};

export class Machine {
  readonly #scratch: string;
  /** Commands by language, with the workload's name to follow. */
  readonly #commands = new Map<Language, string[]>();
  /** Why a language or an addon is left out. */
  readonly missing = new Map<string, string>();
  /** Whether programs can be kept on a processor, 0 or 1. */
  readonly canPin: boolean = ["0", "1"].every((processor) =>
    attempt("taskset", ["-c", processor, "true"]) === null
  );

  constructor(scratch: string) {
    this.#scratch = scratch;
    this.#compileC();
    const version = attempt("python3", ["--version"]);
    const python = join(here, "contenders", "python", "contender.py");
    if (version === null) this.#commands.set("Python", ["python3", python]);
    else this.missing.set("Python", "no python3");
    const rust = ["-O", "--edition", "2021", "-o", join(scratch, "rust")];
    this.#compile("Rust", "rustc", [...rust, join(here, "contenders", "rust", "contender.rs")]);
    const go = ["build", "-o", join(scratch, "go")];
    this.#compile("Go", "go", [...go, join(here, "contenders", "go", "contender.go")]);
    for (const addon of Object.keys(addonWorkloads)) this.#findAddon(addon);
  }

  /** A contender in another language; null where it takes no part. */
  native(language: Language, workload: string): string[] | null {
    const command = this.#commands.get(language);
    if (command === undefined) return null;
    if (language === "C") return [join(this.#scratch, workload)];
    return workloads[language].includes(workload) ? [...command, workload] : null;
  }

  /** Whether a language has a contender for a workload, here or elsewhere. */
  has(language: Language, workload: string): boolean {
    return language === "C" || workloads[language].includes(workload);
  }

  script(runtime: RuntimeName, workload: string, api: string, program = MAIN): string[] {
    return [join(binaries, runtime), ...runtimeFlags[runtime], program, workload, api];
  }

  /** Bundles a program of the contenders' as the npm package is bundled. */
  async bundle(name: string): Promise<string> {
    const outdir = join(this.#scratch, "bundle");
    await build({
      entryPoints: [join(here, "contenders", `${name}.ts`)],
      outdir,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "es2024",
      external: ["bun:*"],
    });
    return join(outdir, `${name}.mjs`);
  }

  addon(name: string, workload: string): string[] | null {
    if (this.missing.has(name) || !addonWorkloads[name]!.includes(workload)) return null;
    const node = process.env["AFUNIX_BENCH_NODE"] ?? "node";
    const folder = `NODE_PATH=${process.env["AFUNIX_BENCH_ADDONS"]}`;
    return ["env", folder, node, join(here, "contenders", "addons.cjs"), name, workload];
  }

  peer(name: string, args: readonly string[]): string[] {
    if (this.#commands.has("C")) return [join(this.#scratch, `peer_${name}`), ...args];
    if (!this.#commands.has("Python")) throw new Error("Neither a C compiler nor python3 is here");
    return ["python3", join(here, "peers", "peers.py"), name, ...args];
  }

  describe(runtimes: readonly RuntimeName[]): Report["machine"] {
    const versions: Record<string, string> = {};
    for (const runtime of runtimes) {
      const output = execFileSync(join(binaries, runtime), ["--version"], { encoding: "utf8" });
      versions[runtime] = /\d+\.\d+\.\d+/.exec(output)![0];
    }
    const system = `Linux ${/^\d+\.\d+/.exec(release())?.[0]}`;
    return { processors: availableParallelism(), system, versions };
  }

  #compileC(): void {
    const compiler = ["cc", "gcc", "clang"].find((name) => attempt(name, ["--version"]) === null);
    if (compiler === undefined) {
      this.missing.set("C", "no C compiler");
      return;
    }
    const build = (source: string, output: string) =>
      execFileSync(compiler, ["-O2", "-o", join(this.#scratch, output), source]);
    for (const source of globSync(join(here, "contenders", "c", "*.c"))) {
      build(source, basename(source, ".c"));
    }
    for (const source of globSync(join(here, "peers", "*.c"))) {
      build(source, `peer_${basename(source, ".c")}`);
    }
    this.#commands.set("C", []);
  }

  #compile(language: Language, compiler: string, args: string[]): void {
    const problem = attempt(compiler, args);
    if (problem === null) this.#commands.set(language, [args[args.indexOf("-o") + 1]!]);
    else this.missing.set(language, problem);
  }

  #findAddon(name: string): void {
    const folder = process.env["AFUNIX_BENCH_ADDONS"];
    if (folder === undefined) this.missing.set(name, "AFUNIX_BENCH_ADDONS is not set");
    else if (!existsSync(join(folder, name))) this.missing.set(name, "not in AFUNIX_BENCH_ADDONS");
  }
}

/** Gives files the form that `npm test` wants. */
export function format(files: readonly string[]): void {
  execFileSync(join(binaries, "deno"), ["fmt", "--quiet", ...files]);
}

/** Runs a program; null where it succeeds, else what is wrong. */
function attempt(program: string, args: readonly string[]): string | null {
  const { status, error, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined) return `no ${program}`;
  return status === 0 ? null : `${program} fails: ${stderr.trim().split("\n")[0]}`;
}
