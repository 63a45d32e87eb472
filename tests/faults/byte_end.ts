/**
 * One end of a stream or a pipe under test: it does steps, and notes what became of each.
 * @module
 */

import { type Fd, type ReceivedMessage, UnixSocketError, UnixStream } from "../../mod.ts";
import { End } from "./end.ts";
import type { Read, Written } from "./model_bytes.ts";
import { numbered } from "./numbers.ts";
import type { Step } from "./plan.ts";
import type { Outcome } from "./world.ts";

/** A stream socket, or one end of a pipe. */
export type Channel = UnixStream | Fd;
type Chunks = AsyncIterator<Uint8Array>;

/** What stands before and behind each buffer, and in it until something is read. */
const UNTOUCHED = 0xa5;
const MARGIN = 16;

/** What may be in the way of every operation: closed here, given away, or ended there. */
const ENDINGS = ["EBADF", "EPIPE", "ECONNRESET"];

/** A call that wrote, and the object that it was made through. */
interface Call extends Written {
  taken: number | null;
  readonly through: Channel;
  /** What the object had written when this was given up. */
  abortedAt: number | null;
}

export class ByteEnd extends End<Channel> {
  readonly written: Call[] = [];
  readonly read: Read[] = [];
  /** Whether the last write that did not wait found room. */
  hadRoom = true;
  #chunks: Chunks | null = null;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #byob: ReadableStreamBYOBReader | null = null;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  /** That nothing was ever written beside what was read, nor by a read that had been given up. */
  readonly #checks: (() => void)[] = [];

  // Writing.

