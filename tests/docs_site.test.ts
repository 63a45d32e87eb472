import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { once } from "node:events";
import { pathToFileURL } from "node:url";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { commandFor, hasProgram, ROOT, run, RUNTIME, withTempDir } from "./support/mod.ts";

const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];
const browser = BROWSERS.find(hasProgram);

/** Why the browser does not browse; false where it does. */
const noBrowser: string | false = RUNTIME !== "node"
  ? "the browser needs to see the site once only: on Node.js"
  : browser === undefined && !process.env.AFUNIX_REQUIRE_PROGRAMS
  ? `needs one of ${BROWSERS.join(", ")}`
  : false;

/** Builds the site into a folder. */
async function build(site: string): Promise<void> {
  const script = join(ROOT, "scripts", "build_docs.ts");
  const finished = await run([...commandFor(RUNTIME, script), "--output", site]);
  assertEquals({ code: finished.code, stderr: finished.stderr }, { code: 0, stderr: "" });
  assertMatch(finished.stdout, /^Wrote \d+ pages/);
}

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  css: "text/css",
  js: "text/javascript",
  svg: "image/svg+xml",
  json: "application/json",
};

/** Serves the files of a folder, and nothing else. */
async function serveFiles(folder: string): Promise<{ origin: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    // A URL has no ".." left in its path.
    const path = decodeURIComponent(new URL(request.url!, "http://localhost").pathname);
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[file.split(".").at(-1)!] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "cache-control": "max-age=600" }).end(
      readFileSync(file),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

test("scripts/build_docs.ts makes a page of every guide, with the API behind its names", async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    const index = readFileSync(join(site, "index.html"), "utf8");
    for (const guide of globSync("docs/guides/*.md", { cwd: ROOT })) {
      const page = guide.replace("docs/", "").replace(".md", ".html");
      assert(existsSync(join(site, page)), page);
      assertStringIncludes(index, `href="${page}"`);
    }
    const streams = readFileSync(join(site, "guides", "streams.html"), "utf8");
    assertStringIncludes(streams, `href="../api/~/UnixStream.connect.html"`);
    assertStringIncludes(streams, `href="../api/node/~/intoNodeSocket.html"`);
    assertStringIncludes(streams, `href="security.html#who-may-connect"`);
    assert(!/<(?:script|iframe)\b/.test(streams));
  });
});

test("scripts/build_docs.ts builds again over what it built, and over nothing else", async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    await build(site);
    const script = join(ROOT, "scripts", "build_docs.ts");
    const { code, stderr } = await run([...commandFor(RUNTIME, script), "--output", directory]);
    assertEquals({ code, stderr }, {
      code: 1,
      stderr: `Cannot build into "${directory}": there are other files in it\n`,
    });
    assert(existsSync(join(site, "index.html")));
  });
});

/** What a page of the site has, as the browser sees it. */
interface Seen {
  links: string[];
  ids: string[];
  wide: boolean;
}

/** Where a page leads that does nothing but lead on, as some of the API do. */
function redirection(site: string, inside: string, url: string): string | undefined {
  const file = join(site, decodeURIComponent(url.slice(inside.length)));
  if (!existsSync(file) || !statSync(file).isFile()) return undefined;
  const found = /<meta http-equiv="refresh" content="0; url=([^"]+)"/.exec(
    readFileSync(file, "utf8"),
  );
  return found === null ? undefined : new URL(found[1]!.replaceAll("&#x2F;", "/"), url).href;
}

/** Looks at every page that can be reached from the first one, and returns what is wrong. */
async function browse(
  site: string,
  inside: string,
  wanted: (url: string) => boolean = () => true,
): Promise<{ pages: number; wrong: string[] }> {
  const start = `${inside}/index.html`;
  const { default: puppeteer } = await import("puppeteer-core");
  const path = (await run(["sh", "-c", `command -v ${browser}`])).stdout.trim();
  const launched = await puppeteer.launch({
    executablePath: path,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const wrong: string[] = [];
  const seen = new Map<string, Seen>();
  try {
    const page = await launched.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    let here = start;
    page.on("console", (message) => {
      if (message.type() === "error") wrong.push(`${here}: ${message.text()}`);
    });
    page.on("pageerror", (error) => wrong.push(`${here}: ${error}`));
    page.on("requestfailed", (request) => wrong.push(`${here}: ${request.url()} failed`));
    page.on("response", (response) => {
      if (response.status() >= 400) wrong.push(`${here}: ${response.url()} ${response.status()}`);
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(inside) && !url.startsWith("data:")) {
        wrong.push(`${here}: asks for ${url}`);
      }
    });
    const open = [start];
    for (let url; (url = open.pop()) !== undefined;) {
      if (seen.has(url) || !wanted(url)) continue;
      const further = redirection(site, inside, url);
      if (further !== undefined) {
        open.push(further);
        continue;
      }
      here = url;
      await page.goto(url, { waitUntil: "load" });
      // As text: the types of the page's own world are not those of this file.
      const found = await page.evaluate(`({
        links: [...document.querySelectorAll("a[href]")].map((link) => link.href),
        ids: [...document.querySelectorAll("[id], a[name]")].map((node) => node.id || node.name),
        wide: document.documentElement.scrollWidth > innerWidth,
      })`) as Seen;
      seen.set(url, found);
      if (found.wide) wrong.push(`${url}: is wider than the window`);
      for (const link of found.links) {
        const target = link.split("#")[0]!;
        if (target.startsWith(inside) && /(?:\.html|\/)$/.test(target)) open.push(target);
      }
    }
    for (const [url, { links }] of seen) {
      for (const link of links) {
        const [named = "", anchor = ""] = link.split("#");
        if (!named.startsWith(inside)) continue;
        const target = redirection(site, inside, named) ?? named;
        const ids = seen.get(target)?.ids;
        if (ids === undefined) {
          const answered = target.startsWith("http")
            ? (await fetch(target)).ok
            : existsSync(new URL(target));
          if (!answered) wrong.push(`${url}: a broken link to ${link}`);
        } else if (anchor !== "" && !ids.includes(decodeURIComponent(anchor))) {
          wrong.push(`${url}: a link to ${link}, where nothing has this name`);
        }
      }
    }
  } finally {
    await launched.close();
  }
  return { pages: seen.size, wrong };
}

/** The pages that there are: every one of them has to be reachable. */
function pagesIn(site: string): number {
  return globSync("**/*.html", { cwd: site }).length;
}

test("A browser finds every page of the site, every link and no error", {
  skip: noBrowser,
  timeout: 160_000,
}, async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    await using server = await serveFiles(site);
    const { pages, wrong } = await browse(site, server.origin);
    assertEquals([...new Set(wrong)], []);
    assert(pages > 100 && pages <= pagesIn(site), `${pages} pages`);
  });
});

test("A browser finds the same without a server, from the files", {
  skip: noBrowser,
  timeout: 160_000,
}, async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    // The names of the API, hundreds of pages of one kind, were seen before.
    const guides = (url: string) => !url.includes("/~/");
    const { pages, wrong } = await browse(site, pathToFileURL(site).href, guides);
    assertEquals([...new Set(wrong)], []);
    assert(pages > 30, `${pages} pages`);
  });
});
