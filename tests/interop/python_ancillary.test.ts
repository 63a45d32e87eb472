import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Fd } from "../../mod.ts";
import { readExactly } from "../support/interop.ts";
import { assertFails, bytes, text, unlessProgram } from "../support/mod.ts";
import {
  contentsOf,
  filesOf,
  KINDS,
  numbers,
  receiveFrom,
  withPython,
} from "../support/python_messages.ts";

const options = { skip: unlessProgram("python3") };

/** The flag of fdinfo for close-on-exec, O_CLOEXEC. */
const CLOSE_ON_EXEC = 0o2000000;

function isCloseOnExec({ fd }: { fd: number }): boolean {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  return (Number.parseInt(/^flags:\s*(\d+)/m.exec(info)![1]!, 8) & CLOSE_ON_EXEC) !== 0;
}

for (const kind of KINDS) {
  for (const count of [1, 10, 253]) {
    test(
      `G131 ${kind}.sendMessage() gives Python's recv_fds() ${count} descriptors in their order`,
      options,
      async () => {
        const script = `
          connect()
          data, fds, flags, _ = socket.recv_fds(peer, 64, 253)
          tell([data.decode(), flags, [contents(fd) for fd in fds]])
        `;
        await withPython(kind, script, async ({ socket, peer, prefix }) => {
          const files = filesOf(prefix, numbers(count));
          assertEquals(await socket.sendMessage(bytes("files"), { fds: files }), 5);
          assertEquals(await peer.json(), ["files", 0, numbers(count)]);
          assertEquals(contentsOf(files), numbers(count));
          for (const file of files) file.close();
        });
      },
    );

    test(
      `G131 ${kind}.receiveMessage() takes ${count} descriptors of Python's send_fds() in their order`,
      options,
      async () => {
        const script = `
          connect()
          fds = [file(str(number)) for number in range(int(args[0]))]
          socket.send_fds(peer, [b"files"], fds)
        `;
        const args = [count];
        await withPython(kind, script, async ({ socket }) => {
          using message = await receiveFrom(socket);
          assertEquals([text(message.data), message.controlTruncated], ["files", false]);
          assertEquals(contentsOf(message.fds), numbers(count));
          assertEquals(message.fds.filter((fd) => !isCloseOnExec(fd)), []);
          assertEquals([message.credentials, message.pidfd], [null, null]);
        }, { args });
      },
    );
  }

  test(
    `G130 ${kind} and Python share the position in a file that one sends to the other`,
    options,
    async () => {
      const script = `
        connect()
        _, [fd], _, _ = socket.recv_fds(peer, 64, 1)
        tell(os.read(fd, 4).decode())
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"from Python")
        os.lseek(fd, 5, os.SEEK_SET)
        socket.send_fds(peer, [b"back"], [fd])
      `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        const [file] = filesOf(prefix, ["from us"]);
        await socket.sendMessage(bytes("there"), { fds: [file!] });
        assertEquals(await peer.json(), "from");
        using message = await receiveFrom(socket);
        const buffer = new Uint8Array(64);
        for (const each of [message.fds[0]!, file!]) {
          assertEquals(contentsOf([each]), ["from Python"]);
          assertEquals(each.seek(0, "current"), 5);
        }
        assertEquals(await message.fds[0]!.read(buffer), 6);
        assertEquals(file!.seek(0, "current"), 11);
        file!.close();
      });
    },
  );

  test(
    `G133 ${kind}.receiveMessage() takes the descriptors of several SCM_RIGHTS of Python as one array`,
    options,
    async () => {
      const script = `
        connect()
        fds = [file(str(number)) for number in range(6)]
        send(b"two", (RIGHTS, ints(*fds[:2])), (RIGHTS, ints(*fds[2:5])))
        send(b"gap", (RIGHTS, ints(fds[0])), (RIGHTS, ints()), (RIGHTS, ints(fds[5])))
        tell("sent")
      `;
      await withPython(kind, script, async ({ socket, peer }) => {
        await peer.line();
        for (const [data, expected] of [["two", numbers(5)], ["gap", ["0", "5"]]]) {
          using message = await receiveFrom(socket);
          assertEquals([text(message.data), message.controlTruncated], [data, false]);
          assertEquals(contentsOf(message.fds), expected);
        }
      });
    },
  );

  test(
    `G134 ${kind}.receiveMessage() takes the data of a Python message with an empty SCM_RIGHTS`,
    options,
    async () => {
      const script = `
        connect()
        send(b"empty", (RIGHTS, ints()))
        socket.send_fds(peer, [b"none"], [])
        send(b"one", (RIGHTS, ints(file("one"))))
        tell("sent")
      `;
      await withPython(kind, script, async ({ socket, peer }) => {
        await peer.line();
        // Nothing keeps the bytes of messages without descriptors apart on a stream.
        const expected = kind === "UnixStream" ? ["emptynoneone"] : ["empty", "none", "one"];
        for (const data of expected) {
          using message = await receiveFrom(socket);
          assertEquals([text(message.data), message.controlTruncated], [data, false]);
          assertEquals(contentsOf(message.fds), data === expected.at(-1) ? ["one"] : []);
        }
      });
    },
  );

  for (
    const [room, size, taken] of [
      ["no room", "0", 0],
      ["room for one descriptor, unpadded", "socket.CMSG_LEN(4)", 1],
      ["room for one descriptor, which padded is that of two", "socket.CMSG_SPACE(4)", 2],
      ["room for three descriptors, unpadded", "socket.CMSG_LEN(12)", 3],
    ] as const
  ) {
    test(
      `G137 ${kind}.sendMessage() of three descriptors gives Python ${taken} where it has ${room}`,
      options,
      async () => {
        const script = `
          connect()
          data, flags, controls = receive(${size})
          taken = descriptors(controls)
          tell([data.decode(), bool(flags & socket.MSG_CTRUNC), len(taken)])
          for number, fd in enumerate(taken):
              os.write(fd, str(number).encode())
              os.close(fd)
        `;
        await withPython(kind, script, async ({ socket, peer }) => {
          const pipes = [Fd.pipe(), Fd.pipe(), Fd.pipe()];
          const writers = pipes.map(([, writer]) => writer);
          await socket.sendMessage(bytes("three"), { fds: writers, transfer: true });
          assertEquals(writers.map(({ closed }) => closed), [true, true, true]);
          assertEquals(await peer.json(), ["three", taken < 3, taken]);
          for (const [number, [reader]] of pipes.entries()) {
            const read = text(await readExactly(reader, 2));
            assertEquals(read, number < taken ? `${number}` : "");
            reader.close();
          }
        });
      },
    );
  }

  test(
    `G139 ${kind}.receiveMessage() closes what Python sent beyond maxFds, and has room for all without it`,
    options,
    async () => {
      const script = `
        connect()
        pipes = [os.pipe() for _ in range(3)]
        for message in [b"all of them", b"at most one"]:
            send(message, (RIGHTS, ints(*[writer for _, writer in pipes])))
            hear()
        for _, writer in pipes: os.close(writer)
        read = []
        for reader, _ in pipes:
            with open(reader, "rb") as pipe: read.append(pipe.read().decode())
        tell(read)
      `;
      await withPython(kind, script, async ({ socket, peer }) => {
        {
          using message = await receiveFrom(socket);
          assertEquals([message.fds.length, message.controlTruncated], [3, false]);
          peer.tell();
        }
        {
          using message = (await socket.receiveMessage({ maxFds: 1 }))!;
          assertEquals([message.fds.length, message.controlTruncated], [1, true]);
          await message.fds[0]!.writeAll(bytes("first"));
          peer.tell();
        }
        assertEquals(await peer.json(), ["first", "", ""]);
      });
    },
  );

  test(
    `G149 ${kind}.sendMessage() gives Python new descriptors for each of its peeks`,
    options,
    async () => {
      const script = `
        connect()
        taken = [descriptors(receive(ROOM, socket.MSG_PEEK)[2]) for _ in range(3)]
        taken.append(descriptors(receive()[2]))
        numbers = [fd for fds in taken for fd in fds]
        tell([len(set(numbers)), [contents(fd) for fd in numbers]])
      `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        const fds = filesOf(prefix, ["a", "b"]);
        await socket.sendMessage(bytes("x"), { fds, transfer: true });
        assertEquals(await peer.json(), [8, ["a", "b", "a", "b", "a", "b", "a", "b"]]);
      });
    },
  );

  test(
    `G155 ${kind}.receiveMessage() takes descriptors of a Python that has ended since`,
    options,
    async () => {
      const script = `
        connect()
        for number in range(2): socket.send_fds(peer, [b"last words"], [file(str(number))])
        os._exit(0)
      `;
      await withPython(kind, script, async ({ socket, peer }) => {
        await peer.finished;
        for (const number of numbers(2)) {
          using message = await receiveFrom(socket);
          assertEquals(text(message.data), "last words");
          assertEquals(contentsOf(message.fds), [number]);
        }
        if (kind !== "UnixDatagram") assertEquals(await socket.receiveMessage(), null);
      });
    },
  );

  test(
    `G136 ${kind}.sendMessage() of a descriptor that is not open sends Python nothing`,
    options,
    async () => {
      const script = `
        connect()
        data, _, controls = receive()
        tell([data.decode(), [contents(fd) for fd in descriptors(controls)]])
      `;
      await withPython(kind, script, async ({ socket, peer, prefix }) => {
        const [good, gone] = filesOf(prefix, ["good", "gone"]);
        const number = gone!.fd;
        gone!.close();
        const fds = [good!, number];
        await assertFails(() => socket.sendMessage(bytes("bad"), { fds }), "EBADF", "sendmsg");
        await socket.sendMessage(bytes("good"), { fds: [good!] });
        assertEquals(await peer.json(), ["good", ["good"]]);
        good!.close();
      });
    },
  );
}
