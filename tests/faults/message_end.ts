/**
 * One end of a datagram or seqpacket socket under test: it does steps, and notes what became of each.
 * @module
 */

import {
  type Address,
  type BatchResult,
  type Fd,
  type Message,
  ReceiveBatch,
  ReceivedMessage,
  SendBatch,
  UnixDatagram,
  type UnixSeqpacket,
} from "../../mod.ts";
import { End } from "./end.ts";
import type { Receipt, Sent } from "./model_messages.ts";
import { numbered } from "./numbers.ts";
import type { Manner, Step } from "./plan.ts";
import { codeOf, type Outcome, type World } from "./world.ts";

export type MessageChannel = UnixDatagram | UnixSeqpacket;

const ENDINGS = [
  ...["EBADF", "EPIPE", "ECONNRESET", "ECONNREFUSED", "ENOTCONN", "ESHUTDOWN"],
];

/** Larger messages than the smallest buffer takes. */
const MAY_BE_TOO_LARGE = 1000;

/** A receipt in the order of the calls; null as long as nothing has come of it. */
interface Place {
  receipts: Receipt[];
}

export class MessageEnd extends End<MessageChannel> {
  readonly sent: Sent[] = [];
  /** The peer's address, where messages can be sent to it; null for a pair. */
  readonly #to: Address | null;
  readonly #places: Place[] = [];
  #reader: ReadableStreamDefaultReader<Message> | null = null;
  #iterator: AsyncIterator<Message> | null = null;
  #writer: WritableStreamDefaultWriter | null = null;
  #largestChunk = 0;

  constructor(
    name: string,
    world: World,
    channel: MessageChannel,
    manner: Manner,
    to: Address | null,
  ) {
    super(name, world, channel, manner);
    this.#to = to;
  }

  /** All that came, in the order of the calls. */
  get receipts(): Receipt[] {
    return this.#places.flatMap(({ receipts }) => receipts);
  }

  // Sending.

  send(step: Step): void {
    const channel = this.channel;
    if (this.manner.writing === "writable") return this.#sendChunk(step);
    if (step.what.startsWith("sendMessage")) return this.#sendAlong(step);
    if (step.what.startsWith("sendMany")) return this.#sendMany(step);
    const to = step.what.startsWith("sendTo") && channel instanceof UnixDatagram ? this.#to : null;
    const isSync = step.what.endsWith("Sync");
    // A message to an address waits in another line than one to the peer, or in none.
    const message = this.#begin(step.size, [], to === null ? "peer" : isSync ? "now" : "to");
    const data = numbered(message.length, message.id);
    if (isSync) {
      const options = { timeout: step.timeout };
      return this.#settleSending(
        step,
        [message],
        this.now(() => {
          if (to !== null) (channel as UnixDatagram).sendToSync(data, to, options);
          else channel.sendSync(data, options);
        }),
      );
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const dontWait = step.what === "send without waiting";
    const options = { dontWait, signal };
    const promise = to === null
      ? channel.send(data, options)
      : (channel as UnixDatagram).sendTo(data, to, options);
    called();
    this.follow(this.sending, step, promise, (outcome) => {
      this.#settleSending(step, [message], outcome);
    });
  }

  #sendAlong(step: Step): void {
    const numbers = this.world.numbersFor(step);
    const how = (["originals", "transfer", "close", "close later"] as const)[step.choice % 4]!;
    const own = how === "originals" ? [] : this.world.duplicates(numbers);
    if (own === null) return;
    const fds = how === "originals" ? this.world.originals(numbers) : own;
    const close = () => own.forEach((fd) => fd.close());
    const message = this.#begin(step.size, numbers, "peer");
    const data = numbered(message.length, message.id);
    const transfer = how === "transfer";
    this.world.journal.count("descriptors sent", numbers.length);
    if (step.what.endsWith("Sync")) {
      const options = { fds, transfer, timeout: step.timeout };
      const outcome = this.now(() => this.channel.sendMessageSync(data, options));
      this.#settleSending(step, [message], outcome);
      return close();
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = this.channel.sendMessage(data, { fds, transfer, ...(signal && { signal }) });
    called();
    if (how === "close") close();
    else if (how === "close later") this.later.push(close);
    this.follow(this.sending, step, promise, (outcome) => {
      this.#settleSending(step, [message], outcome);
      if (transfer) close();
    });
  }

