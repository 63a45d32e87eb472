/** Blanks what is not code, so that plain patterns can be searched in a TypeScript source. */

/** Comments, strings and templates up to a `${`, and regular expressions, in the order they must be tried. */
const notCode =
  /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'|\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/\w*/y;

/** A slash after one of these starts a regular expression; after anything else it divides. */
const beforeRegExp =
  /(?:^|[=(,:;!&|?{}[+\-*%~<>^]|\b(?:return|typeof|case|in|of|delete|void|throw|await|yield))\s*$/;

/**
 * Replaces comments, regular expressions and, if asked to, the insides of strings and templates by spaces. Line breaks and
 * offsets stay as they are; code in a template's `${…}` stays.
 */
export function maskSource(source: string, { strings }: { strings: boolean }): string {
  let masked = "";
  // For each open template: how many braces are open in its `${…}`, or "text" while in its text.
  const templates: ("text" | number)[] = [];
  let at = 0;
  const keep = (length: number) => {
    masked += source.slice(at, at + length);
    at += length;
  };
  const blank = (length: number) => {
    masked += source.slice(at, at + length).replaceAll(/[^\n]/g, " ");
    at += length;
  };
  while (at < source.length) {
    const state = templates.at(-1);
    const next = source[at]!;
    if (state === "text") {
      if (next === "`") {
        templates.pop();
        keep(1);
      } else if (source.startsWith("${", at)) {
        templates[templates.length - 1] = 0;
        keep(2);
      } else {
        const length = next === "\\" ? 2 : 1;
        if (strings) blank(length);
        else keep(length);
      }
      continue;
    }
    notCode.lastIndex = at;
    const found = notCode.exec(source)?.[0];
    if (found !== undefined && (next === '"' || next === "'")) {
      keep(1);
      if (strings) blank(found.length - 2);
      else keep(found.length - 2);
      keep(1);
    } else if (found !== undefined && (/^\/[/*]/.test(found) || beforeRegExp.test(masked))) {
      blank(found.length);
    } else {
      if (next === "`") templates.push("text");
      else if (typeof state === "number" && next === "{") {
        templates[templates.length - 1] = state + 1;
      } else if (typeof state === "number" && next === "}") {
        templates[templates.length - 1] = state === 0 ? "text" : state - 1;
      }
      keep(1);
    }
  }
  return masked;
}
