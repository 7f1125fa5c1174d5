import { fill, type Said } from '../contract/texts.ts';
import { type SaidKey, saidTexts } from '../contract/saidtexts.ts';
import { readableBytes } from './bytes.ts';

/** A text for people: in English, and as what other languages say it from. */
export interface Saying {
  text: string;
  said: Said;
}

type Param = string | number | Saying | undefined;

/** Says `key` with its parameters; a parameter may be a saying itself, and an undefined one is left out. */
export function say(key: SaidKey, params: Readonly<Record<string, Param>> = {}): Saying {
  const words: Record<string, string | number> = {};
  const kept: Said['params'] = {};
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (typeof value === 'object') {
      words[name] = value.text;
      kept[name] = inner(value);
    } else {
      words[name] = typeof value === 'number' && name.endsWith('Bytes') ? readableBytes(value) : value;
      kept[name] = value;
    }
  }
  return { text: fill(saidTexts[key], words), said: { key, params: kept } };
}

/** What has sayings in it in turn is there in English only. */
function inner({ text, said }: Saying): Said['params'][string] {
  const { key, params } = said;
  const flat: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === 'object') return text;
    flat[name] = value;
  }
  return { key, params: flat };
}

/** Message and way out as the contract carries them. */
export const worded = (message: Saying, fix?: Saying) => ({
  message: message.text,
  said: message.said,
  ...(fix ? { fix: fix.text, saidFix: fix.said } : {}),
});

/** What is the same in every language: a path, a version. */
export const plain = (text: string): Saying => say('plain', { text });
