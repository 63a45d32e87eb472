/** The quick start as a new user does it: its commands, its files, in empty folders. */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "./project.ts";
import { Registry } from "./registry.ts";

const TEXT = join(ROOT, "docs", "guides", "quick-start.md");

/** Milliseconds for one command. */
const PATIENCE = 120_000;

/** One way through the text: how to install, and the two programs as commands. */
interface Way {
  runtime: string;
  install: string;
  server: string;
  client: string;
}

interface QuickStart {
  ways: Way[];
  /** The programs by their names. */
  files: Map<string, string>;
  /** What the client prints. */
  printed: string;
}

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Follows every way of the text with the packed package; what is wrong with it, or nothing. */
export async function followQuickStart(archive: string): Promise<string[]> {
  const { ways, files, printed } = read(readFileSync(TEXT, "utf8"));
  const findings: string[] = [];
  const directory = mkdtempSync(join(tmpdir(), "afunix-newcomer-"));
  try {
    await using registry = await Registry.start(archive);
    const env = { ...process.env, ...registry.environment(join(directory, "caches")) };
    for (const [index, way] of ways.entries()) {
      const folder = join(directory, String(index));
      mkdirSync(folder);
      const start = performance.now();
      const found = await follow(way, files, folder, env);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const { runtime, install } = way;
      if (found === printed) console.log(`Quick start, ${runtime}, ${install}: ${seconds} s`);
      else findings.push(`The quick start with ${install} (${runtime}) prints: ${found}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return findings;
}

/** Finds the programs, and under the name of each runtime its commands. */
function read(text: string): QuickStart {
  const files = new Map<string, string>();
  const ways: Way[] = [];
  for (const part of text.split(/^## /m)) {
    const runtime = part.slice(0, part.indexOf("\n"));
    for (const [, source, name] of part.matchAll(/^```ts\n(\/\/ (\w+\.ts)\n.*?)^```$/gms)) {
      files.set(name!, source!);
    }
    const blocks = [...part.matchAll(/^```sh\n(.*?)\n```$/gms)].map(([, block]) => block!);
    const commands = blocks.find((block) => block.includes("server.ts"))?.split("\n");
    if (commands === undefined) continue;
    const [server = "", client = ""] = commands;
    for (const install of blocks.filter((block) => !block.includes("server.ts"))) {
      ways.push({ runtime, install: install.replaceAll("\n", " && "), server, client });
    }
  }
  const lines = (files.get("client.ts") ?? "").trimEnd().split("\n");
  const printed = lines.slice(lines.findLastIndex((line) => !line.startsWith("// ")) + 1)
    .map((line) => `${line.slice(3)}\n`).join("");
  if (ways.length < 4 || !files.has("server.ts") || printed === "") {
    throw new Error("The quick start has no longer the programs and commands that it had");
  }
  return { ways, files, printed };
}

/** Does what the text says; what the client printed, or what went wrong. */
async function follow(
  { install, server, client }: Way,
  files: ReadonlyMap<string, string>,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const installed = await sh(install, cwd, env);
  if (installed.status !== 0) return `${installed.stdout}${installed.stderr}`;
  for (const [name, source] of files) {
    writeFileSync(join(cwd, name), source.replaceAll('"/tmp/', `"${cwd}/`));
  }
  const serving = spawn("sh", ["-c", `exec ${server}`], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE,
  });
  const ended = new Promise((resolve) => serving.on("close", resolve));
  let said = "";
  let complained = "";
  serving.stderr.setEncoding("utf8").on("data", (text: string) => complained += text);
  const listens = new Promise<boolean>((resolve) => {
    serving.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("listening\n")) resolve(true);
    });
    ended.then(() => resolve(false));
  });
  const run = await listens ? await sh(client, cwd, env) : null;
  serving.kill();
  await ended;
  if (run?.status === 0 && run.stderr === "" && complained === "") return run.stdout;
  return [said, complained, run?.stdout, run?.stderr].join("");
}

/** A shell line to its end; the registry answers meanwhile. */
async function sh(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawn("sh", ["-ec", script], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE,
  });
  const ended = { status: null as number | null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => ended.stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => ended.stderr += text);
  ended.status = await new Promise((resolve) => child.on("close", resolve));
  return ended;
}
