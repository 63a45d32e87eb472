import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { once } from "node:events";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { commandFor, hasProgram, ROOT, run, RUNTIME, withTempDir } from "../support/mod.ts";

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

/** What a page says of itself, without a browser. */
interface Page {
  links: string[];
  ids: Set<string>;
  /** The file to which it leads at once, as some pages of the API do. */
  further: string | undefined;
}

/** The text of an attribute, which deno doc writes with these entities. */
function plain(attribute: string): string {
  return attribute.replaceAll("&#x2F;", "/").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

/** The file that a link within the site means. */
function fileOf(link: string): string {
  const path = fileURLToPath(link);
  return link.split("#")[0]!.endsWith("/") ? join(path, "index.html") : path;
}

/** The pages of a site, by their files. */
function readPages(site: string): Map<string, Page> {
  return new Map(
    globSync("**/*.html", { cwd: site }).map((name): [string, Page] => {
      const file = join(site, name);
      const text = readFileSync(file, "utf8");
      const all = (pattern: RegExp) => [...text.matchAll(pattern)].map((found) => plain(found[1]!));
      const address = pathToFileURL(file).href;
      const [further] = all(/<meta http-equiv="refresh" content="0; url=([^"]+)"/g);
      return [file, {
        links: all(/<a\b[^>]*?\shref="([^"]*)"/g).map((link) => new URL(link, address).href),
        ids: new Set(all(/\s(?:id|name)="([^"]*)"/g)),
        further: further === undefined ? undefined : fileOf(new URL(further, address).href),
      }];
    }),
  );
}

/** Every link of every page, within the site, that leads to nothing. */
function brokenLinks(site: string): string[] {
  const pages = readPages(site);
  const broken: string[] = [];
  for (const [file, { links, further }] of pages) {
    if (further !== undefined && !pages.has(further)) broken.push(`${file}: ${further}`);
    for (const link of links.filter((link) => link.startsWith("file:"))) {
      const named = fileOf(link);
      const anchor = decodeURIComponent(link.split("#")[1] ?? "");
      const target = pages.get(pages.get(named)?.further ?? named);
      const there = target === undefined
        ? existsSync(named) && statSync(named).isFile()
        : anchor === "" || target.ids.has(anchor);
      if (!there) broken.push(`${file}: ${link}`);
    }
  }
  return broken;
}

test("scripts/build_docs.ts makes a page of every guide and of the internals, with the API behind names", async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    const index = readFileSync(join(site, "index.html"), "utf8");
    for (const text of globSync("docs/{guides,internals}/*.md", { cwd: ROOT })) {
      const page = text.replace("docs/", "").replace("README", "index").replace(".md", ".html");
      assert(existsSync(join(site, page)), page);
      assertStringIncludes(index, `href="${page}"`);
    }
    const streams = readFileSync(join(site, "guides", "streams.html"), "utf8");
    assertStringIncludes(streams, `href="../api/~/UnixStream.connect.html"`);
    assertStringIncludes(streams, `href="../api/node/~/intoNodeSocket.html"`);
    assertStringIncludes(streams, `href="security.html#who-may-connect"`);
    assert(!/<(?:script|iframe)\b/.test(streams));
    assertEquals(brokenLinks(site), []);
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

/** Looks at pages of the site, and returns what is wrong. */
async function browse(
  site: string,
  inside: string,
  wanted: (page: string, index: number) => boolean,
): Promise<{ pages: number; wrong: string[] }> {
  const { default: puppeteer } = await import("puppeteer-core");
  const path = (await run(["sh", "-c", `command -v ${browser}`])).stdout.trim();
  const launched = await puppeteer.launch({
    executablePath: path,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const pages = [...readPages(site)]
    .filter(([, { further }]) => further === undefined)
    .map(([file]) => file.slice(site.length + 1)).sort().filter(wanted);
  const wrong: string[] = [];
  try {
    const page = await launched.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    let here = "";
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
    for (here of pages) {
      await page.goto(`${inside}/${here}`, { waitUntil: "load" });
      // As text: the types of the page's own world are not those of this file.
      const wide = await page.evaluate(`document.documentElement.scrollWidth > innerWidth`);
      if (wide) wrong.push(`${here}: is wider than the window`);
    }
  } finally {
    await launched.close();
  }
  return { pages: pages.length, wrong: [...new Set(wrong)] };
}

/** Every page, but of the members of classes, hundreds of one kind, only some. */
function manifold(page: string, index: number): boolean {
  return !/\/~\/.*\..*\.html$/.test(page) || index % 16 === 0;
}

function isGuide(page: string): boolean {
  return !page.includes("/~/");
}

test("A browser shows every kind of page of the site, without an error", {
  skip: noBrowser,
  timeout: 160_000,
}, async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    await using server = await serveFiles(site);
    const { pages, wrong } = await browse(site, server.origin, manifold);
    assertEquals(wrong, []);
    assert(pages > 100, `${pages} pages`);
  });
});

test("A browser shows the same without a server, from the files", {
  skip: noBrowser,
  timeout: 160_000,
}, async () => {
  await withTempDir(async (directory) => {
    const site = join(directory, "site");
    await build(site);
    const { pages, wrong } = await browse(site, pathToFileURL(site).href, isGuide);
    assertEquals(wrong, []);
    assert(pages > 30, `${pages} pages`);
  });
});
