/**
 * The rules of the house as a plugin for `deno lint`: they hold in the editor and in `npm run check`.
 * @module
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { mayImportRuntime, roomOf, wrongImport } from "./floors.ts";

const MAX_LINES = 500;
const MAX_FILES = 16;
/** cli.ts is a program. node.ts names types of node:net, which src/ may not. */
const ENTRIES_WITH_CODE = ["cli.ts", "node.ts"];

const root = join(import.meta.dirname!, "..", "..");

type Report = (node: Deno.lint.Node, message: string) => void;

/** A rule about the files of the house, whose paths are relative to the root. */
function rule(
  visit: (path: string, report: Report, source: Deno.lint.SourceCode) => Deno.lint.LintVisitor,
): Deno.lint.Rule {
  return {
    create(context) {
      const path = relative(root, context.filename);
      if (!/^(?:(?:ffi|src|cli)\/.*|[^/]+\.ts)$/.test(path)) return {};
      const hint = "CONTRIBUTING.md says where each thing goes";
      const report: Report = (node, message) => context.report({ node, message, hint });
      return visit(path, report, context.sourceCode);
    },
  };
}

const importedNames = ":matches(ImportDeclaration, ImportExpression, TSExternalModuleReference, " +
  "ExportAllDeclaration, ExportNamedDeclaration) > Literal, TSImportType > TSLiteralType > Literal";

/** Visits imports, static and dynamic, re-exports, `import()` types and `require()`; undefined is a computed name. */
function imports(
  found: (node: Deno.lint.Node, specifier: string | undefined) => void,
): Deno.lint.LintVisitor {
  return {
    [importedNames]: (node) => found(node, node.value),
    "ImportExpression[source.type!='Literal']": (node) => found(node, undefined),
    "CallExpression[callee.name='require']": (node) => found(node, node.arguments[0]?.value),
  };
}

/** The files that a file on the disk imports. There is no syntax tree of a file that is not being linted. */
function importsOf(path: string): string[] {
  const file = join(root, path);
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const pattern = /(?:^(?:import|export|\}).*|\bimport\()["'](\.[^"']+)["']/gm;
  return Array.from(text.matchAll(pattern), (match) => join(dirname(path), match[1]!));
}

/** The way from one file to another by imports. It stays in one room, because rooms import downwards only. */
function wayTo(end: string, from: string, seen: Set<string>): string[] | undefined {
  if (from === end) return [end];
  if (seen.has(from) || roomOf(from) !== roomOf(end)) return undefined;
  seen.add(from);
  for (const next of importsOf(from)) {
    const rest = wayTo(end, next, seen);
    if (rest !== undefined) return [from, ...rest];
  }
  return undefined;
}

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    imports: rule((path, report) => {
      if (roomOf(path) === undefined) {
        return { Program: (node) => report(node, `${path} is in no room`) };
      }
      return imports((node, specifier) => {
        if (specifier === undefined) report(node, "The library imports by plain strings only");
        else if (/^(?:node|bun):/.test(specifier)) {
          if (!mayImportRuntime(path)) report(node, `${path} may not import "${specifier}"`);
        } else if (/^\.\.?\//.test(specifier)) {
          const wrong = wrongImport(path, join(dirname(path), specifier));
          if (wrong !== undefined) report(node, wrong);
        } else report(node, `The library has no dependency, but imports "${specifier}"`);
      });
    }),

    circles: rule((path, report) => {
      const seen = new Set<string>();
      return imports((node, specifier) => {
        if (!specifier?.startsWith(".")) return;
        const way = wayTo(path, join(dirname(path), specifier), seen);
        if (way !== undefined) report(node, `Circle of imports: ${[path, ...way].join(" → ")}`);
      });
    }),

    runtime: rule((path, report, source) => {
      if (!path.startsWith("src/")) return {};
      const named = (what: string) => (node: Deno.lint.Identifier) =>
        report(node, `src/ names no ${what}, but this says ${node.name}`);
      return {
        "Identifier[name=/^(Deno|Bun)$/]": named("runtime"),
        ":matches(MemberExpression, TSQualifiedName) > Identifier[name='process']"(node) {
          const owner = node.parent.object ?? node.parent.left;
          const isGlobal = owner === node || /\bglobalThis\b/.test(source.getText(owner));
          if (isGlobal) named("runtime")(node);
        },
        "Identifier[name=/^(sun|msg|cmsg|iov|st|cr)_/]": named("struct member"),
      };
    }),

    entries: rule((path, report) => {
      if (path.includes("/") || ENTRIES_WITH_CODE.includes(path)) return {};
      return {
        Program({ body }) {
          for (const node of body) {
            const exports = node.type === "ExportNamedDeclaration" && node.declaration === null;
            if (exports || /^(?:Import|ExportAll)Declaration$/.test(node.type)) continue;
            report(node, "An entry does nothing but export");
          }
        },
      };
    }),

    size: rule((path, report, { text }) => ({
      Program(node) {
        const lines = text.split("\n").length - 1;
        if (lines > MAX_LINES) report(node, `${path} has ${lines} lines, more than ${MAX_LINES}`);
        const folder = dirname(path);
        const files = readdirSync(join(root, folder)).filter((name) => name.endsWith(".ts")).sort();
        if (folder !== "." && files.length > MAX_FILES && files[0] === basename(path)) {
          report(node, `${folder}/ has ${files.length} files, more than ${MAX_FILES}`);
        }
      },
    })),
  },
};

export default plugin;
