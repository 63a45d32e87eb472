/**
 * A run of steps over a listener: clients of this process and of another connect to it, accepts wait, are
 * given up and fail, it closes in between and listens again, and the function that lets clients in does
 * what it should not.
 * @module
 */

import {
  abstract,
  type Listener,
  UnixListener,
  UnixSeqpacket,
  UnixSeqpacketListener,
  UnixSocketError,
  UnixStream,
} from "../../mod.ts";
import { generator, type Random } from "../support/random.ts";
import { type Connection, serve, visit } from "./listener_clients.ts";
import { type Client, clientsBy, type Doorbook, judgeListener } from "./listener_model.ts";
import { freshName, PeerProcess } from "./peer_process.ts";
import { describe, type Plan, type Step } from "./plan.ts";
import type { Action } from "./script.ts";
import { codeOf, GIVEN_UP, isExplained, type Outcome, type World } from "./world.ts";

/** How many clients of this process there are at most at a time, and how many accepts wait. */
const MAX_CLIENTS = 16;
const MAX_ACCEPTS = 12;

/** What ends an accept that is not served: closed, shut down, or its connection gone. */
const ENDINGS = ["EBADF", "EINVAL", "ECONNABORTED"];
/** And what a client finds where nobody listens any more. */
const REFUSED = ["ECONNREFUSED", "ECONNRESET"];

const THROWN = new Error("thrown by the function that lets clients in");

export async function runListener(world: World, plan: Plan): Promise<void> {
  const name = freshName();
  const run = new ListenerRun(world, plan, name);
  const peer = new PeerProcess(world, plan.script!, name);
  try {
    for (const step of plan.steps) {
      if (!peer.disturb(step.what)) await run.step(step);
    }
    await run.finish(peer.letEnd(plan.script!));
    run.judge(plan.script!.actions, peer);
  } finally {
    peer.tidyUp();
  }
}

class ListenerRun {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #name: string;
  readonly #random: Random;
  readonly #gated: boolean;
  /** One after the other; all but the last have ended. */
  readonly #listeners: Listener<Connection>[] = [];
  readonly #clients: Client[] = [];
  readonly #visits = new Set<Promise<void>>();
  readonly #accepts = new Set<Promise<void>>();
  readonly #services = new Set<Promise<void>>();
  readonly #served = new Map<number, number>();
  #accepted = 0;
  #interrupted = false;
  #iterating: Listener<Connection> | null = null;
  #nested = false;
  #finishing = false;

  constructor(world: World, plan: Plan, name: string) {
    this.#world = world;
    this.#plan = plan;
    this.#name = name;
    this.#random = generator(plan.seed ^ 0x9a7e);
    this.#gated = this.#random(2) === 0;
    this.#listen();
  }

