/**
 * A run of steps over one end of a connection, whose other end is in another process that follows a script,
 * is stopped and continued, and may be killed at any moment.
 * @module
 */

import {
  abstract,
  type Address,
  UnixDatagram,
  UnixListener,
  type UnixSeqpacket,
  UnixSeqpacketListener,
  type UnixStream,
} from "../../mod.ts";
import { ByteEnd } from "./byte_end.ts";
import { doByteStep } from "./byte_steps.ts";
import { MessageEnd } from "./message_end.ts";
import { doMessageStep } from "./message_steps.ts";
import { judgeBytes } from "./model_bytes.ts";
import { judgeMessages } from "./model_messages.ts";
import { freshName, type Note, PeerProcess } from "./peer_process.ts";
import { describe, LAST, type Plan, type Step } from "./plan.ts";
import type { Action, Script } from "./script.ts";
import type { World } from "./world.ts";

/** How many descriptors a message can bring at most. */
const MAX_FDS = 253;

/** Steps after which a write of this end may find nobody. */
const ENDINGS = ["close", "dispose", "shutdown write"];

export async function runProcess(world: World, plan: Plan): Promise<void> {
  const script = plan.script!;
  const name = freshName();
  using arrival = plan.transport === "datagram" ? new Greeting(name) : new Connection(plan, name);
  const peer = new PeerProcess(world, script, name);
  try {
    const socket = await Promise.race([arrival.socket(), peer.ended]);
    if (socket === undefined) return void peer.notes();
    const [size] = plan.buffers;
    if (size > 0) socket.sendBufferSize = size;
    const [manner] = plan.manners;
    const end = "writeAll" in socket
      ? new ByteEnd("a", world, socket, manner)
      : new MessageEnd("a", world, socket, manner, arrival.to);
    const run = new ProcessRun(world, plan, end, peer);
    for (const step of plan.steps) await run.step(step);
    await run.finish(script);
    run.judge(script.actions, peer.notes());
  } finally {
    peer.tidyUp();
  }
}

/** How the other process comes to a connection: it connects to a listener. */
class Connection {
  readonly #listener: UnixListener | UnixSeqpacketListener;
  readonly to = null;

  constructor({ transport }: Plan, name: string) {
    const Listener = transport === "stream" ? UnixListener : UnixSeqpacketListener;
    this.#listener = Listener.listen(abstract(name));
  }

