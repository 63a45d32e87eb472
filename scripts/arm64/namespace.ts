/**
 * A place in which programs for aarch64 run as if the machine were one: a mount namespace, and a user
 * namespace with a `binfmt_misc` of its own. Nothing outside of it changes, and it is gone with its processes.
 *
 * In it the kernel starts a program for aarch64 under QEMU wherever it is started from, and the programs of the
 * runtimes are hidden by those for aarch64, mounted over them. So `process.execPath`, `node_modules/.bin` and the
 * child processes of the tests need no arrangement.
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import type { Duplex } from "node:stream";
import { join } from "node:path";

/** The start of an ELF file: 64 bits, little-endian, any system's ABI, executable or shared, EM_AARCH64. */
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const mask = String
  .raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

/** The name under which QEMU is registered. */
const entry = "afunix-aarch64";

/** With this code the script says that the place could not be built. */
const cannotBuild = 97;

const help = `To run programs for aarch64, this needs one of
  Linux 6.7 or later, where a user namespace may have a binfmt_misc of its own;
  root, to register QEMU for the whole machine as long as the tests run`;

/** What is in the place. */
export interface Place {
  /** A folder for the place's own files, which stays. */
  folder: string;
  /** The absolute path of QEMU. */
  emulator: string;
  /** The folder with the libraries for aarch64. */
  libraries: string;
  /** The real path of a program, and that of the one for aarch64 that hides it. */
  hides: readonly (readonly [hidden: string, by: string])[];
  /** Other programs to find first in PATH: the name, and the path. */
  first: readonly (readonly [name: string, path: string])[];
}

/**
 * Runs a script in that place under this process's own Node.js, and returns its exit code. Throws an Error that
 * says what is needed where the place cannot be built.
 *
 * @param env the variables to set, by whether there is a user namespace
 */
export async function runInPlace(
  place: Place,
  args: readonly string[],
  env: (alone: boolean) => Record<string, string>,
): Promise<number> {
  const programs = join(place.folder, "bin");
  const path = `${programs}:${process.env["PATH"]}`;
  const variables = (alone: boolean) => ({ ...process.env, ...env(alone), PATH: path });
  const command = ["sh", "-c", writeFiles(place, programs), "sh", ...args];
  const alone = await runUnshared(["--user", "--keep-caps"], command, variables(true));
  if (alone !== undefined) return alone;
  if (process.getuid!() !== 0) throw new Error(help);
  console.log("Registering QEMU for the whole machine as long as the tests run");
  try {
    const shared = await runUnshared([], command, variables(false));
    if (shared !== undefined) return shared;
    throw new Error(help);
  } finally {
    const remove = `mount -t binfmt_misc none ${quoted(join(place.folder, "binfmt"))} &&
      echo -1 > ${quoted(join(place.folder, "binfmt", entry))}`;
    spawnSync("unshare", ["--mount", "sh", "-c", remove], { stdio: "ignore" });
  }
}

/** Writes what the place needs into its folder, and returns the shell script that builds it and goes in. */
function writeFiles(
  { folder, emulator, libraries, hides, first }: Place,
  programs: string,
): string {
  rmSync(programs, { recursive: true, force: true });
  mkdirSync(programs, { recursive: true });
  for (const [name, path] of first) symlinkSync(path, join(programs, name));
  const mountPoint = join(folder, "binfmt");
  mkdirSync(mountPoint, { recursive: true });
  const ownNode = join(folder, "native-node");
  writeFileSync(ownNode, "");
  // The kernel adds the path of this file, which "-U" takes for a variable that is not there, and then the
  // program and its arguments. A shell would add variables to an environment that a test has emptied.
  const interpreter = join(folder, "interpreter");
  writeFileSync(interpreter, `#!/usr/bin/env -S ${emulator} -L ${libraries} -U\n`);
  chmodSync(interpreter, 0o755);

  const registration = `|${entry}|M||${magic}|${mask}|${interpreter}|`;
  const steps = [
    `mount -t binfmt_misc none ${quoted(mountPoint)}`,
    `{ test ! -e ${quoted(join(mountPoint, entry))} ||
      echo -1 > ${quoted(join(mountPoint, entry))}; }`,
    `printf %s ${quoted(registration)} > ${quoted(join(mountPoint, "register"))}`,
    `mount --bind ${quoted(process.execPath)} ${quoted(ownNode)}`,
    ...hides.map(([hidden, by]) => `mount --bind ${quoted(by)} ${quoted(hidden)}`),
  ];
  return `echo inside >&3; read go <&3; exec 3>&-
    { ${steps.join(" && ")}; } || exit ${cannotBuild}
    exec ${runAs()} ${quoted(ownNode)} "$@"`;
}

/** The command that runs another as this process's user, without the privileges that building the place took. */
function runAs(): string {
  const [uid, gid] = [process.getuid!(), process.getgid!()];
  return uid === 0
    ? "setpriv --inh-caps=-all --ambient-caps=-all"
    : `unshare --user --map-user=${uid} --map-group=${gid}`;
}

/** Undefined if the place cannot be built with these flags of unshare(1). */
async function runUnshared(
  flags: readonly string[],
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number | undefined> {
  const child = spawn("unshare", [...flags, "--mount", "--propagation=private", ...command], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env,
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const passOn = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of signals) process.on(signal, passOn);
  const exit = once(child, "exit");
  try {
    if (!await letIn(child, flags.includes("--user"))) return undefined;
    const [code, signal] = await exit;
    if (code === cannotBuild) return undefined;
    return code ?? (signal === "SIGINT" ? 130 : 143);
  } finally {
    for (const signal of signals) process.off(signal, passOn);
  }
}

/** Waits until the shell is in its namespaces, maps the users there if it has to, and lets it go on. */
async function letIn(child: ChildProcess, mapUsers: boolean): Promise<boolean> {
  const pipe = child.stdio[3] as Duplex;
  pipe.on("error", () => {});
  const inside = await Promise.race([
    once(pipe, "data").then(() => true),
    once(child, "exit").then(() => false),
  ]);
  if (!inside) return false;
  try {
    if (mapUsers) mapIds(child.pid!);
  } catch {
    child.kill("SIGKILL");
    return false;
  }
  pipe.write("go\n");
  return true;
}

/**
 * Gives everybody the number that they have outside. Who is not root is root in there, to whom the files of
 * `binfmt_misc` belong, and comes back to their own number by one more namespace, in `runAs`.
 */
function mapIds(pid: number): void {
  const isRoot = process.getuid!() === 0;
  const all = `0 0 ${0xffffffff}`;
  const [uid, gid] = [process.getuid!(), process.getgid!()];
  if (!isRoot) writeFileSync(`/proc/${pid}/setgroups`, "deny");
  writeFileSync(`/proc/${pid}/uid_map`, isRoot ? all : `0 ${uid} 1`);
  writeFileSync(`/proc/${pid}/gid_map`, isRoot ? all : `0 ${gid} 1`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
