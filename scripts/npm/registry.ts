/**
 * A registry that has this package alone, as npm's and as JSR's: what `npm install`, `bun add` and
 * `deno add` ask, so that the commands of the guides can be run before anything is released.
 */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { configuration, OUT, ROOT } from "./project.ts";

/** A file that is served, with its type. */
interface Served {
  type: string;
  data: string | Uint8Array;
}

/** The registry, on a port of this machine. */
export class Registry implements AsyncDisposable {
  readonly #server: Server;
  readonly #archive: Uint8Array;

  private constructor(archive: string) {
    this.#archive = readFileSync(archive);
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** @param archive the packed npm package */
  static async start(archive: string): Promise<Registry> {
    const registry = new Registry(archive);
    registry.#server.listen(0, "127.0.0.1");
    await once(registry.#server, "listening");
    return registry;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The variables that lead here, with caches in a folder of their own: a build is no release. */
  environment(caches: string): Record<string, string> {
    return {
      npm_config_registry: `${this.origin}/`,
      NPM_CONFIG_REGISTRY: `${this.origin}/`,
      JSR_URL: `${this.origin}/`,
      npm_config_cache: join(caches, "npm"),
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
      BUN_INSTALL_CACHE_DIR: join(caches, "bun"),
      DENO_DIR: join(caches, "deno"),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  #answer({ url = "" }: IncomingMessage, response: ServerResponse): void {
    const served = this.#npm(url) ?? jsr(url);
    if (served === null) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": served.type }).end(served.data);
  }

  #npm(url: string): Served | null {
    const manifest = JSON.parse(readFileSync(join(OUT, "package.json"), "utf8"));
    const { name, version } = manifest;
    const archive = `/${name}/-/${name}-${version}.tgz`;
    if (url === archive) return { type: "application/octet-stream", data: this.#archive };
    if (url !== `/${name}`) return null;
    const integrity = `sha512-${createHash("sha512").update(this.#archive).digest("base64")}`;
    const dist = { tarball: this.origin + archive, integrity };
    return json({
      name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
    });
  }
}

/** The package on JSR: its sources as they are. */
function jsr(url: string): Served | null {
  const { name, version, exports, publish } = configuration();
  const path = url.startsWith(`/${name}/`) ? url.slice(name.length + 2) : null;
  if (path === null) return null;
  if (path === "meta.json") {
    const [scope, bare] = name.slice(1).split("/");
    return json({ scope, name: bare, latest: version, versions: { [version]: {} } });
  }
  const files = publish.include.flatMap(filesIn);
  if (path === `${version}_meta.json`) {
    const manifest = files.map((file) => {
      const data = readFileSync(join(ROOT, file));
      const checksum = `sha256-${createHash("sha256").update(data).digest("hex")}`;
      return [`/${file}`, { size: data.length, checksum }];
    });
    return json({ manifest: Object.fromEntries(manifest), exports });
  }
  const file = path.startsWith(`${version}/`) ? path.slice(version.length + 1) : "";
  if (!files.includes(file)) return null;
  const type = file.endsWith(".ts") ? "text/typescript" : "text/plain";
  return { type, data: readFileSync(join(ROOT, file)) };
}

function filesIn(path: string): string[] {
  if (statSync(join(ROOT, path)).isFile()) return [path];
  return readdirSync(join(ROOT, path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1));
}

function json(value: unknown): Served {
  return { type: "application/json", data: JSON.stringify(value) };
}
