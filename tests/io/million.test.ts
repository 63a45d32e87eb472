import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import process from "node:process";
import { assertEquals } from "@std/assert";
import { SendBatch, UnixDatagram } from "../../mod.ts";
import { sockets } from "../../ffi/mod.ts";
import { withoutDebugging } from "../support/debug.ts";
import { Peer } from "../support/interop.ts";
import { commandFor, RUNTIME, RUNTIMES, withTempSocketPath } from "../support/mod.ts";
import { program } from "../support/streams.ts";
import { until } from "../support/waiting.ts";

// Debug mode looks at every message of a batch before each call: a million times takes too long.
withoutDebugging();

const TOTAL = 1_000_000;
const other = RUNTIMES[(RUNTIMES.indexOf(RUNTIME) + 1) % RUNTIMES.length]!;

/** Sends the numbers in batches, however slow the receiver is. */
async function sendNumbers(socket: UnixDatagram, total: number): Promise<void> {
  const batch = new SendBatch({ messages: 1024, size: 4 });
  const number = new DataView(new ArrayBuffer(4));
  for (let next = 0; next < total;) {
    batch.clear();
    do number.setUint32(0, next); while (batch.add(number) && ++next < total);
    assertEquals(await socket.sendMany(batch), { sent: batch.count, error: null });
  }
}

test(
  `D98 UnixDatagram.sendMany() brings 1,000,000 datagrams to a process under ${other}, in order and complete, though that is stopped midway`,
  async () => {
    await withTempSocketPath(async (path) => {
      const command = commandFor(other, program("numbers_receiver.ts"));
      await using receiver = new Peer([...command, path, String(TOTAL)]);
      assertEquals(await receiver.line(), "listening");
      using socket = UnixDatagram.unbound().connect(path);
      const sending = sendNumbers(socket, TOTAL);

      assertEquals(await receiver.line(), "halfway");
      process.kill(receiver.pid, "SIGSTOP");
      const isFull = () => sockets.pollOne(socket.fd, "writable", 0) === 0;
      await until(isFull, "the stopped receiver's queue is full");
      await setTimeout(1000);
      assertEquals(isFull(), true);
      process.kill(receiver.pid, "SIGCONT");

      await sending;
      assertEquals(await receiver.line(), String(TOTAL));
      await receiver.succeeded();
    });
  },
);
