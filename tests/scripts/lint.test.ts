import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { dirname, fromFileUrl, join } from "@std/path";
import { rooms } from "../../scripts/lint/floors.ts";
import { ROOT, run, withTempDir } from "../support/mod.ts";

const deno = join(ROOT, "node_modules", ".bin", "deno");
const skip = spawnSync(deno, ["--version"]).status !== 0 && "Deno does not run on this machine";

/** Lints files of a project; returns "rule: path:line: message" for each violation of the house's rules. */
async function lint(project: string, paths: readonly string[]): Promise<string[]> {
  const { stdout, stderr } = await run([deno, "lint", "--json", ...paths], { cwd: project });
  assert(stdout !== "", stderr);
  const { diagnostics, errors } = JSON.parse(stdout);
  assertEquals(errors, []);
  return diagnostics.filter((found: Diagnostic) => found.code.startsWith("house/"))
    .map(({ code, filename, range, message }: Diagnostic) => {
      const path = fromFileUrl(filename).slice(project.length + 1);
      return `${code.slice("house/".length)}: ${path}:${range.start.line}: ${message}`;
    }).sort();
}

interface Diagnostic {
  code: string;
  filename: string;
  range: { start: { line: number } };
  message: string;
}

/** Lints a project that has these files alone. */
async function lintFiles(files: Readonly<Record<string, string>>): Promise<string[]> {
  return await withTempDir(async (directory) => {
    const project = realpathSync(directory);
    const plugin = join("scripts", "lint");
    cpSync(join(ROOT, plugin), join(project, plugin), { recursive: true });
    const config = { lint: { plugins: ["./scripts/lint/house.ts"], rules: { tags: [] } } };
    for (const [path, text] of Object.entries({ "deno.json": JSON.stringify(config), ...files })) {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    }
    return await lint(project, Object.keys(files));
  });
}

/** Lints each source in a file of its own in these folders; the sources that do not have this many violations. */
async function exceptions(
  count: number,
  folders: readonly string[],
  sources: readonly string[],
): Promise<string[]> {
  const cases = folders.flatMap((folder) =>
    sources.map((source, index) => ({ path: join(folder, `${index}`, "a.ts"), source }))
  );
  const found = await lintFiles(Object.fromEntries(cases.map((each) => [each.path, each.source])));
  return cases.filter(({ path }) =>
    found.filter((line) => line.includes(` ${path}:`)).length !== count
  ).map(({ path, source }) => `${path}: ${source}`);
}

/** Every way to import. */
const waysToImport = (specifier: string) => [
  `import a from "${specifier}";`,
  `import {\n  a,\n} from "${specifier}";`,
  `import "${specifier}";`,
  `import type { A } from "${specifier}";`,
  `import { type A } from "${specifier}";`,
  `export * from '${specifier}';`,
  `export * as a from "${specifier}";`,
  `export { a } from "${specifier}";`,
  `export type { A } from "${specifier}";`,
  `await import("${specifier}");`,
  `type A = import("${specifier}").A;`,
  `let a: typeof import("${specifier}");`,
  `import a = require("${specifier}");`,
  `require("${specifier}");`,
];

/** Lets each file import others in every way; returns how many imports each may not make, by ways to import. */
async function forbiddenImports(
  imports: Readonly<Record<string, readonly string[]>>,
): Promise<Record<string, number>> {
  const files = Object.entries(imports).map(([path, targets]) => {
    const up = "../".repeat(path.split("/").length - 1) || "./";
    return [path, targets.flatMap((target) => waysToImport(up + target)).join("\n")] as const;
  });
  const found = await lintFiles(Object.fromEntries(files));
  const count = (path: string) =>
    found.filter((line) => line.startsWith(`imports: ${path}:`)).length / waysToImport("").length;
  return Object.fromEntries(files.map(([path]) => [path, count(path)]));
}

test("this project keeps the rules of the house, and ignores none of them", { skip }, async () => {
  const paths = ["ffi", "src", "cli", ...globSync("*.ts", { cwd: ROOT })];
  assertEquals(await lint(ROOT, paths), []);
  for (const path of globSync(["{ffi,src,cli}/**/*.ts", "*.ts"], { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, path), "utf8");
    assert(!/deno-lint-ignore(-file[^\S\n]*($|--)|.*\bhouse\/)/m.test(text), path);
  }
});

