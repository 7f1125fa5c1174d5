import type { Said } from '../contract/said.ts';
import { fill } from '../contract/texts.ts';
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
      // JSON has neither infinity nor what is no number.
      kept[name] = typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
    }
  }
  return { text: fill(saidTexts[key], words), said: { key, params: kept } };
}

type Inner = Exclude<Said['params'][string], string | number>;
type Innermost = Exclude<Inner['params'][string], string | number>;

/** What has sayings deeper than the contract carries them is there in English only. */
function inner({ text, said }: Saying): Inner | string {
  const params: Inner['params'] = {};
  for (const [name, value] of Object.entries(said.params)) {
    const flat = typeof value === 'object' ? innermost(value) : value;
    if (flat === undefined) return text;
    params[name] = flat;
  }
  return { key: said.key, params };
}

function innermost({ key, params }: Inner): Innermost | undefined {
  const flat: Innermost['params'] = {};
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === 'object') return undefined;
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
