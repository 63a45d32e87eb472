/**
 * What `npm run bench -- …` understands.
 * @module
 */

import { parseArgs } from "node:util";
import { type Options, runtimeNames } from "./types.ts";

export const usage: string = `Usage: npm run bench [-- OPTIONS]

  --quick           fewer rounds and repeats: minutes, and rougher figures
  --only TEXT       only workloads whose name contains TEXT; may be given several times
  --runtime NAME    only this runtime: deno, bun or node; may be given several times
  --repeats N       how many times each contender runs (default: 5; with --quick 3)
  --json FILE       write every figure there, and leave the document and its files alone
  --from FILE       measure nothing: show the figures in FILE, and rewrite the document from them
  --help`;

/** Throws an Error meant for the user if the arguments make no sense; null asks for help. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      runtime: { type: "string", multiple: true, default: [] },
      repeats: { type: "string" },
      json: { type: "string" },
      from: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const runtimes = runtimeNames.filter((name) =>
    values.runtime.length === 0 || values.runtime.includes(name)
  );
  const unknown = values.runtime.find((name) => !(runtimeNames as string[]).includes(name));
  if (unknown !== undefined) throw new Error(`No runtime "${unknown}": deno, bun or node`);
  const repeats = Number(values.repeats ?? (values.quick ? 3 : 5));
  if (!Number.isInteger(repeats) || repeats < 1) throw new Error("--repeats takes a number from 1");
  const { quick, only, json = null, from = null } = values;
  return { quick, only, runtimes, repeats, json, from };
}