  /** Writes; with a controller it is up to the caller when that is given up. */
  write(step: Step, controller?: AbortController): void {
    if (this.manner.writing === "writable" && this.channel instanceof UnixStream) {
      return this.#writeChunk(step, this.channel);
    }
    const all = step.what.startsWith("writeAll");
    const call = this.#beginWriting(step, []);
    const data = numbered(step.size, call.id);
    if (step.what.endsWith("Sync")) {
      const options = { timeout: step.timeout };
      this.#settleWriting(
        step,
        call,
        this.now(() => {
          if (!all) return this.channel.writeSync(data, options);
          this.channel.writeAllSync(data, options);
          return data.length;
        }),
      );
      return;
    }
    const { signal, called } = controller === undefined
      ? this.#signalFor(step, call)
      : { signal: controller.signal, called() {} };
    const promise = all
      ? this.channel.writeAll(data, { signal }).then(() => data.length)
      : this.channel.write(data, { signal });
    called();
    this.follow(this.sending, step, promise, (outcome) => {
      this.#settleWriting(step, call, outcome);
    });
  }

  /** Writes with descriptors along. */
  send(step: Step): void {
    if (this.manner.writing === "writable") return this.write(step);
    const stream = this.channel as UnixStream;
    const numbers = step.size === 0 ? [] : this.world.numbersFor(step);
    const how = (["originals", "transfer", "close", "close later"] as const)[step.choice % 4]!;
    const own = how === "originals" ? [] : this.world.duplicates(numbers);
    if (own === null) return this.world.journal.note("    no descriptor to send");
    const fds = how === "originals" ? this.world.originals(numbers) : own;
    const close = () => own.forEach((fd) => fd.close());
    const call = this.#beginWriting(step, numbers);
    const data = numbered(step.size, call.id);
    const transfer = how === "transfer";
    this.world.journal.count("descriptors sent", numbers.length);
    if (step.what.endsWith("Sync")) {
      const options = { fds, transfer, timeout: step.timeout };
      this.#settleWriting(step, call, this.now(() => stream.sendMessageSync(data, options)));
      return close();
    }
    const { signal, called } = this.#signalFor(step, call);
    const promise = stream.sendMessage(data, { fds, transfer, ...(signal && { signal }) });
    called();
    if (how === "close") close();
    else if (how === "close later") this.later.push(close);
    this.follow(this.sending, step, promise, (outcome) => {
      this.#settleWriting(step, call, outcome);
      // A transfer that failed leaves them here.
      if (transfer) close();
    });
  }

  #writeChunk(step: Step, stream: UnixStream): void {
    if (step.size === 0) return;
    this.#writer ??= stream.writable.getWriter();
    // The writer's own promises fail with it, and each write says so too.
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
    const call = this.#beginWriting(step, []);
    const data = numbered(step.size, call.id);
    const promise = this.#writer.write(data).then(() => data.length);
    this.follow(this.sending, step, promise, (outcome) => {
      if (outcome.error === undefined) call.taken = outcome.value!;
      // A chunk that was in the queue when the stream failed never left it.
      else call.taken = null;
      this.settled(step, outcome);
    });
  }

  #beginWriting(step: Step, fds: readonly number[]): Call {
    const id = this.written.length;
    const through = this.channel;
    const call: Call = { id, length: step.size, taken: null, fds, through, abortedAt: null };
    this.written.push(call);
    return call;
  }

  #signalFor(step: Step, call: Call): { signal?: AbortSignal; called(): void } {
    return this.world.signalFor(step, () => {
      if (call.through instanceof UnixStream) call.abortedAt = call.through.bytesWritten;
    });
  }

  #settleWriting(step: Step, call: Call, outcome: Outcome<number>): void {
    const { error } = outcome;
    if (step.what.endsWith("Sync")) this.hadRoom = error === undefined;
    if (error === undefined) call.taken = outcome.value!;
    else if (error instanceof UnixSocketError) call.taken = error.bytesTransferred ?? 0;
    else if (step.what === "write") call.taken = 0;
    this.world.journal.count("bytes written", call.taken ?? 0);
    this.settled(step, outcome);
  }

  /**
   * Finds out how far the calls came that were given up. Calls take their turns in order: what the
   * socket had written by then, less what those before came to have written, is what this one had.
   */
  #resolveAborts(): void {
    for (const [index, call] of this.written.entries()) {
      if (call.taken !== null || call.abortedAt === null) continue;
      const before = this.written.slice(0, index).filter(({ through }) => through === call.through);
      if (before.some(({ taken }) => taken === null)) continue;
      const sum = before.reduce((sum, { taken }) => sum + taken!, 0);
      call.taken = Math.max(0, Math.min(call.length, call.abortedAt - sum));
    }
  }

  /** What can be said when all is over. */
  override check(): void {
    this.#resolveAborts();
    this.#checkCount();
    for (const check of this.#checks) check();
  }

  /** That the socket's own count is what its calls were told. */
  #checkCount(): void {
    const through = new Set(this.written.map(({ through }) => through));
    for (const channel of through) {
      if (!(channel instanceof UnixStream)) continue;
      const calls = this.written.filter((call) => call.through === channel);
      if (calls.some(({ taken }) => taken === null)) continue;
      const sum = calls.reduce((sum, { taken }) => sum + taken!, 0);
      if (sum === channel.bytesWritten) continue;
      this.world.fail(`${this.name} was told of ${sum} bytes and counts ${channel.bytesWritten}`);
    }
  }

  // Reading.

  take(step: Step): void {
    if (!this.byCalls && this.channel instanceof UnixStream) {
      return this.#takeChunk(step, this.channel);
    }
    const peek = step.what.startsWith("peek");
    if (peek && !(this.channel instanceof UnixStream)) return;
    const channel = this.channel as UnixStream;
    const read = this.#beginReading(step, peek ? "peek" : "read");
    const whole = new Uint8Array(step.size + 2 * MARGIN).fill(UNTOUCHED);
    const buffer = whole.subarray(MARGIN, MARGIN + step.size);
    const check = (count: number) => this.#checkBuffer(step, whole, count);
    if (step.what.endsWith("Sync")) {
      const options = { timeout: step.timeout };
      const outcome = this.now(() =>
        peek ? channel.peekSync(buffer, options) : channel.readSync(buffer, options)
      );
      return this.#settleReading(step, read, buffer, outcome, check);
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = peek ? channel.peek(buffer, { signal }) : channel.read(buffer, { signal });
    called();
    this.follow(this.receiving, step, promise, (outcome) => {
      this.#settleReading(step, read, buffer, outcome, check);
    });
  }

  /** Reads what there is, with descriptors. */
  receive(step: Step): void {
    if (!this.byCalls) return this.take(step);
    const stream = this.channel as UnixStream;
    const maxFds = step.choice % 3 === 0 ? step.choice % 4 : 253;
    const read = this.#beginReading(step, "message", maxFds);
    const size = Math.max(1, step.size);
    if (step.what.endsWith("Sync")) {
      const options = { size, maxFds, timeout: step.timeout };
      const outcome = this.now(() => stream.receiveMessageSync(options));
      return this.#settleMessage(step, read, outcome);
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = stream.receiveMessage({ size, maxFds, ...(signal && { signal }) });
    called();
    this.follow(this.receiving, step, promise, (outcome) => {
      this.#settleMessage(step, read, outcome);
    });
  }

  #takeChunk(step: Step, stream: UnixStream): void {
    const read = this.#beginReading(step, "read");
    const size = Math.max(1, step.size);
    const next = async (): Promise<Uint8Array | null> => {
      if (this.manner.reading === "byob") {
        this.#byob ??= stream.readable.getReader({ mode: "byob" });
        const { value, done } = await this.#byob.read(new Uint8Array(size));
        return done ? null : value;
      }
      if (this.manner.reading === "readable") {
        // Not its iterator: several pending calls of that one never settle on Deno and Node.js.
        this.#reader ??= stream.readable.getReader();
        const { value, done } = await this.#reader.read();
        return done ? null : value;
      }
      this.#chunks ??= stream[Symbol.asyncIterator]();
      const { value, done } = await this.#chunks.next();
      return done ? null : value;
    };
    this.follow(this.receiving, step, next(), (outcome) => {
      if (outcome.error !== undefined) this.broken = true;
      if (outcome.value) read.data = outcome.value.slice();
      // What has failed says from then on that it has ended.
      if (outcome.value === null && !this.broken) this.sawEnd = true;
      this.#countRead(read);
      this.settled(step, outcome);
    });
  }

  #beginReading(step: Step, kind: Read["kind"], maxFds = 0): Read {
    const read: Read = { id: step.id, kind, data: null, fds: [], cut: false, maxFds };
    this.read.push(read);
    return read;
  }

  #settleReading(
    step: Step,
    read: Read,
    buffer: Uint8Array,
    outcome: Outcome<number | null>,
    check: (count: number) => void,
  ): void {
    const { value, error } = outcome;
    if (typeof value === "number") read.data = buffer.slice(0, value);
    if (value === 0 && step.size > 0) this.world.fail(`step ${step.id} read 0 bytes`);
    if (value === null) this.sawEnd = true;
    this.#checks.push(() => check(error === undefined ? value ?? 0 : 0));
    this.#countRead(read);
    this.settled(step, outcome);
  }

  #checkBuffer(step: Step, whole: Uint8Array, count: number): void {
    const touched = (byte: number, index: number) =>
      byte !== UNTOUCHED && (index < MARGIN || index >= MARGIN + count);
    const at = whole.findIndex(touched);
    if (at === -1) return;
    this.world.fail(`step ${step.id} read ${count} bytes and touched byte ${at - MARGIN}`);
  }

  #settleMessage(step: Step, read: Read, outcome: Outcome<ReceivedMessage | null>): void {
    const { value } = outcome;
    if (value === null) this.sawEnd = true;
    if (value) {
      using message = value;
      read.data = message.data;
      read.cut = message.controlTruncated;
      read.fds = message.fds.map((fd) => this.world.numberOf(fd));
      this.world.journal.count("descriptors received", read.fds.length);
    }
    this.#countRead(read);
    this.settled(step, outcome);
  }

  #countRead({ kind, data }: Read): void {
    if (kind !== "peek") this.world.journal.count("bytes read", data?.length ?? 0);
  }

  // Both.

  protected override obstacles(): readonly string[] {
    return ENDINGS;
  }

  override async endSending(): Promise<void> {
    const { channel } = this;
    if (channel.closed) return;
    if (this.#writer !== null) await this.#writer.close().catch(() => {});
    else if (channel instanceof UnixStream) channel.closeWrite();
    else channel.close();
  }

  /** Waits for what there is to read, and takes nothing. */
  waitReadable(step: Step): void {
    const fd = this.channel as Fd;
    if (step.what.endsWith("Sync")) {
      return this.settled(step, this.now(() => fd.waitReadableSync({ timeout: step.timeout })));
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = fd.waitReadable({ signal });
    called();
    this.follow(this.receiving, step, promise, (outcome) => this.settled(step, outcome));
  }
}
