/** The quick start as a new user does it: its commands and its files, with the packed package. */

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, ROOT, run } from "./project.ts";

const TEXT = readFileSync(join(ROOT, "docs", "guides", "quick-start.md"), "utf8");

/** The programs by their names. */
const PROGRAMS = new Map(
  [...TEXT.matchAll(/^```ts\n(\/\/ (\w+\.ts)\n.*?)^```$/gms)].map(([, source, name]) =>
    [name!, source!] as const
  ),
);

/** The last comments of the client: what it prints. */
const PRINTED = /(?:^\/\/ .*\n)+$/m.exec(PROGRAMS.get("client.ts") ?? "")![0]
  .replaceAll(/^\/\/ /gm, "");

/** The shell commands under a heading: the first to install, and those that run the server and the client. */
function commands(heading: string): { install: string; server: string; client: string } {
  const section = TEXT.split(/^## /m).find((part) => part.startsWith(`${heading}\n`))!;
  const blocks = [...section.matchAll(/^```sh\n(.*?)\n```$/gms)].map(([, block]) => block!);
  const [server, client] = blocks.find((block) => block.includes("server.ts"))!.split("\n");
  return { install: blocks[0]!, server: server!, client: client! };
}

/** Installs the archive in an empty folder, by the commands under a heading. */
export function installAs(heading: string, archive: string, folder: string): void {
  const script = commands(heading).install.replaceAll(/ afunix$/gm, ` "${archive}"`);
  const env = { npm_config_offline: "true", npm_config_audit: "false", npm_config_fund: "false" };
  expect("sh", ["-ec", script], folder, env);
}

/** Runs the programs in such a folder; what is wrong, or nothing. */
export async function followQuickStart(heading: string, folder: string): Promise<string[]> {
  const { server, client } = commands(heading);
  for (const [name, source] of PROGRAMS) {
    writeFileSync(join(folder, name), source.replaceAll('"/tmp/', `"${folder}/`));
  }
  const serving = spawn("sh", ["-c", `exec ${server}`], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
  });
  let complaints = "";
  serving.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
  const ended = new Promise((resolve) => serving.on("close", resolve));
  const said = await createInterface(serving.stdout)[Symbol.asyncIterator]().next();
  const visited = said.value === "listening" ? run("sh", ["-c", client], folder) : null;
  serving.kill();
  await ended;
  if (visited?.stdout === PRINTED && visited.stderr + complaints === "") return [];
  const output = [said.value, complaints, visited?.stdout, visited?.stderr].join("");
  return [`The quick start, ${heading}: ${output}`];
}
