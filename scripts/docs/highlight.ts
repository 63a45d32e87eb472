/** Colours for code: comments, strings, numbers and keywords, found by one pass over the text. */

const KEYWORDS =
  "abstract|as|async|await|break|case|catch|class|const|continue|default|delete|do|else|export|" +
  "extends|false|finally|for|from|function|if|implements|import|in|instanceof|interface|let|new|" +
  "null|of|private|protected|public|readonly|return|satisfies|static|super|switch|this|throw|true|" +
  "try|type|typeof|undefined|using|var|void|while|yield";

const SCRIPT = new RegExp(
  [
    String.raw`(?<comment>//[^\n]*|/\*[^]*?\*/)`,
    String.raw`(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|` + "`(?:[^`\\\\]|\\\\[^])*`)",
    String.raw`(?<![\w$.])(?<keyword>${KEYWORDS})(?![\w$])`,
    String.raw`(?<![\w$])(?<number>0[xob][\da-f_]+|\d[\d_]*(?:\.\d+)?)(?![\w$])`,
  ].join("|"),
  "gi",
);

const SHELL = new RegExp(
  [
    String.raw`(?<![^\s])(?<comment>#[^\n]*)`,
    String.raw`(?<string>"(?:[^"\\]|\\.)*"|'[^']*')`,
    String.raw`(?<=^|[|&;]\s*)(?<keyword>[\w./-]+)(?=\s|$)`,
  ].join("|"),
  "gm",
);

const DATA =
  /(?<string>"(?:[^"\\\n]|\\.)*")|(?<keyword>\b(?:true|false|null)\b)|(?<number>\b\d+\b)/g;

/** In an INI file: comments, and what is before an equals sign or in brackets. */
const SETTINGS = /(?<comment>^[#;].*$)|(?<keyword>^\[[^\]]*\]|^[A-Za-z]+(?==))/gm;

const languages: Record<string, RegExp> = {
  ts: SCRIPT,
  js: SCRIPT,
  sh: SHELL,
  json: DATA,
  ini: SETTINGS,
};

/** Text as HTML. */
export function escapeHtml(text: string): string {
  return text.replace(
    /[&<>"']/g,
    (character) => `&#${character.charCodeAt(0)};`,
  );
}

/** Code as HTML, in colours where the language is known. */
export function highlight(code: string, language: string): string {
  const pattern = languages[language];
  if (pattern === undefined) return escapeHtml(code);
  let html = "";
  let end = 0;
  for (const match of code.matchAll(pattern)) {
    const [kind] = Object.entries(match.groups!).find(([, text]) => text !== undefined)!;
    html += escapeHtml(code.slice(end, match.index));
    html += `<span class="${kind}">${escapeHtml(match[0])}</span>`;
    end = match.index + match[0].length;
  }
  return html + escapeHtml(code.slice(end));
}
