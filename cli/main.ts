/**
 * The command line: finds the command, runs it, and ends the process with its code.
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { Arguments } from "./arguments.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT, lineOf, recordOf, UsageError } from "./failures.ts";
import { helpFor, overview } from "./help.ts";
import { Session } from "./session.ts";
import { environmentVariable } from "./system/runtime.ts";
import { VERSION } from "./version.ts";
import { BrokenPipe, errWritten, watchStreams, writeErr, writeOut } from "./terminal/writing.ts";

const debugMode = environmentVariable("AFUNIX_DEBUG") ?? "";
const inDebugMode = ["1", "strict", "pointers"].includes(debugMode);

/**
 * Runs the command line, and ends the process.
 *
 * @param argv what stands behind the program's name
 */
export async function main(argv: readonly string[]): Promise<never> {
  hideExperimentalWarnings();
  if (inDebugMode) await import("../debug.ts");
  watchStreams();
  const code = await run(argv);
  // The runtime would wait for a standard input that nobody needs any more.
  process.exit(code);
}

async function run(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  const wanted = first === "help" ? rest[0] ?? "--help" : first;
  if (wanted === "--help" || wanted === "-h") return await print(overview());
  if (wanted === "--version" || wanted === "-V") return await print(VERSION);
  if (wanted === undefined) return await fail("A command is missing", "");
  const command = Object.hasOwn(COMMANDS, wanted) ? COMMANDS[wanted]! : undefined;
  if (command === undefined) {
    const what = wanted.startsWith("-") ? "option" : "command";
    return await fail(`Unknown ${what}: ${wanted}`, "");
  }
  if (first === "help") return await print(helpFor(wanted, command));
  let session;
  try {
    checkEncoding(rest);
    const args = new Arguments(rest, command.options, command.splits);
    if (args.has("help")) return await print(helpFor(wanted, command));
    session = new Session(args);
  } catch (error) {
    const own = command.splits && rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
    return await fail(error, ` ${wanted}`, own.includes("--json"));
  }
  let code: number;
  try {
    code = await Promise.race([command.run(session), session.ended]);
  } catch (error) {
    await session.finish();
    session.output.error(error, error instanceof UsageError ? see(` ${wanted}`) : "");
    if (inDebugMode && debugMode !== "pointers") console.error(error);
    await session.told();
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
  if (code !== EXIT.brokenPipe) await Promise.race([session.finish(), session.ended]);
  await session.told();
  return code;
}

/** Throws where an argument has bytes that are no text: the runtime put U+FFFD in their places. */
function checkEncoding(argv: readonly string[]): void {
  if (!argv.some((text) => text.includes("\ufffd"))) return;
  let bytes;
  try {
    bytes = readFileSync("/proc/self/cmdline");
  } catch {
    return; // Nobody can tell, and it may be what was meant.
  }
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(
      "An argument is not UTF-8: in a file: URL, %NN is a byte, in @NAME \\xNN; data may come on stdin",
    );
  }
}

function see(command: string): string {
  return `; see afunix${command} --help`;
}

/** Wrong usage before there is a session. */
async function fail(error: unknown, command: string, json = false): Promise<number> {
  const line = json
    ? JSON.stringify(recordOf(error instanceof Error ? error : new UsageError(String(error))))
    : lineOf(error) + see(command);
  writeErr(`${line}\n`);
  await errWritten();
  return EXIT.usage;
}

async function print(text: string): Promise<number> {
  try {
    await writeOut(`${text}\n`);
    return EXIT.fine;
  } catch (error) {
    if (error instanceof BrokenPipe) return EXIT.brokenPipe;
    writeErr(`${lineOf(error)}\n`);
    await errWritten();
    return EXIT.failed;
  }
}

/** Node.js warns of `node:ffi` at first use, which is no news to those who run this program. */
function hideExperimentalWarnings(): void {
  const printers = process.listeners("warning");
  if (printers.length === 0) return;
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name === "ExperimentalWarning") return;
    for (const print of printers) print.call(process, warning);
  });
}
