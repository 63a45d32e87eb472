/**
 * `npm run test:systemd -- [deno|bun|node …]`: `afunix/systemd` under a real systemd, which runs as
 * process 1 of namespaces of its own: activation by sockets of three types, `Type=notify`, reloading,
 * descriptors that are stored over a restart and a crash, the watchdog. Linux, root, systemd and
 * util-linux.
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { UnixDatagram, UnixSeqpacket, UnixStream } from "../mod.ts";
import { JsonChannel, LineFraming } from "../framing.ts";

const ROOT = join(import.meta.dirname!, "..");
const WATCHDOG_SECONDS = 1;
const PATIENCE = 30_000;

const COMMANDS: Record<string, readonly string[]> = {
  deno: ["run", "--no-check", "--quiet", "--allow-ffi", "--allow-env"],
  bun: [],
  node: ["--disable-warning=ExperimentalWarning"],
};

/** What the service tells of itself. */
interface About {
  pid: number;
  runtime: string;
  passed: string[];
  left: string[];
  watchdog: number;
  before: number;
}

function units(folder: string, runtimes: readonly string[]): void {
  const put = (name: string, text: string) => writeFileSync(join(folder, "units", name), text);
  const plain = "[Unit]\nDefaultDependencies=no\n";
  for (const runtime of runtimes) {
    const binary = join(ROOT, "node_modules", ".bin", runtime);
    const words = [binary, ...COMMANDS[runtime]!, join(ROOT, "scripts/systemd/service.ts")];
    put(
      `${runtime}.service`,
      `${plain}StartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart=${words.join(" ")}\n` +
        `Environment=NO_COLOR=1 DENO_DIR=${folder}/deno\nWatchdogSec=${WATCHDOG_SECONDS}\n` +
        "WatchdogSignal=SIGKILL\nFileDescriptorStoreMax=8\nRestart=on-failure\nRestartSec=0\n" +
        `Sockets=${runtime}-lines.socket ${runtime}-records.socket ${runtime}-datagrams.socket\n` +
        `StandardError=append:${folder}/${runtime}.log\nLimitCORE=0\n`,
    );
    const sockets = { lines: "Stream", records: "SequentialPacket", datagrams: "Datagram" };
    for (const [name, type] of Object.entries(sockets)) {
      put(
        `${runtime}-${name}.socket`,
        `${plain}[Socket]\nListen${type}=${folder}/${runtime}-${name}.sock\nSocketMode=0600\n` +
          `FileDescriptorName=${name}\nService=${runtime}.service\n`,
      );
    }
  }
  const wanted = runtimes.flatMap((runtime) =>
    ["lines", "records", "datagrams"].map((name) => `${runtime}-${name}.socket`)
  ).join(" ");
  put("trial.target", `${plain}Wants=${wanted}\nAfter=${wanted}\n`);
}

/** A systemd that has booted. */
class Manager implements AsyncDisposable {
  readonly #booting: ChildProcess;
  readonly #folder: string;
  #pid = 0;
  log = "";

