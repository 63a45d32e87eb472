/** The pages of the API, made by `deno doc` from the docstrings. */

import { spawnSync } from "node:child_process";
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import process from "node:process";

/** Where the names of the API are documented: each with its page, from the site's root. */
export type Names = ReadonlyMap<string, string>;

/** The entry points that `deno.json` names. */
function entryPoints(root: string): string[] {
  const { exports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  return Object.values(exports as Record<string, string>);
}

/** The pinned Deno, or the one that is found. */
function denoBinary(root: string): string {
  const pinned = join(root, "node_modules", ".bin", "deno");
  return existsSync(pinned) ? pinned : "deno";
}

/**
 * Makes the pages in `site/api`, with a link back to the guides on each.
 *
 * @throws {Error} with what Deno said, where it fails
 */
export function buildApi(root: string, site: string): Names {
  const entries = entryPoints(root);
  const output = join(site, "api");
  const { status, stderr, error } = spawnSync(
    denoBinary(root),
    ["doc", "--quiet", "--html", "--name=afunix", `--output=${output}`, ...entries],
    { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  if (status !== 0) {
    throw new Error(`Cannot document the API: ${error?.message ?? stderr.trim()}`);
  }
  const files = globSync("**/*.html", { cwd: output });
  for (const file of files) addWayBack(output, file);
  for (const file of files) mendFragments(join(output, file));
  return namesIn(output, output);
}

/** The icon keeps browsers from asking a server for one. */
export const ICON = `<link rel="icon" href="data:,">`;

/** A link to the guides in the line at the top of a page of the API. */
function addWayBack(api: string, file: string): void {
  const path = join(api, file);
  const home = `${"../".repeat(file.split(sep).length)}index.html`;
  const html = readFileSync(path, "utf8");
  const changed = html
    .replace("<head>", `<head>\n  ${ICON}`)
    .replace(
      `<ul class="breadcrumbs">`,
      `<a href="${home}" class="contextLink">Guides</a><span>&nbsp;&nbsp;|&nbsp;&nbsp;</span>$&`,
    )
    // The headings of examples are linked to, and Deno gives them no name.
    .replace(
      /<div class="anchorable">(?=<a href="#(example_[^"]+)" class="anchor")/g,
      (start, id) => html.includes(` id="${id}"`) ? start : `<div class="anchorable" id="${id}">`,
    )
    // Deno leaves the link of a page to itself empty, which a directory's listing would answer.
    .replaceAll(`<a href="" class="contextLink">`, `<a href="#" class="contextLink">`);
  writeFileSync(path, changed);
}

/**
 * Leaves the name of a place out of a link where the page has no such place: Deno links methods of
 * interfaces that are optional or overloaded by numbers that it gives to none.
 */
function mendFragments(path: string): void {
  const html = readFileSync(path, "utf8");
  const changed = html.replaceAll(/href="([^":]+\.html)#([\w-]+)"/g, (link, page, place) => {
    const target = join(dirname(path), decodeURI(page.replaceAll("&#x2F;", "/")));
    const there = existsSync(target) && readFileSync(target, "utf8").includes(` id="${place}"`);
    return there ? link : `href="${page}"`;
  });
  if (changed !== html) writeFileSync(path, changed);
}

/** The pages of names, of every entry point; the first that exports a name has it. */
function namesIn(api: string, folder: string): Map<string, string> {
  const names = new Map<string, string>();
  const symbols = join(folder, "~");
  if (existsSync(symbols)) {
    for (const file of readdirSync(symbols).filter((name) => name.endsWith(".html")).sort()) {
      const page = `api/${relative(api, join(symbols, file)).replaceAll(sep, "/")}`;
      names.set(file.slice(0, -5), page);
    }
  }
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === "~") continue;
    for (const [name, page] of namesIn(api, join(folder, entry.name))) {
      if (!names.has(name)) names.set(name, page);
    }
  }
  return names;
}

/** The page of a name as it stands in a text: `UnixStream.pair()`, `configure`, `new SendBatch()`. */
export function pageOf(names: Names, code: string): string | undefined {
  const called = /^(?:new )?([A-Za-z]\w*(?:\.\w+)?)(?:\([^]*\))?$/.exec(code)?.[1];
  if (called === undefined) return undefined;
  const [owner = "", member] = called.split(".");
  if (member === undefined) return names.get(owner);
  return names.get(called) ?? names.get(`${owner}.prototype.${member}`);
}