  get #listener(): Listener<Connection> {
    return this.#listeners.at(-1)!;
  }

  get #authorize(): { authorize?: () => boolean } {
    return this.#gated ? { authorize: () => this.#letIn() } : {};
  }

  #listen(): void {
    const backlog = this.#plan.buffers[0] % 6;
    const Type = this.#plan.transport === "stream" ? UnixListener : UnixSeqpacketListener;
    this.#listeners.push(Type.listen(abstract(this.#name), { backlog, ...this.#authorize }));
  }

  /** What is asked about each connection; it does now and then what nobody expects of it. */
  #letIn(): boolean {
    const { journal } = this.#world;
    const choice = this.#random(30);
    if (this.#finishing || choice > 7) return choice !== 8;
    if (choice === 0) {
      journal.count("closed from within");
      this.#close();
      return this.#random(2) === 0;
    }
    if (choice === 1) {
      journal.count("aborted from within");
      this.#world.abort("all");
      return this.#random(2) === 0;
    }
    if (choice === 2) throw THROWN;
    if (choice > 3 || this.#nested) return false;
    this.#nested = true;
    this.#acceptNow("within", 0);
    this.#nested = false;
    return true;
  }

  async step(step: Step): Promise<void> {
    const { journal } = this.#world;
    journal.note(describe(step));
    journal.count("operations");
    if (await this.#world.disturb(step)) return;
    // What comes from outside needs time that no step takes.
    if (step.choice % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    this.#do(step);
    await this.#world.turns(step.turns);
  }

  #do(step: Step): void {
    switch (step.what) {
      case "connect":
      case "connectSync":
        if (this.#visits.size < MAX_CLIENTS) this.#connect(step);
        // Right when a connection comes.
        return this.#world.abort("data");
      case "accept":
        if (this.#accepts.size < MAX_ACCEPTS) this.#accept(step);
        return;
      case "acceptSync":
        return this.#acceptNow(`${step.id}`, step.timeout);
      case "iterate":
        return this.#iterate(step);
      case "close":
      case "dispose":
        return this.#close();
      case "shutdown":
        if (this.#listener.closed) return;
        this.#interrupted = true;
        return this.#listener.shutdown("read");
      case "listen":
        if (!this.#interrupted || this.#world.isShort) return;
        this.#close();
        // A process that was just made has the open listener, too, until it runs its program.
        return this.#note(step.what, this.#now(() => this.#listen()), step, ["EADDRINUSE"]);
      case "rewrap":
        return this.#rewrap();
    }
  }

  #close(): void {
    this.#interrupted = true;
    this.#listener.close();
  }

  /** Gives the descriptor to a new object, whose open file others may have. */
  #rewrap(): void {
    if (this.#listener.closed) return;
    const fd = this.#listener.intoFd();
    const Type = this.#plan.transport === "stream" ? UnixListener : UnixSeqpacketListener;
    this.#listeners.push(Type.fromFd(fd, this.#authorize));
  }

  // Clients.

  #connect(step: Step): void {
    const client = { id: step.id, connected: false, greeted: false, left: false, heard: null };
    this.#clients.push(client);
    const Type = this.#plan.transport === "stream" ? UnixStream : UnixSeqpacket;
    const address = abstract(this.#name);
    const what = `step ${step.id} ${step.what}`;
    const go = async (): Promise<void> => {
      let outcome: Outcome<Connection>;
      if (step.what.endsWith("Sync")) {
        outcome = this.#now(() => Type.connectSync(address, { timeout: step.timeout }));
      } else {
        const { signal, called } = this.#world.signalFor(step, () => {});
        const promise: Promise<Connection> = Type.connect(address, { signal });
        called();
        outcome = await this.#world.watched(what, promise);
      }
      this.#note(what, outcome, step, REFUSED);
      if (outcome.value === undefined) return;
      const visit_ = visit(this.#world, step, client, outcome.value);
      this.#note(what, await this.#world.watched(`${what}, then`, visit_));
    };
    this.#follow(this.#visits, go());
  }

  // Accepting.

  #accept(step: Step): void {
    const { signal, called } = this.#world.signalFor(step, () => {});
    const promise = this.#listener.accept({ signal });
    called();
    const what = `step ${step.id} accept`;
    const settled = this.#world.watched(what, promise).then((outcome) => {
      this.#note(what, outcome, step);
      if (outcome.value) this.#serve(outcome.value);
    });
    this.#follow(this.#accepts, settled);
  }

  #acceptNow(name: string, timeout: number): void {
    const outcome = this.#now(() => this.#listener.acceptSync({ timeout }));
    const sync = { what: "acceptSync", abort: "none" } as Step;
    this.#note(`acceptSync ${name}`, outcome, sync, ["EBUSY"]);
    if (outcome.value) this.#serve(outcome.value);
  }

  #iterate(step: Step): void {
    const listener = this.#listener;
    if (this.#iterating === listener) return;
    this.#iterating = listener;
    const go = async (): Promise<void> => {
      for await (const connection of listener) this.#serve(connection);
    };
    const settled = this.#world.watched(`step ${step.id} iterate`, go()).then((outcome) => {
      if (this.#iterating === listener) this.#iterating = null;
      this.#note(`step ${step.id} iterate`, outcome);
      // Nothing that is over in a moment ends it.
      const { error } = outcome;
      if (error === undefined ? listener.closed : error === THROWN || codeOf(error) === "EINVAL") {
        return;
      }
      this.#world.fail(`step ${step.id}: the iteration ended with ${error ?? "nothing"}`);
    });
    this.#follow(this.#accepts, settled);
  }

  #serve(connection: Connection): void {
    this.#accepted++;
    this.#world.journal.count("connections accepted");
    const service = this.#world.watched("a service", serve(this.#world, connection));
    this.#follow(
      this.#services,
      service.then((outcome) => {
        this.#note("a service", outcome);
        const id = outcome.value ?? null;
        if (id !== null) this.#served.set(id, (this.#served.get(id) ?? 0) + 1);
      }),
    );
  }

  // Both.

  #follow(among: Set<Promise<void>>, promise: Promise<void>): void {
    const followed: Promise<void> = promise.finally(() => among.delete(followed));
    among.add(followed);
  }

  #now<T>(call: () => T): Outcome<T> {
    try {
      return { value: call() };
    } catch (error) {
      return { error };
    }
  }

  #note(
    what: string,
    { error }: Outcome<unknown>,
    step: Step = { what, abort: "none" } as Step,
    expected: readonly string[] = [],
  ): void {
    const { journal } = this.#world;
    journal.note(`    ${what}: ${error === undefined ? "done" : codeOf(error)}`);
    if (error === undefined) return journal.count("operations done");
    journal.count(`error ${error === THROWN ? "thrown from within" : codeOf(error)}`);
    if (error === THROWN || isExplained(error, step, [...ENDINGS, ...expected])) return;
    this.#world.fail(`${what} ended with ${error}`);
  }

  /** Accepts until every client has come to its end, and closes. */
  async finish(others: Promise<void>): Promise<void> {
    const world = this.#world;
    world.quieten();
    this.#finishing = true;
    const listener = this.#listener;
    const stop = new AbortController();
    const accepting = this.#acceptUntil(listener, stop.signal);
    await others;
    while (this.#visits.size > 0) await Promise.all(this.#visits);
    stop.abort(GIVEN_UP);
    await accepting;
    // Connections of clients that have gone by now.
    while (!listener.closed) {
      const outcome = this.#now(() => listener.acceptSync({ timeout: 0 }));
      if (outcome.value === undefined) break;
      this.#serve(outcome.value);
    }
    listener.close();
    await Promise.all(this.#accepts);
    await Promise.all(this.#services);
  }

  async #acceptUntil(listener: Listener<Connection>, signal: AbortSignal): Promise<void> {
    for (;;) {
      const { value, error } = await this.#world.watched(
        "the last accepts",
        listener.accept({ signal }),
      );
      if (value !== undefined) this.#serve(value);
      else if (error === GIVEN_UP) return;
      else if (error instanceof UnixSocketError && ENDINGS.includes(error.code)) return;
      else return this.#world.fail(`the last accept ended with ${error}`);
    }
  }

  judge(actions: readonly Action[], peer: PeerProcess): void {
    const said = new Set(actions.filter(({ what }) => what === "say").map(({ client }) => client));
    const notes = peer.notes();
    const book: Doorbook = {
      clients: [...this.#clients, ...clientsBy(notes, said)],
      served: this.#served,
      accepted: this.#accepted,
      refused: this.#listeners.reduce((sum, { refused }) => sum + refused, 0),
      interrupted: this.#interrupted,
      // It may have been killed between connecting and noting that.
      unknown: peer.killed ? 1 : 0,
    };
    this.#world.journal.count("clients served", this.#served.size);
    const verdict = judgeListener(book);
    if (verdict !== null) this.#world.fail(verdict);
  }
}
