/**
 * `afunix ls`: the machine's Unix sockets.
 * @module
 */

import process from "node:process";
import { SOCKET_TYPES } from "../arguments.ts";
import { EXIT, printable, UsageError } from "../failures.ts";
import { environmentVariable } from "../system/runtime.ts";
import { counted } from "../terminal/output.ts";
import { type Owner, readOwners } from "../system/owners.ts";
import { readTable, type SocketRow } from "../system/proc_net_unix.ts";
import { MAX_TIMEOUT_MS, type Session } from "../session.ts";
import { columns, cut } from "../terminal/table.ts";

/** A socket with those who have it open. */
interface Entry extends Omit<SocketRow, "bytes"> {
  owners: Owner[];
}

interface Listing {
  entries: Entry[];
  /** How many processes may not be looked into. */
  hidden: number;
}

const HEADINGS = ["TYPE", "STATE", "INODE", "PATH", "OWNERS"];

/** Switch to the other screen of a terminal and hide the cursor, and the way back. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
/** To the upper left; what is left of a line; what is left of the screen. */
const HOME = "\x1b[H";
const REST_OF_LINE = "\x1b[K";
const REST_OF_SCREEN = "\x1b[J";

/** Runs the command. */
export async function runLs(session: Session): Promise<number> {
  const { args, output } = session;
  const select = selection(session);
  const interval = args.integer("interval", 50, MAX_TIMEOUT_MS) ?? 1000;
  args.finish();
  if (args.has("interval") && !args.has("watch")) throw new UsageError("--interval needs --watch");
  if (args.has("watch")) {
    if (output.json) return await watchRecords(session, select, interval);
    if (!process.stdout.isTTY || environmentVariable("TERM") === "dumb") {
      throw new UsageError("--watch needs a terminal that can draw, or --json");
    }
    return await watchTable(session, select, interval);
  }
  const listing = select();
  if (output.json) {
    for (const entry of listing.entries) await output.record({ ...entry });
    return EXIT.fine;
  }
  const [heading, ...lines] = tableOf(listing);
  await output.line(output.style("bold", heading!));
  const width = process.stdout.isTTY ? process.stdout.columns || 80 : Infinity;
  for (const line of lines) await output.line(cut(line, width));
  if (listing.hidden > 0) {
    output.notice(
      `${counted(listing.hidden, "process", "processes")} could not be looked into: ask as root`,
    );
  }
  return EXIT.fine;
}

/** What the filters leave, at the moment of the call. */
function selection({ args }: Session): () => Listing {
  const text = args.positionals.shift();
  const type = args.word("type", SOCKET_TYPES);
  const pid = args.integer("pid", 1);
  return () => {
    const { byInode, hidden } = readOwners();
    const entries = readTable()
      .filter((row) => text === undefined || row.path?.includes(text))
      .filter((row) => type === undefined || row.type === type)
      .filter((row) => !args.has("listening") || row.state === "listening")
      .filter((row) => !args.has("named") || row.path !== null)
      .map(({ bytes: _, ...row }) => ({ ...row, owners: byInode.get(row.inode) ?? [] }))
      .filter(({ owners }) => pid === undefined || owners.some((owner) => owner.pid === pid));
    entries.sort((a, b) => compare(a.path, b.path) || a.inode - b.inode);
    return { entries, hidden };
  };
}

/** By path; those without one last. */
function compare(a: string | null, b: string | null): number {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  return a < b ? -1 : 1;
}

function tableOf({ entries }: Listing): string[] {
  return columns([
    HEADINGS,
    ...entries.map(({ type, state, inode, path, owners }) => [
      type,
      state,
      String(inode),
      path ?? "-",
      owners.map(({ pid, command }) => `${pid} ${printable(command)}`).join(", ") || "-",
    ]),
  ]);
}

/** The table on the whole terminal, drawn anew, until a signal comes. */
async function watchTable(
  session: Session,
  select: () => Listing,
  interval: number,
): Promise<number> {
  const { output } = session;
  session.atEnd(() => process.stdout.write(LEAVE));
  await output.write(ENTER);
  for (;;) {
    const listing = select();
    const { columns: width = 80, rows: height = 24 } = process.stdout;
    const [heading, ...lines] = tableOf(listing);
    const most = Math.max(1, height - 2);
    const shown = lines.slice(0, most);
    const more = lines.length > most ? `, the first ${most} shown` : "";
    const foot = `${counted(lines.length, "socket")}${more}, ${
      new Date().toLocaleTimeString()
    }; Ctrl-C ends`;
    const picture = [
      output.style("bold", cut(heading!, width)),
      ...shown.map((line) => cut(line, width)),
      output.style("dim", cut(foot, width)),
    ];
    const text = picture.map((line) => line + REST_OF_LINE).join("\r\n");
    await output.write(HOME + text + REST_OF_SCREEN);
    await pause(interval, "SIGWINCH");
  }
}

/** An object for each socket that comes, changes or goes, until a signal comes. */
async function watchRecords(
  { output }: Session,
  select: () => Listing,
  interval: number,
): Promise<number> {
  let before = new Map<string, string>();
  for (;;) {
    const now = new Map<string, string>();
    for (const [index, entry] of select().entries.entries()) {
      // Connections that wait have no inode of their own.
      const key = entry.inode === 0 ? `waiting ${index} ${entry.path}` : String(entry.inode);
      const text = JSON.stringify({ ...entry });
      now.set(key, text);
      const old = before.get(key);
      if (old === text) continue;
      const event = old === undefined ? "added" : "changed";
      await output.record({ event, ...entry });
    }
    for (const [key, text] of before) {
      if (!now.has(key)) await output.record({ event: "removed", ...JSON.parse(text) });
    }
    before = now;
    await pause(interval);
  }
}

/** A pause, which a signal may cut short. */
async function pause(milliseconds: number, signal?: NodeJS.Signals): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  if (signal !== undefined) process.once(signal, resolve);
  await promise;
  clearTimeout(timer);
  if (signal !== undefined) process.off(signal, resolve);
}
