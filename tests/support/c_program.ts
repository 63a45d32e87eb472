/**
 * Small C programs: the other opinion about bytes.
 * @module
 */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "@std/path";
import { afterClosing } from "./late_closing.ts";
import { withTempDir } from "./sockets.ts";

/** Compiles a C program, runs it with these arguments, and returns what it prints. */
export function runC(
  source: string,
  args: readonly string[] = [],
  compiler = "cc",
): Promise<string> {
  return withTempDir((directory) => {
    const [file, binary] = [join(directory, "program.c"), join(directory, "program")];
    writeFileSync(file, source);
    execFileSync(compiler, ["-o", binary, file], { stdio: ["ignore", "ignore", "inherit"] });
    return afterClosing(() => execFileSync(binary, args, { encoding: "utf8" }));
  });
}