  #sendMany(step: Step): void {
    const count = 1 + step.choice % 12;
    const size = Math.min(step.size, 4000);
    const lengths = Array.from({ length: count }, (_, i) => Math.max(0, size - i * 37));
    const numbers = this.world.numbersFor(step).slice(0, 2);
    const asBatch = step.choice % 3 > 0;
    const fds = asBatch ? numbers : [];
    const batch = new SendBatch({ messages: count, size: size + 1, maxFds: fds.length });
    const messages = lengths.map((length) => this.#begin(length, fds, "peer"));
    const parts = messages.map(({ length, id }) => numbered(length, id));
    const filled = this.now(() => {
      const along = fds.length > 0 ? { fds: this.world.originals(fds) } : undefined;
      for (const part of parts) batch.add(part, undefined, along);
    });
    if (filled.error !== undefined) {
      // No descriptor was free for the batch to keep.
      batch[Symbol.dispose]();
      return this.#settleSending(step, messages, filled);
    }
    const what = asBatch ? batch : parts;
    if (step.what.endsWith("Sync")) {
      const options = { timeout: step.timeout };
      const outcome = this.now(() => this.channel.sendManySync(what, options));
      this.#settleBatch(step, messages, outcome);
      return batch[Symbol.dispose]();
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = this.channel.sendMany(what, { signal });
    called();
    // What is under way is kept until it is over.
    batch[Symbol.dispose]();
    this.follow(this.sending, step, promise, (outcome) => {
      this.#settleBatch(step, messages, outcome);
    });
  }

  #settleBatch(step: Step, messages: readonly Sent[], outcome: Outcome<BatchResult>): void {
    const sent = outcome.value?.sent ?? 0;
    messages.forEach((message, index) => message.sent = index < sent);
    this.world.journal.count("messages sent", sent);
    const error = outcome.error ?? outcome.value?.error ?? undefined;
    if (error === undefined && sent < messages.length) {
      this.world.fail(
        `step ${step.id} sent ${sent} of ${messages.length} messages without an error`,
      );
    }
    this.settled(step, error === undefined ? { value: sent } : { error });
  }

  #sendChunk(step: Step): void {
    this.#writer ??= this.channel.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
    // A stream that has failed gives the same error for each chunk after that.
    this.#largestChunk = Math.max(this.#largestChunk, step.size);
    const message = this.#begin(step.size, [], "peer");
    const promise = this.#writer.write(numbered(message.length, message.id));
    this.follow(this.sending, step, promise, (outcome) => {
      this.#settleSending(
        { ...step, size: Math.max(step.size, this.#largestChunk) },
        [message],
        outcome,
      );
    });
  }

