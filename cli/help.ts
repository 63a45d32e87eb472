/**
 * What `--help` prints.
 * @module
 */

import { COMMON, type OptionSpec } from "./arguments.ts";
import { type Command, COMMANDS } from "./commands.ts";
import { columns } from "./terminal/table.ts";

const ADDRESSES =
  "ADDRESS is a path, a file: URL, or @name for an abstract name (\\xNN is a byte, \\\\ a backslash).\n" +
  "A file called @x is ./@x. A single @, for those who bind: a name that the kernel chooses.";

const CODES =
  "Exit codes: 0 fine, 1 the operation failed, 2 wrong usage, 130 and 143 after SIGINT and " +
  "SIGTERM,\n129 after SIGHUP unless that was ignored, 141 when nobody reads stdout; take ends with its\ncommand's code.";

/** The overview. */
export function overview(): string {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => [`  ${name}`, summary]);
  return [
    "Usage: afunix COMMAND [OPTION…] ADDRESS …",
    "",
    "Unix domain sockets: stream, datagram and seqpacket, by path and by abstract name.",
    "",
    "Commands:",
    ...columns(commands),
    "",
    ...columns([
      ["  afunix COMMAND --help", "the options of a command"],
      ["  afunix --version", "the version"],
    ]),
    "",
    ADDRESSES,
    "",
    CODES,
  ].join("\n");
}

/** The help of one command. */
export function helpFor(name: string, command: Command): string {
  const { usage, summary, text, options } = command;
  return [
    `Usage: afunix ${name} [OPTION…] ${usage}`,
    "",
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    text,
    "",
    "Options:",
    ...columns(Object.entries({ ...options, ...COMMON }).map(optionRow)),
    ...("abstract" in options ? ["", ADDRESSES] : []),
    "",
    CODES,
  ].join("\n");
}

function optionRow([name, { value, short, help }]: [string, OptionSpec]): string[] {
  const letter = short === undefined ? "    " : `-${short}, `;
  return [`  ${letter}--${name}${value === undefined ? "" : ` ${value}`}`, help];
}