test("every room of scripts/lint/floors.ts exists", () => {
  const missing = rooms.filter((room) => room !== "*.ts" && !existsSync(join(ROOT, room)));
  assertEquals(missing, []);
});

test("house/imports lets imports point down only, types included", { skip }, async () => {
  const allowed = {
    "mod.ts": ["src/stream.ts", "src/io/reactor.ts", "ffi/mod.ts", "http.ts"],
    "debug.ts": ["src/debug/mod.ts", "ffi/debug/mod.ts"],
    "src/http/serve.ts": ["src/http/pool.ts", "src/stream.ts", "src/util/mutex.ts", "ffi/mod.ts"],
    "src/shm/doorbell.ts": ["src/fd/fd.ts", "src/errors.ts", "src/address.ts"],
    "src/debug/mod.ts": ["ffi/debug/mod.ts", "ffi/mod.ts"],
    "src/listener.ts": ["src/stream.ts", "src/socket/listen.ts"],
    "src/stream.ts": ["src/message/message.ts", "src/socket/socket.ts", "src/fd/fd.ts"],
    "src/message/batch.ts": ["src/message/message.ts", "src/socket/socket.ts", "src/io/reactor.ts"],
    "src/socket/bind.ts": ["src/io/reactor.ts", "src/address.ts", "src/util/mutex.ts"],
    "src/io/reactor.ts": ["src/util/mutex.ts", "ffi/mod.ts"],
    "src/address.ts": ["src/util/latin1.ts", "ffi/mod.ts"],
    "ffi/mod.ts": ["ffi/libc/file.ts", "ffi/native.ts"],
    "ffi/debug/mod.ts": ["ffi/libc/symbols.ts", "ffi/structs/field.ts"],
    "ffi/libc/file.ts": ["ffi/abi/mod.ts", "ffi/structs/cmsg.ts"],
    "ffi/structs/cmsg.ts": ["ffi/abi/mod.ts", "ffi/structs/field.ts"],
    "ffi/abi/mod.ts": ["ffi/abi/errno.ts"],
    "cli.ts": ["cli/main.ts"],
    "cli/commands/ls.ts": ["mod.ts", "http.ts", "cli/session.ts", "ffi/mod.ts"],
  };
  const none = Object.fromEntries(Object.keys(allowed).map((path) => [path, 0]));
  assertEquals(await forbiddenImports(allowed), none);
  const forbidden = {
    "mod.ts": ["cli/main.ts", "cli.ts", "ffi/native.ts", "ffi/abi/mod.ts", "tests/support/mod.ts"],
    "src/http/serve.ts": [
      ...["src/io/reactor.ts", "src/message/message.ts", "src/socket/listen.ts"],
      ...["src/systemd/notify.ts", "ffi/native.ts", "ffi/runtime/timers.ts", "http.ts"],
    ],
    "src/shm/doorbell.ts": ["ffi/debug/mod.ts", "src/debug/mod.ts"],
    "src/listener.ts": ["src/datagram.ts", "src/http/serve.ts"],
    "src/stream.ts": ["src/listener.ts", "mod.ts", "ffi/libc/file.ts", "tests/support/std.ts"],
    "src/message/batch.ts": ["src/datagram.ts", "ffi/structs/msghdr.ts"],
    "src/socket/bind.ts": ["src/message/message.ts", "src/stream.ts"],
    "src/io/reactor.ts": ["src/fd/fd.ts", "src/socket/socket.ts", "ffi/native.ts"],
    "src/util/mutex.ts": ["src/io/reactor.ts", "src/errors.ts", "ffi/libc/clock.ts"],
    "ffi/mod.ts": ["mod.ts", "src/util/latin1.ts", "ffi/debug/mod.ts"],
    "ffi/native.ts": ["ffi/debug/mod.ts"],
    "ffi/structs/cmsg.ts": ["ffi/libc/socket.ts", "ffi/native.ts"],
    "ffi/libc/file.ts": ["src/stream.ts", "ffi/mod.ts", "scripts/setup.mjs", "deno.json"],
    "ffi/abi/mod.ts": ["src/stream.ts", "ffi/libc/file.ts", "ffi/structs/cmsg.ts"],
    "cli/main.ts": [
      "src/stream.ts",
      "src/io/reactor.ts",
      "ffi/native.ts",
      "cli.ts",
      "bench/main.ts",
    ],
  };
  const all = Object.entries(forbidden).map(([path, targets]) => [path, targets.length]);
  assertEquals(await forbiddenImports(forbidden), Object.fromEntries(all));
});