  constructor(folder: string) {
    this.#folder = folder;
    this.#booting = spawn("sh", [join(ROOT, "scripts/systemd/boot.sh"), folder], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#booting.stdout!, this.#booting.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => this.log += text);
    }
  }

  /** Waits until the target is reached. */
  async booted(): Promise<void> {
    await until("systemd boots", () => {
      if (this.#booting.exitCode !== null) throw new Error(`systemd has ended: ${this.log}`);
      const children = `/proc/${this.#booting.pid}/task/${this.#booting.pid}/children`;
      this.#pid = Number(readFileSync(children, "utf8").split(" ")[0]);
      return this.#pid > 0 && this.show("trial.target", "ActiveState") === "active";
    });
  }

  control(...args: string[]): string {
    const { stdout, stderr, status } = spawnSync("nsenter", [
      ...["--target", String(this.#pid), "--mount", "--pid", "--cgroup", "systemctl", "--no-pager"],
      ...args,
    ], { encoding: "utf8", env: { ...process.env, SYSTEMD_COLORS: "0" } });
    return status === 0 ? stdout.trim() : `failed: ${stdout}${stderr}`;
  }

  show(unit: string, property: string): string {
    return this.control("show", "--value", "--property", property, unit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#booting.once("close", resolve));
    // The namespace of processes ends with its first one.
    if (this.#pid > 0) process.kill(this.#pid, "SIGKILL");
    else this.#booting.kill("SIGKILL");
    await ended;
    // The control group is empty now, and seen from here through a mount of its own.
    const name = basename(this.#folder);
    const cgroup = join(this.#folder, "cgroup");
    spawnSync("unshare", [
      "--mount",
      "sh",
      "-c",
      `mount -t cgroup2 none "$0" && find "$0/$1" -depth -type d -exec rmdir {} +`,
      cgroup,
      name,
    ]);
    rmdirSync(cgroup);
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`It does not come to pass that ${what}`);
    await pause(20);
  }
}

function expect(found: unknown, wanted: unknown, what: string): void {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`${what}: ${one} instead of ${other}`);
}

/** Everything with one runtime. */
async function trial(manager: Manager, folder: string, runtime: string): Promise<void> {
  const unit = `${runtime}.service`;
  const show = (property: string) => manager.show(unit, property);
  const step = (text: string) => console.log(`  ✓ ${text}`);
  const path = (name: string) => join(folder, `${runtime}-${name}.sock`);
  expect(show("ActiveState"), "inactive", "the state before the first connection");

  using client = new JsonChannel(new LineFraming(await UnixStream.connect(path("lines"))));
  const ask = async (what: string) => {
    await client.send(what);
    return await client.receive();
  };
  const first = await ask("about") as About;
  expect(first.runtime, runtime, "the runtime");
  const sockets = ["datagrams datagram", "lines stream-listener", "records seqpacket-listener"];
  expect(first.passed.toSorted(), sockets, "what is passed");
  expect(first.left, [], "what is left of the variables");
  expect(first.watchdog, WATCHDOG_SECONDS * 1000, "the watchdog's interval");
  await until("the service is active", () => show("ActiveState") === "active");
  expect(show("StatusText"), "start 0", "the status");
  step("started by the first connection, with its three sockets, and ready");

  using records = await UnixSeqpacket.connect(path("records"));
  const record = await records.receive();
  expect(new TextDecoder().decode(record!.data), `records of ${first.pid}`, "a record");
  using datagrams = UnixDatagram.bind({ kind: "unnamed" }).connect(path("datagrams"));
  await datagrams.send(Uint8Array.of(1, 2, 3));
  expect((await datagrams.receive()).data.length, 3, "a datagram");
  step("seqpackets and datagrams are served on the same manager's sockets");

  expect(await ask("reload"), "reloading", "reloading");
  expect(show("ActiveState"), "reloading", "the state while it reloads");
  expect(await ask("ready"), true, "the barrier");
  expect([show("ActiveState"), show("StatusText")], ["active", "again"], "the state after it");
  step("reloading and ready again, each seen once the barrier was passed");

  expect(await ask("store"), true, "storing");
  await until("two descriptors are stored", () => show("NFileDescriptorStore") === "2");
  manager.control("restart", unit);
  const second = await ask("about") as About;
  expect([second.pid !== first.pid, second.before], [true, 1], "the second instance");
  expect(second.passed.toSorted(), ["client stream", "counter other", ...sockets], "what it got");
  step("over a restart the client stays connected, and the counter counts");

  manager.control("kill", "--signal=KILL", unit);
  const third = await ask("about") as About;
  expect([third.pid !== second.pid, third.before], [true, 2], "the third instance");
  expect(show("NRestarts"), "1", "how often it was restarted");
  step("over a SIGKILL as well");

  await pause(4000 * WATCHDOG_SECONDS);
  expect(
    [(await ask("about") as About).pid, show("NRestarts")],
    [third.pid, "1"],
    "a living service",
  );
  await client.send("hang");
  await until("the watchdog restarts it", () => show("NRestarts") === "2");
  // What hung was cut off in the middle of its answer: the next instance gets the next question.
  const fourth = await ask("about") as About;
  expect([fourth.pid !== third.pid, fourth.before], [true, 3], "the fourth instance");
  step(`the watchdog leaves it alone for ${4 * WATCHDOG_SECONDS} s, and ends it when it hangs`);

  manager.control("stop", unit);
  expect([show("ActiveState"), show("Result")], ["inactive", "success"], "the state at the end");
  expect(existsSync(path("lines")), true, "whether the path is there");
  using again = new JsonChannel(new LineFraming(await UnixStream.connect(path("lines"))));
  await again.send("about");
  expect(((await again.receive()) as About).before, 0, "the instances before, once it was stopped");
  manager.control("stop", unit);
  const log = join(folder, `${runtime}.log`);
  expect(existsSync(log) ? readFileSync(log, "utf8") : "", "", "what it complained of");
  step("stopped, and started again by the next connection");
}

async function main(): Promise<void> {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((name) => !Object.hasOwn(COMMANDS, name));
  if (unknown !== undefined) throw new Error(`There is no runtime ${unknown}`);
  if (process.getuid!() !== 0) throw new Error("Namespaces with a systemd need root");
  const runtimes = chosen.length > 0 ? chosen : Object.keys(COMMANDS);
  const folder = mkdtempSync(join(tmpdir(), "afunix-systemd-"));
  for (const name of ["units", "cgroup"]) mkdirSync(join(folder, name));
  units(folder, runtimes);
  try {
    await using manager = new Manager(folder);
    await manager.booted();
    const [version] = manager.control("--version").split("\n");
    for (const runtime of runtimes) {
      console.log(`${runtime} under ${version}`);
      await trial(manager, folder, runtime).catch((error) => {
        console.error(manager.log);
        throw error;
      });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
