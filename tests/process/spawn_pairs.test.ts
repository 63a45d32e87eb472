import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Fd, UnixDatagram, UnixSeqpacket, UnixStream } from "../../mod.ts";
import { type RuntimeOptions, spawnScript, spawnWithSocket } from "../../process.ts";
import {
  assertNoFdLeak,
  bytes,
  commandFor,
  readToEnd,
  ROOT,
  RUNTIME,
  RUNTIMES,
  suiteDebugFlags,
  TestProcess,
  text,
} from "../support/mod.ts";

const program = (name: string) => join(ROOT, "tests", "programs", `${name}.ts`);
const CHILD = program("spawn_child");

/** Under which program a runtime is found here. */
function under(runtime: "deno" | "bun" | "node"): RuntimeOptions<"stream"> {
  const executable = join(ROOT, "node_modules", ".bin", runtime);
  return { runtime, executable, runtimeArgs: suiteDebugFlags(runtime) };
}

for (const runtime of RUNTIMES) {
  test(`spawnScript() starts ${runtime}, and bytes and both ends cross the socket`, async () => {
    await using child = await spawnScript(CHILD, ["echo"], under(runtime));
    assert(child.socket instanceof UnixStream);
    await child.socket.writeAll(bytes("over there"));
    child.socket.closeWrite();
    assertEquals(text(await readToEnd(child.socket)), "OVER THERE");
    assertEquals(await child.status, { success: true, code: 0, signal: null });
  });

  test(`inheritedSocket() under ${runtime} is of the class that the parent chose`, async () => {
    const { runtime: name, executable } = under(runtime);
    for (
      const [type, Class] of [["datagram", UnixDatagram], ["seqpacket", UnixSeqpacket]] as const
    ) {
      await using child = await spawnScript(CHILD, ["messages"], {
        runtime: name,
        executable,
        type,
      });
      assert(child.socket instanceof Class);
      await child.socket.send(bytes("hello"));
      using message = await child.socket.receiveMessage();
      assertEquals(text(message!.data), `${Class.name} hello`);
      assert((await child.status).success);
    }
  });

  test(`inheritedFds() under ${runtime} finds every descriptor once, and the variables are gone`, async () => {
    using log = Fd.memfd("log");
    using data = Fd.memfd("data");
    log.writeAllSync(bytes("the log"));
    data.writeAllSync(bytes("the data"));
    await using child = await spawnScript(CHILD, ["table"], {
      ...under(runtime),
      fds: { log, data, again: log },
    });
    assert(!log.closed && !data.closed);
    assertEquals(JSON.parse(text(await readToEnd(child.socket))), {
      contents: { log: "the log", data: "the data", again: "the log" },
      variables: [],
      again: true,
    });
  });

  test(`Open files go both ways over the socket of a child under ${runtime}`, async () => {
    await using child = await spawnScript(CHILD, ["exchange"], under(runtime));
    using file = Fd.memfd("file");
    file.writeAllSync(bytes("there"));
    await child.socket.sendMessage(bytes("x"), { fds: [file] });
    using message = await child.socket.receiveMessage();
    using answer = message!.fds.shift()!;
    const buffer = new Uint8Array(100);
    const count = answer.preadSync(buffer, 0)!;
    assertEquals(text(buffer.subarray(0, count)), "there, and back");
  });

  test(`inheritedSocket() under ${runtime} finds the socket behind a shell`, async () => {
    const command = commandFor(runtime, CHILD);
    const shell = ["-c", '"$@"; exit $?', "sh", ...command, "echo"];
    await using child = await spawnWithSocket("sh", shell);
    await child.socket.writeAll(bytes("through"));
    child.socket.closeWrite();
    assertEquals(text(await readToEnd(child.socket)), "THROUGH");
    assertEquals((await child.status).code, 0);
  });

  test(`A child under ${runtime} that is killed ends the parent's reading`, async () => {
    await assertNoFdLeak(async () => {
      const child = await spawnScript(CHILD, ["end"], under(runtime));
      assertEquals(await child.socket.read(new Uint8Array(10)), 5);
      assert(child.kill("SIGKILL"));
      assertEquals(await child.socket.read(new Uint8Array(10)), null);
      assertEquals(await child.status, { success: false, code: null, signal: "SIGKILL" });
      child.socket.close();
    });
  });
}

test("A parent that is killed ends the child's reading", async () => {
  await using parent = new TestProcess(commandFor(RUNTIME, program("spawn_parent")));
  await parent.waitFor("started");
  parent.kill("SIGKILL");
  // The child has the same output, which is at its end when both are gone.
  assertEquals((await parent.finished).stdout.split("\n")[1], "the end has come");
});

test("SpawnedProcess.unref() lets the parent end before its child", async () => {
  await using parent = new TestProcess(
    commandFor(RUNTIME, program("spawn_parent"), {}).concat("unref"),
  );
  const { code, stdout } = await parent.finished;
  assertEquals([code, stdout.split("\n")[1]], [0, "the child has ended"]);
});

test("inheritedSocket() under Deno without the permission says which it needs", async () => {
  const [command, ...args] = commandFor("deno", program("spawn_without_permission"), {
    allowAll: false,
  });
  await using child = await spawnWithSocket(command!, args, { stdout: "pipe" });
  assertEquals(
    await new Response(child.stdout).text(),
    "Cannot take what was inherited: EACCES (needs --allow-env=AFUNIX_SOCKET_FD,AFUNIX_FDS)\n",
  );
});

test("spawnScript() completes the caller's permissions for Deno", async () => {
  const { executable } = under("deno");
  for (
    const runtimeArgs of [
      ["-A"],
      ["-qA"],
      ["--allow-env=HOME"],
      ["-E=HOME"],
      ["-RE=HOME"],
      ["-E"],
      ["-RE"],
      ["-ER"],
      ["--allow-ffi", "--allow-read=/"],
    ]
  ) {
    await using child = await spawnScript(`file://${CHILD}`, ["echo"], {
      runtime: "deno",
      executable,
      runtimeArgs,
    });
    child.socket.closeWrite();
    assertEquals([runtimeArgs, (await child.status).code], [runtimeArgs, 0]);
  }
});
