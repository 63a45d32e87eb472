/**
 * The commands: what each is called, takes and does.
 * @module
 */

import type { OptionSpec } from "./arguments.ts";
import { runConnect } from "./commands/connect.ts";
import { runEcho } from "./commands/echo.ts";
import { runListen } from "./commands/listen.ts";
import { runLs } from "./commands/ls.ts";
import { runPass } from "./commands/pass.ts";
import { runReceive } from "./commands/receive.ts";
import { runSend } from "./commands/send.ts";
import type { Session } from "./session.ts";
import { runTake } from "./commands/take.ts";
import { runWho } from "./commands/who.ts";

/** A command. */
export interface Command {
  /** What follows its name. */
  usage: string;
  /** What it does, in a few words. */
  summary: string;
  /** What else to know. */
  text: string;
  options: Record<string, OptionSpec>;
  /** Whether `--` separates another command line. */
  splits?: boolean;
  /** Does it; the exit code. */
  run(session: Session): Promise<number>;
}

const ADDRESSED: Record<string, OptionSpec> = {
  type: { value: "TYPE", short: "t", help: "stream (without it), datagram or seqpacket" },
  abstract: { value: "NAME", help: "an abstract name in ADDRESS's place, taken as it is" },
  timeout: { value: "MS", help: "fail when nothing happens for so many milliseconds" },
};
const FROM: Record<string, OptionSpec> = {
  from: { value: "ADDRESS", help: "bind to this address before connecting" },
};
const SERVING: Record<string, OptionSpec> = {
  mode: { value: "OCTAL", help: "permissions of the socket's file, such as 600" },
  "allow-uid": {
    value: "UID",
    multiple: true,
    help: "let in only this user; may be repeated (no datagrams)",
  },
  once: { help: "end after the first connection, or the first datagram" },
  keep: { help: "go on until a signal ends it" },
};
const LINES: OptionSpec = {
  help: "each line of stdin is a message, and a newline follows each that comes (no streams)",
};
const MAX_BYTES: OptionSpec = { value: "N", help: "fail when more bytes come on one connection" };

/** All commands, in the order of `--help`. */
export const COMMANDS: Record<string, Command> = {
  listen: {
    usage: "ADDRESS",
    summary: "talk with whoever connects: stdin to the peer, the peer to stdout",
    text: "Ends when both directions have ended, or the peer is gone. The end of stdin ends the " +
      "sending only.\nWith --keep, any number may be connected: stdin is copied to each, and waits " +
      "while nobody is.\nDatagrams: goes on unless --once, and stdin goes to whoever wrote last.",
    options: { ...ADDRESSED, ...SERVING, lines: LINES, "max-bytes": MAX_BYTES },
    run: runListen,
  },
  connect: {
    usage: "ADDRESS",
    summary: "talk with a server: stdin to it, and what it says to stdout",
    text: "Ends when both directions have ended, or the peer is gone. The end of stdin ends the " +
      "sending only.\nWithout --lines, each piece of stdin as it is read is one message. A datagram " +
      "socket gets an\nabstract name for the answers unless --from gives it an address; no server " +
      "tells it the end, so\nit goes on unless --once.",
    options: {
      ...ADDRESSED,
      ...FROM,
      lines: LINES,
      once: { help: "end after the first message that comes (no streams)" },
      "max-bytes": MAX_BYTES,
    },
    run: runConnect,
  },
  send: {
    usage: "ADDRESS [DATA…]",
    summary: "send DATA, or stdin, and read no answer",
    text: "Each DATA is sent exactly as it is, as one message where there are messages. Without " +
      "DATA, stdin\nis sent: as a stream, as one message, or with --lines as a message for each line.",
    options: {
      ...ADDRESSED,
      ...FROM,
      newline: { short: "n", help: "send a newline after each DATA" },
      lines: { help: "each line of stdin is a message, without its newline (no streams)" },
      wait: { help: "wait until the receiver closes the connection (no datagrams)" },
      "max-bytes": { value: "N", help: "fail when there are more bytes to send" },
    },
    run: runSend,
  },
  receive: {
    usage: "ADDRESS",
    summary: "write to stdout what others send",
    text: "Ends at the end of the first connection unless --keep; datagrams go on unless --once.",
    options: {
      ...ADDRESSED,
      ...SERVING,
      lines: { help: "a newline follows each message (no streams)" },
      "max-bytes": MAX_BYTES,
    },
    run: runReceive,
  },
  echo: {
    usage: "ADDRESS",
    summary: "serve: send back what comes",
    text: "Goes on until a signal ends it, unless --once.",
    options: { ...ADDRESSED, ...SERVING, "max-bytes": MAX_BYTES },
    run: runEcho,
  },
  pass: {
    usage: "ADDRESS FILE…",
    summary: "send open files to another process",
    text:
      "The receiver can use them even where it may not open them. FILE may be - for stdin. The " +
      "names\ngo along, a line each.",
    options: {
      ...ADDRESSED,
      access: { value: "HOW", help: "read (without it), write, read-write or append" },
      fd: { value: "N", multiple: true, help: "pass descriptor N that was inherited; repeatable" },
      message: { value: "TEXT", help: "what goes along in the names' place" },
      listen: { help: "listen, and give the files to whoever connects" },
      ...SERVING,
    },
    run: runPass,
  },
  take: {
    usage: "ADDRESS [-- COMMAND [ARG…]]",
    summary: "receive open files, and run COMMAND with them",
    text:
      "COMMAND finds them as descriptors 3, 4, …; LISTEN_FDS has their number if any, LISTEN_PID " +
      "is\nCOMMAND, AFUNIX_FDS is `3 4 …`, AFUNIX_MESSAGE is the text that came along. An ARG {} " +
      "becomes /dev/fd/3\n/dev/fd/4 …. Ends with COMMAND's exit code; without COMMAND, tells what " +
      "came.",
    options: {
      ...ADDRESSED,
      count: { value: "N", help: "wait until so many descriptors have come; 1 without it" },
      "max-bytes": { value: "N", help: "fail when more bytes come with them; 16 MiB without it" },
      stdin: { help: "the first one becomes COMMAND's stdin, and the others 3, 4, …" },
      connect: { help: "connect to a server that gives them, and do not listen" },
      ...FROM,
      ...SERVING,
    },
    splits: true,
    run: runTake,
  },
  who: {
    usage: "ADDRESS",
    summary: "tell who serves at an address",
    text:
      "Connects, and tells whom the kernel recorded when the socket began to listen, and which " +
      "processes\nhave it open. Of datagram sockets, only the latter is known.",
    options: {
      type: { value: "TYPE", short: "t", help: "stream, datagram or seqpacket; tries all without" },
      abstract: ADDRESSED.abstract!,
      timeout: ADDRESSED.timeout!,
    },
    run: runWho,
  },
  ls: {
    usage: "[TEXT]",
    summary: "list the machine's Unix sockets, and who has them open",
    text:
      "Only those whose path has TEXT in it. Owners are shown as far as you may see them. The " +
      "path is\n@name for an abstract name.",
    options: {
      type: { value: "TYPE", short: "t", help: "stream, datagram or seqpacket only" },
      listening: { short: "l", help: "only sockets that listen" },
      named: { help: "only sockets with a path or name" },
      pid: { value: "PID", help: "only sockets that this process has open" },
      watch: { short: "w", help: "go on: a live table, or with --json what changes" },
      interval: { value: "MS", help: "with --watch, how often to look; 1000 without it" },
    },
    run: runLs,
  },
};