  #begin(length: number, fds: readonly number[], line: string): Sent {
    const message: Sent = { id: this.sent.length, length, sent: null, fds, line };
    this.sent.push(message);
    return message;
  }

  #settleSending(step: Step, messages: readonly Sent[], outcome: Outcome<unknown>): void {
    // Whole or not at all: what was given up or refused has not left.
    for (const message of messages) message.sent = outcome.error === undefined;
    if (outcome.error === undefined) this.world.journal.count("messages sent", messages.length);
    this.settled(step, outcome);
  }

  // Receiving.

  receive(step: Step): void {
    if (!this.byCalls) return this.#receiveChunk(step);
    if (step.what.startsWith("receiveMany")) return this.#receiveMany(step);
    if (step.what.startsWith("receiveInto")) return this.#receiveInto(step);
    const channel = this.channel;
    const isSync = step.what.endsWith("Sync");
    const peek = step.what.startsWith("peek");
    const along = step.what.startsWith("receiveMessage");
    const maxFds = along ? step.choice % 3 === 0 ? step.choice % 4 : 253 : 0;
    const size = step.choice % 5 === 0 ? step.size : undefined;
    const place = this.#reserve();
    const settle = (outcome: Outcome<Message | null>) => {
      if (outcome.value) this.#keep(place, step, outcome.value, peek, maxFds);
      this.#settleReceiving(step, outcome);
    };
    const room = along ? { size, maxFds } : { size };
    if (isSync) {
      const options = { ...room, timeout: step.timeout };
      return settle(
        this.now(() =>
          along
            ? channel.receiveMessageSync(options)
            : peek
            ? channel.peekSync(options)
            : channel.receiveSync(options)
        ),
      );
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const options = { ...room, signal };
    const promise: Promise<Message | null> = along
      ? channel.receiveMessage(options) as Promise<Message | null>
      : peek
      ? channel.peek(options)
      : channel.receive(options);
    called();
    this.follow(this.receiving, step, promise, settle);
  }

  #receiveMany(step: Step): void {
    const withFds = step.choice % 2 === 0;
    const maxFds = withFds ? 2 : 0;
    const options = { messages: 1 + step.choice % 8, size: 1 + step.size % 5000 };
    const batch = new ReceiveBatch(withFds ? { ...options, maxFds } : options);
    const place = this.#reserve();
    const settle = (outcome: Outcome<number>) => {
      for (const message of outcome.value ? batch : []) {
        this.#keep(place, step, message, false, maxFds, withFds);
      }
      batch[Symbol.dispose]();
      this.#settleReceiving(step, outcome.value === 0 ? { value: null } : outcome);
    };
    if (step.what.endsWith("Sync")) {
      const options = { timeout: step.timeout };
      return settle(this.now(() => this.channel.receiveManySync(batch, options)));
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = this.channel.receiveMany(batch, { signal });
    called();
    this.follow(this.receiving, step, promise, settle);
  }

  #receiveInto(step: Step): void {
    const channel = this.channel as UnixDatagram;
    const buffer = new Uint8Array(step.size);
    const place = this.#reserve();
    const settle = (outcome: Outcome<Awaited<ReturnType<typeof channel.receiveInto>>>) => {
      if (outcome.value) {
        const { bytes, length } = outcome.value;
        const data = buffer.slice(0, bytes);
        place.receipts.push({ step: step.id, peek: false, data, length, ...NONE });
      }
      this.#settleReceiving(step, outcome);
    };
    if (step.what.endsWith("Sync")) {
      return settle(this.now(() => channel.receiveIntoSync(buffer, { timeout: step.timeout })));
    }
    const { signal, called } = this.world.signalFor(step, () => {});
    const promise = channel.receiveInto(buffer, { signal });
    called();
    this.follow(this.receiving, step, promise, settle);
  }

  #receiveChunk(step: Step): void {
    const place = this.#reserve();
    const next = async (): Promise<Message | null> => {
      if (this.manner.reading === "iteration") {
        this.#iterator ??= this.channel[Symbol.asyncIterator]();
        const { value, done } = await this.#iterator.next();
        return done ? null : value;
      }
      this.#reader ??= (this.channel.readable as ReadableStream<Message>).getReader();
      const { value, done } = await this.#reader.read();
      return done ? null : value;
    };
    this.follow(this.receiving, step, next(), (outcome) => {
      if (outcome.error !== undefined) this.broken = true;
      if (outcome.value) this.#keep(place, step, outcome.value, false, 0);
      this.#settleReceiving(step, this.broken && outcome.value === null ? { value: 0 } : outcome);
    });
  }

  /** A place for what comes, in the order of the calls. */
  #reserve(): Place {
    const place: Place = { receipts: [] };
    this.#places.push(place);
    return place;
  }

  #keep(
    place: Place,
    step: Step,
    message: Message,
    peek: boolean,
    maxFds: number,
    withFds = message instanceof ReceivedMessage,
  ): void {
    const { data, length } = message;
    const receipt = { step: step.id, peek, data, length };
    if (data.length < length !== message.truncated) this.world.fail(`step ${step.id}: truncated?`);
    if (!withFds) return void place.receipts.push({ ...receipt, ...NONE });
    using received = message as ReceivedMessage;
    const fds = received.fds.map((fd: Fd) => this.world.numberOf(fd));
    this.world.journal.count("descriptors received", fds.length);
    place.receipts.push({ ...receipt, fds, maxFds, cut: received.controlTruncated });
  }

  #settleReceiving(step: Step, outcome: Outcome<unknown>): void {
    if (outcome.value === null) this.sawEnd = true;
    if (outcome.error === undefined) this.world.journal.count("messages received");
    if (codeOf(outcome.error) === "ESHUTDOWN") this.sawEnd = true;
    this.settled(step, outcome);
  }

  // Both.

  /** Whether a datagram was refused because the peer is gone: the kernel drops all that had come from it. */
  get wasRefused(): boolean {
    return "ECONNREFUSED" in this.errors;
  }

  protected override obstacles(step: Step): readonly string[] {
    const all = [...ENDINGS];
    if (step.size > MAY_BE_TOO_LARGE) all.push("EMSGSIZE");
    if (step.what === "send without waiting") all.push("EAGAIN");
    return all;
  }

  override async endSending(): Promise<void> {
    if (this.channel.closed || this.channel instanceof UnixDatagram) return;
    if (this.#writer !== null) await this.#writer.close().catch(() => {});
    else this.channel.closeWrite();
  }
}

/** A receipt by a call that lets no descriptor in. */
const NONE = { fds: null, maxFds: 0, cut: false };