test("house/imports says what is wrong", { skip }, async () => {
  const files = {
    "src/io/a.ts": 'import "../stream.ts";\nimport "../../ffi/native.ts";\nimport "node:fs";',
    "src/io/b.ts": 'import "../../tests/a.ts";\nimport "marked";\nawait import(name);',
    "src/new/a.ts": "export const a = 1;",
  };
  assertEquals(await lintFiles(files), [
    "imports: src/io/a.ts:1: Imports point down only, but src/stream.ts is not below src/io/",
    "imports: src/io/a.ts:2: src/io/ may not import ffi/native.ts",
    'imports: src/io/a.ts:3: src/io/a.ts may not import "node:fs"',
    "imports: src/io/b.ts:1: tests/a.ts is no part of the library",
    'imports: src/io/b.ts:2: The library has no dependency, but imports "marked"',
    "imports: src/io/b.ts:3: The library imports by plain strings only",
    "imports: src/new/a.ts:1: src/new/a.ts is in no room",
  ]);
});

test("house/imports finds a dependency, however it is imported", { skip }, async () => {
  const specifiers = ["marked", "@std/assert", "koffi", "jsr:@std/path", "https://deno.land/a.ts"];
  const folders = ["cli/commands", "src/io", "src/http", "ffi/runtime"];
  assertEquals(await exceptions(1, folders, specifiers.flatMap(waysToImport)), []);
  assertEquals(await lintFiles({ "mod.ts": 'export * from "marked";' }), [
    'imports: mod.ts:1: The library has no dependency, but imports "marked"',
  ]);
});

test("house/imports finds a computed specifier", { skip }, async () => {
  const sources = ["await import(name);", 'await import("mar" + "ked");', "await import(`a.ts`);"];
  assertEquals(await exceptions(1, ["cli", "src/io"], sources), []);
});

test(
  "house/imports allows modules of a runtime in ffi/runtime and cli/ only",
  { skip },
  async () => {
    const sources = ["node:fs", "bun:ffi"].flatMap(waysToImport);
    assertEquals(await exceptions(1, ["src/io", "src/http", "ffi/libc"], sources), []);
    assertEquals(await exceptions(0, ["ffi/runtime", "cli/commands"], sources), []);
  },
);

test("house/circles finds circles of imports, types included", { skip }, async () => {
  const circle = (folder: string, types: string, values: string) => ({
    [`${folder}a.ts`]: `import {\n  b,\n} from "./b.ts";`,
    [`${folder}b.ts`]: types,
    [`${folder}c.ts`]: values,
  });
  const way = (folder: string, names: string) =>
    Array.from(names, (name) => `${folder}${name}.ts`).join(" → ");
  const found = (folder: string, line: number) => [
    `circles: ${folder}a.ts:3: Circle of imports: ${way(folder, "abca")}`,
    `circles: ${folder}b.ts:${line}: Circle of imports: ${way(folder, "bcab")}`,
    `circles: ${folder}c.ts:1: Circle of imports: ${way(folder, "cabc")}`,
  ];
  const files = {
    ...circle("cli/", 'import type { C } from "./c.ts";', 'export * from "./a.ts";'),
    ...circle("ffi/abi/", 'export type { C } from "./c.ts";', 'await import("./a.ts");'),
    ...circle("src/io/", '\ntype C = import("./c.ts").C;', 'import "./a.ts";'),
    "src/util/a.ts": 'import "./a.ts";',
    "src/http/a.ts": 'import "./b.ts";\nimport "./c.ts";',
    "src/http/b.ts": 'import "./c.ts";\n// import "./a.ts";\n/**\n * import "./a.ts";\n */',
    "src/http/c.ts": 'import "./missing.ts";',
  };
  assertEquals(await lintFiles(files), [
    ...found("cli/", 1),
    ...found("ffi/abi/", 1),
    ...found("src/io/", 2),
    "circles: src/util/a.ts:1: Circle of imports: src/util/a.ts → src/util/a.ts",
  ]);
});

