import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { test } from "node:test";
import { type Fd, UnixListener } from "../../mod.ts";
import { Doorbell, SharedMemory } from "../../shm.ts";
import { acceptFrom, digest, pattern, Peer, python } from "../support/interop.ts";
import {
  assertFails,
  bytes,
  commandFor,
  ROOT,
  RUNTIME,
  type RuntimeName,
  RUNTIMES,
  text,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";
import { held } from "../support/passing.ts";
import { ADDITIONS, BODY, COMMAND, COMMANDS, COUNTER, invert } from "../support/shared_memory.ts";

const SIZE = 3_000_001;

/** Runs a body, and asserts that it leaves no memory open; what else belongs to child processes. */
async function leavesNoMemory(body: () => Promise<void>): Promise<void> {
  const files = () => held().filter((target) => target.startsWith("/memfd:"));
  const before = files();
  await body();
  assertEquals(files(), before);
}

interface Shared {
  memory: SharedMemory;
  words: Int32Array;
  /** Asks the other to do something, and waits until it is done. */
  ask(command: number, meanwhile?: () => void): Promise<void>;
}

/** Runs a body with memory that a program under another runtime has mapped. */
function withPeer(runtime: RuntimeName, body: (shared: Shared) => Promise<void>): Promise<void> {
  const program = join(ROOT, "tests/programs/shm_peer.ts");
  return leavesNoMemory(() =>
    withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using peer = new Peer([...commandFor(runtime, program, { allowAll: false }), path]);
      using stream = await acceptFrom(peer, listener);
      using memory = SharedMemory.create(SIZE);
      using asking = Doorbell.create();
      using done = Doorbell.create();
      await stream.sendMessage(new Uint8Array(1), { fds: [memory, asking, done] });
      const words = new Int32Array(memory.buffer, 0, 2);
      const gone = new AbortController();
      peer.finished.finally(() => gone.abort(new Error(`The peer is gone: ${peer.stderr}`)));
      await body({
        memory,
        words,
        async ask(command, meanwhile) {
          Atomics.store(words, COMMAND, command);
          asking.notify();
          meanwhile?.();
          assertEquals(await done.wait({ signal: gone.signal }), 1);
        },
      });
      Atomics.store(words, COMMAND, COMMANDS.end);
      asking.notify();
      assertEquals(await peer.succeeded(), "0\n");
    })
  );
}

for (const other of RUNTIMES) {
  test(`SharedMemory of ${RUNTIME} shows ${other} the same bytes, and what it changes`, () =>
    withPeer(other, async ({ memory, ask }) => {
      const body = memory.bytes.subarray(BODY);
      body.set(pattern(body.length, 7));
      await ask(COMMANDS.invert);
      const expected = pattern(body.length, 7);
      invert(expected);
      assertEquals(digest(body), digest(expected));
      await ask(COMMANDS.invert);
      assertEquals(digest(body), digest(pattern(body.length, 7)));
    }));

  test(`Atomics over SharedMemory lose no addition of ${RUNTIME} and ${other} at once`, () =>
    withPeer(other, async ({ words, ask }) => {
      await ask(COMMANDS.count, () => {
        for (let i = 0; i < ADDITIONS; i++) Atomics.add(words, COUNTER, 1);
      });
      assertEquals(Atomics.load(words, COUNTER), 2 * ADDITIONS);
    }));
}

test(
  "SharedMemory outlives the process that made it",
  { skip: unlessProgram("python3") },
  () =>
    leavesNoMemory(() =>
      withTempSocketPath(async (path) => {
        using listener = UnixListener.listen(path);
        await using peer = python(
          `
          import fcntl
          fd = os.memfd_create("theirs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
          os.write(fd, b"made by Python")
          fcntl.fcntl(fd, 1033, 2)
          client = connected(args[0])
          socket.send_fds(client, [b"x"], [fd])
        `,
          [path],
        );
        using stream = await acceptFrom(peer, listener);
        using message = await stream.receiveMessage({ maxFds: 1 });
        using memory = SharedMemory.map(message!.fds[0]!);
        await peer.succeeded();
        assertEquals(text(memory.bytes.slice()), "made by Python");
        memory.bytes.set(bytes("MADE"));
        assertEquals(text(memory.bytes.slice()), "MADE by Python");
      })
    ),
);

test(
  "SharedMemory and Doorbell are what Python's mmap and eventfd work with",
  { skip: unlessProgram("python3") },
  () =>
    leavesNoMemory(() =>
      withTempSocketPath(async (path) => {
        using listener = UnixListener.listen(path);
        await using peer = python(
          `
            import mmap
            client = connected(args[0])
            _, (fd, asking, done), _, _ = socket.recv_fds(client, 1, 3)
            memory = mmap.mmap(fd, 0)
            select.select([asking], [], [])
            say(os.eventfd_read(asking), memory[:5].decode(), len(memory))
            memory[-5:] = b"there"
            os.eventfd_write(done, 3)
          `,
          [path],
        );
        using stream = await acceptFrom(peer, listener);
        using memory = SharedMemory.create(10_000);
        using asking = Doorbell.create();
        using done = Doorbell.create();
        await stream.sendMessage(new Uint8Array(1), { fds: [memory, asking, done] });
        memory.bytes.set(bytes("hello"));
        asking.notify();
        assertEquals(await peer.line(), "1 hello 10000");
        assertEquals(await done.wait(), 3);
        assertEquals(text(memory.bytes.slice(-5)), "there");
        await peer.succeeded();
      })
    ),
);

test(
  "SharedMemory.map() refuses what a peer could make shorter under it",
  { skip: unlessProgram("python3") },
  () =>
    withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      await using peer = python(
        `
          fd = os.memfd_create("theirs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
          os.write(fd, bytes(8192))
          client = connected(args[0])
          socket.send_fds(client, [b"x"], [fd])
          hear()
          os.ftruncate(fd, 0)
        `,
        [path],
      );
      using stream = await acceptFrom(peer, listener);
      using message = await stream.receiveMessage({ maxFds: 1 });
      const fd: Fd = message!.fds[0]!;
      await assertFails(() => SharedMemory.map(fd), "EPERM", "fcntl");
      // What is sealed by the receiver is as good.
      fd.addSeals({ shrink: true });
      using memory = SharedMemory.map(fd);
      peer.tell();
      const { code, stderr } = await peer.finished;
      assertEquals(code, 1);
      assert(stderr.includes("Operation not permitted"), stderr);
      assertEquals(memory.bytes[8191], 0);
    }),
);
