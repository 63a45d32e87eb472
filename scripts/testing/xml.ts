/** The little of XML that JUnit reports use. */

export interface Element {
  tag: string;
  attributes: Readonly<Record<string, string>>;
  children: Element[];
  text: string;
}

const token =
  /<\?[^]*?\?>|<!--[^]*?-->|<!\[CDATA\[([^]*?)\]\]>|<(\/?)([\w:.-]+)((?:\s+[\w:.-]+="[^"]*")*)\s*(\/?)>|([^<]+)/gy;

/** The root element; undefined if the text ends before it is closed, or is not XML. */
export function parseXml(xml: string): Element | undefined {
  const document: Element = { tag: "", attributes: {}, children: [], text: "" };
  const open = [document];
  let end = 0;
  for (const match of xml.matchAll(token)) {
    end = match.index + match[0].length;
    const [, cdata, slash, tag, attributes, selfClosing, text] = match;
    const current = open.at(-1)!;
    if (cdata !== undefined) current.text += cdata;
    else if (text !== undefined) current.text += unescape(text);
    else if (slash === "/") {
      if (open.length === 1 || current.tag !== tag) return undefined;
      open.pop();
    } else if (tag !== undefined) {
      const element: Element = { tag, attributes: parsed(attributes!), children: [], text: "" };
      current.children.push(element);
      if (selfClosing === "") open.push(element);
    }
  }
  return end === xml.length && open.length === 1 ? document.children[0] : undefined;
}

function parsed(attributes: string): Record<string, string> {
  const pairs = attributes.matchAll(/([\w:.-]+)="([^"]*)"/g);
  return Object.fromEntries(pairs.map(([, name, value]) => [name!, unescape(value!)]));
}

function unescape(text: string): string {
  return text.replace(
    /&(?:#(\d+)|#x([\da-f]+)|(lt|gt|amp|quot|apos));/gi,
    (all, dec, hex, name) => {
      if (dec) return String.fromCodePoint(Number(dec));
      if (hex) return String.fromCodePoint(parseInt(hex, 16));
      return { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" }[name as string] ?? all;
    },
  );
}