test("house/runtime finds a runtime's name in src/, and says where", { skip }, async () => {
  assertEquals(await lintFiles({ "src/io/a.ts": "const a = 1;\nconst b = Deno.pid;\n" }), [
    "runtime: src/io/a.ts:2: src/ names no runtime, but this says Deno",
  ]);
  const sources = [
    "Bun.version",
    "typeof Bun",
    "let file: Deno.FsFile;",
    "process.pid",
    "process?.pid",
    'process["pid"]',
    "let env: typeof process.env;",
    "globalThis.process.pid",
    "globalThis?.process",
    "(globalThis as { process: unknown }).process",
    "globalThis.Deno",
    "`${process.pid}`",
    "const half = 4 / 2; Deno.pid / 2",
  ];
  assertEquals(await exceptions(1, ["src/io", "src/http"], sources), []);
});

test(
  "house/runtime allows a runtime's name in comments, strings and other names, and outside src/",
  { skip },
  async () => {
    const sources = [
      "// Deno.pid",
      "/**\n * Bun.version, process.pid\n * import x from 'node:fs'\n */",
      'const text = "Deno.pid // from \\"node:fs\\"";',
      "const text = `Deno.pid from 'node:fs'`;",
      "const pattern = /Deno.[/'\"]process.pid/;",
      "task.process.pid",
      "const subprocess = 1; subprocess.toString();",
      "const process = 1;",
      "import { fromDeno } from './deno_names.ts';",
    ];
    assertEquals(await exceptions(0, ["src/io"], sources), []);
    assertEquals(await exceptions(0, ["ffi", "cli", "tests"], ["Deno.pid", "process.pid"]), []);
  },
);

test("house/runtime finds the name of a struct's member in src/", { skip }, async () => {
  const sources = ["layout.fields.sun_path;", "const { msg_iov: at } = layouts.msghdr.fields;"];
  assertEquals(await exceptions(1, ["src/io"], sources), []);
  assertEquals(await exceptions(0, ["ffi/structs"], sources), []);
});

test("house/entries lets an entry do nothing but export", { skip }, async () => {
  const code = ["const a = 1;", "console.log(1);", "export const a = 1;", "export default 1;"];
  code.push("export function a() {}", "export interface A {}", "await 1;", "type A = 1;");
  const exports = ['export * from "./src/a.ts";', 'export { a, type A } from "./src/stream.ts";'];
  exports.push('import "./src/stream.ts";', 'import { a } from "./src/stream.ts";\nexport { a };');
  const path = (index: number) => `entry${index}.ts`;
  const text = Object.fromEntries(
    [...code, ...exports.slice(1)].map((each, index) => [path(index), each]),
  );
  assertEquals(
    await lintFiles({ ...text, "cli.ts": "await 1;" }),
    code.map((_, index) => `entries: ${path(index)}:1: An entry does nothing but export`),
  );
});

test(
  "house/size finds a file of more than 500 lines and a folder of more than 16 files",
  { skip },
  async () => {
    const folder = (name: string, files: number) =>
      Object.fromEntries(Array.from({ length: files }, (_, index) => [`${name}/a${index}.ts`, ""]));
    const files = {
      "src/io/long.ts": "\n".repeat(501),
      "src/io/short.ts": "\n".repeat(500),
      ...folder("src/http", 17),
      ...folder("cli/commands", 16),
    };
    assertEquals(await lintFiles(files), [
      "size: src/http/a0.ts:1: src/http/ has 17 files, more than 16",
      "size: src/io/long.ts:1: src/io/long.ts has 501 lines, more than 500",
    ]);
  },
);
