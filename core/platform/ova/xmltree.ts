import sax from 'sax';
import { HypervueError } from '../../util/errors.ts';
import type { SaidKey } from '../../contract/saidtexts.ts';
import { say, type Saying } from '../../util/say.ts';

/** An element without its namespace prefix; attributes likewise. */
export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  children: XmlElement[];
  text: string;
}

/** OVF files have some kilobytes; what is larger or deeper is no OVF file. */
const MAX_BYTES = 4 << 20;
const MAX_DEPTH = 64;
const MAX_ELEMENTS = 50_000;

/** What the parser says, in words of ours. */
const problems: readonly [RegExp, SaidKey][] = [
  [/^Unclosed|^Unexpected end/, 'xmlUnclosed'],
  [/close tag|closing tag/i, 'xmlUnmatched'],
  [/before first tag/, 'xmlBefore'],
  [/outside of root/, 'xmlOutside'],
  [/attribute|Unquoted|No whitespace/i, 'xmlAttribute'],
  [/entity/i, 'xmlEntity'],
  [/tag name|tagname/i, 'xmlName'],
];
const problemOf = (message: string): SaidKey => problems.find(([words]) => words.test(message))?.[1] ?? 'xmlOther';

const local = (name: string): string => name.slice(name.indexOf(':') + 1);

/**
 * Parses XML into a tree. Document types are refused: they define entities, which can name files and grow without end. Throws 'corrupt' naming the file.
 */
export function parseXml(text: string, path: string): XmlElement {
  const refuse = (what: Saying) =>
    new HypervueError('corrupt', say('imageDamaged', { path, what }), { path, operation: 'import' }, say('fixOtherFileCopy'));
  if (text.length > MAX_BYTES) throw refuse(say('xmlLarge', { count: text.length }));
  const root: XmlElement = { name: '', attributes: {}, children: [], text: '' };
  const stack = [root];
  let elements = 0;
  const parser = sax.parser(true);
  parser.onerror = (error: Error) => {
    // It says the line, counted from 0, below the problem.
    const line = Number(/^Line: (\d+)/m.exec(error.message)?.[1] ?? 0) + 1;
    throw refuse(say('xmlAt', { line, problem: say(problemOf(error.message)) }));
  };
  parser.ondoctype = () => {
    throw refuse(say('xmlDoctype'));
  };
  parser.onopentag = ({ name, attributes }: { name: string; attributes: Record<string, unknown> }) => {
    if (++elements > MAX_ELEMENTS || stack.length > MAX_DEPTH) throw refuse(say('xmlElements'));
    const values = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [local(key), String(value)]));
    const element: XmlElement = { name: local(name), attributes: values, children: [], text: '' };
    stack.at(-1)!.children.push(element);
    stack.push(element);
  };
  parser.onclosetag = () => {
    stack.pop();
  };
  parser.ontext = (part: string) => {
    stack.at(-1)!.text += part;
  };
  parser.oncdata = parser.ontext;
  parser.write(text).close();
  const [document] = root.children;
  if (!document) throw refuse(say('xmlEmpty'));
  return document;
}

export const childrenOf = (element: XmlElement | undefined, name: string): XmlElement[] =>
  element?.children.filter((child) => child.name === name) ?? [];
export const childOf = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  element?.children.find((child) => child.name === name);
export const textOf = (element: XmlElement | undefined, name: string): string => childOf(element, name)?.text.trim() ?? '';

/** Text as it stands between tags or in an attribute; what XML can't hold is left out. */
export function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 has none of them
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  );
}
