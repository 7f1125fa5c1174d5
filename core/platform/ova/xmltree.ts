import sax from 'sax';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

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

const local = (name: string): string => name.slice(name.indexOf(':') + 1);

/**
 * Parses XML into a tree. Document types are refused: they define entities, which can name files and grow without end. Throws 'corrupt' naming the file.
 */
export function parseXml(text: string, path: string): XmlElement {
  const refuse = (what: string) =>
    new HypervueError('corrupt', say('imageDamaged', { path, what }), { path, operation: 'import' }, say('fixOtherFileCopy'));
  if (text.length > MAX_BYTES) throw refuse(`${text.length} characters of XML`);
  const root: XmlElement = { name: '', attributes: {}, children: [], text: '' };
  const stack = [root];
  let elements = 0;
  const parser = sax.parser(true);
  parser.onerror = (error: Error) => {
    throw refuse(error.message.split('\n')[0]!);
  };
  parser.ondoctype = () => {
    throw refuse('it has a document type, which an OVF file has not');
  };
  parser.onopentag = ({ name, attributes }: { name: string; attributes: Record<string, unknown> }) => {
    if (++elements > MAX_ELEMENTS || stack.length > MAX_DEPTH) throw refuse('it has too many elements');
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
  if (!document) throw refuse('it is empty');
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