  async socket(): Promise<UnixStream | UnixSeqpacket> {
    const socket = await this.#listener.accept();
    this.#listener.close();
    return socket;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

/** Or, with datagrams: it sends an empty one, and goes on when it has an answer. */
class Greeting {
  readonly #socket: UnixDatagram;
  readonly to: Address;

  constructor(name: string) {
    this.#socket = UnixDatagram.bind(abstract(name));
    this.to = abstract(`${name}-peer`);
  }

  async socket(): Promise<UnixDatagram> {
    await this.#socket.receive();
    this.#socket.connect(this.to);
    this.#socket.sendSync(new Uint8Array());
    return this.#socket;
  }

  [Symbol.dispose](): void {
    // The run has closed it, unless the process never came.
    this.#socket.close();
  }
}

class ProcessRun {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #end: ByteEnd | MessageEnd;
  readonly #peer: PeerProcess;
  /** Whether this end was closed before it had received all. */
  #closed = false;

  constructor(world: World, plan: Plan, end: ByteEnd | MessageEnd, peer: PeerProcess) {
    this.#world = world;
    this.#plan = plan;
    this.#end = end;
    this.#peer = peer;
  }

  async step(step: Step): Promise<void> {
    const { journal } = this.#world;
    journal.note(describe(step));
    journal.count("operations");
    if (this.#peer.disturb(step.what) || await this.#world.disturb(step)) return;
    const end = this.#end;
    if (end.full) await this.#world.turns(20);
    // What comes from outside needs time that no step takes.
    if (step.choice % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    if (!end.full && this.#do(step)) this.#closed = true;
    await this.#world.turns(step.turns);
    if (step.choice % 3 === 0) end.closeLater();
  }

  #do(step: Step): boolean {
    return this.#end instanceof ByteEnd
      ? doByteStep(this.#world, step, this.#end)
      : doMessageStep(this.#world, step, this.#end);
  }

  /** Lets everything come to its end: what waits, what is under way, and the other process. */
  async finish(script: Script): Promise<void> {
    const [world, end] = [this.#world, this.#end];
    world.quieten();
    const ended = this.#peer.letEnd(script);
    const isDatagram = this.#plan.transport === "datagram";
    await Promise.all([
      this.#endSending().then(() => this.#peer.sayOver()),
      isDatagram ? this.#drainDatagrams() : this.#drain(),
    ]);
    end.channel.close();
    await Promise.all([...end.sending, ...end.receiving]);
    end.closeLater();
    end.check();
    await ended;
  }

  async #endSending(): Promise<void> {
    const { hasty, transport } = this.#plan;
    // Datagrams have no end, before which to stop.
    if (!hasty || transport === "datagram") await Promise.all(this.#end.sending);
    await this.#end.endSending();
  }

  /** Receives all that can still come. */
  async #drain(): Promise<void> {
    const end = this.#end;
    for (let id = 1_000_000; end.reads; id++) {
      const step: Step = { ...LAST, id, end: 0, what: "receiveMessage", size: 1 + id % 70_000 };
      end.receive(end instanceof ByteEnd ? step : { ...step, size: 100_000 });
      await Promise.all(end.receiving);
    }
    if (end.sawEnd) return;
    // What cannot receive to the end must not leave the other end waiting.
    this.#closed = true;
    end.channel.close();
  }

  /** Receives until nothing is left of what a process sent that has ended. */
  async #drainDatagrams(): Promise<void> {
    const end = this.#end as MessageEnd;
    for (let id = 1_000_000; end.reads; id++) {
      const isLast = this.#peer.over;
      const step: Step = { ...LAST, id, end: 0, what: "receiveMessageSync", size: 100_000 };
      if (end.byCalls || !end.full) end.receive(step);
      if (isLast && end.reads && end.channel.bytesReadable === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (end.sawEnd || end.byCalls) return;
    // What waits in a stream or an iteration would wait forever.
    this.#closed = true;
    end.channel.close();
  }

  judge(actions: readonly Action[], notes: readonly Note[]): void {
    // What had come to a datagram socket is lost when what it sends is refused.
    const peerWasRefused = notes.some((note) => "failed" in note && note.code === "ECONNREFUSED");
    const peerEnded = notes.some((note) => "end" in note) && !peerWasRefused;
    const verdicts = {
      "from the other process": this.#judgeFrom(sentBy(actions, notes, this.#peer.killed)),
      "to the other process": this.#judgeTo(notes, peerEnded),
      "errors": this.#judgeErrors(peerEnded),
    };
    for (const [what, verdict] of Object.entries(verdicts)) {
      if (verdict !== null) this.#world.fail(`${what}: ${verdict}`);
    }
    this.#world.journal.count("notes of other processes", notes.length);
  }

  #judgeFrom(writes: readonly PeerWrite[]): string | null {
    const end = this.#end;
    const ended = this.#sawAll && !this.#closed;
    if (end instanceof ByteEnd) return judgeBytes({ written: writes, read: end.read, ended });
    const sent = writes.map(({ taken, ...message }) => ({
      ...message,
      sent: taken === null ? null : taken === message.length,
      line: "peer",
    }));
    return judgeMessages({ sent, receipts: end.receipts, ended });
  }

  /** Datagrams have no end, but are lost when one to their sender is refused. */
  get #sawAll(): boolean {
    const end = this.#end;
    if (this.#plan.transport !== "datagram") return end.sawEnd;
    return end instanceof MessageEnd && !end.wasRefused;
  }

  #judgeTo(notes: readonly Note[], ended: boolean): string | null {
    const got = notes.flatMap((note) => "got" in note ? [note] : []);
    const receipts = got.map(({ got, fds, cut }, step) => {
      const data = new Uint8Array(Buffer.from(got, "base64"));
      return { step, id: step, data, length: data.length, fds, cut, maxFds: MAX_FDS };
    });
    const end = this.#end;
    if (end instanceof ByteEnd) {
      const read = receipts.map((receipt) => ({ ...receipt, kind: "message" as const }));
      return judgeBytes({ written: end.written, read, ended });
    }
    const all = receipts.map((receipt) => ({ ...receipt, peek: false }));
    return judgeMessages({ sent: end.sent, receipts: all, ended });
  }

  /**
   * A connection is reset when its peer closes, or is killed, with something unread. The kernel says so
   * once; web streams say it again. Who has read to the end was there until writing to him was over.
   */
  #judgeErrors(peerEnded: boolean): string | null {
    const { ECONNRESET: resets = 0, EPIPE: broken = 0 } = this.#end.errors;
    if (resets > 0 && peerEnded) return "reset, though the other process had read all";
    if (resets > 1 && this.#end.replaceable) return `reset ${resets} times`;
    if (broken > 0 && peerEnded && !this.#endedWriting) return "EPIPE, though nobody had closed";
    return null;
  }

  /** Whether this end ended its writing before all that it was to write had been written. */
  get #endedWriting(): boolean {
    const { hasty, steps } = this.#plan;
    return hasty || steps.some(({ what }) => ENDINGS.includes(what));
  }
}

/** What a write of the other process came to. */
interface PeerWrite {
  id: number;
  length: number;
  /** Null for the one that was being made when the process was killed: nobody knows. */
  taken: number | null;
  fds: readonly number[];
}

/** What the other process wrote, by its notes: all of it before the first write that it did not note. */
function sentBy(actions: readonly Action[], notes: readonly Note[], killed: boolean): PeerWrite[] {
  const known = new Map<number, number | null>();
  for (const note of notes) {
    if ("wrote" in note) known.set(note.wrote, null);
    else if ("failed" in note) known.set(note.failed, note.taken);
  }
  const sent: PeerWrite[] = [];
  for (const { id, what, size: length, fds } of actions) {
    if (what !== "write") continue;
    const isKnown = known.has(id);
    if (!isKnown && !killed) break;
    sent.push({ id, length, fds, taken: isKnown ? known.get(id) ?? length : null });
    if (!isKnown) break;
  }
  return sent;
}
