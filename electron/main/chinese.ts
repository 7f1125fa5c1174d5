import type { Said } from '../../core/contract/said.ts';
import { fill } from '../../core/contract/texts.ts';
import { readableBytes } from '../../core/util/bytes.ts';
import { saidZhCN } from '../../core/contract/said.zh-CN.ts';

const texts: Readonly<Record<string, string>> = saidZhCN;

/** What the manager says, in Chinese; in its English where there is nothing to say it from. */
export function inChinese(text: string, said: Said | undefined): string {
  return said && Object.hasOwn(texts, said.key) ? fill(texts[said.key]!, words(said.params)) : text;
}

function words(params: Said['params']): Record<string, string | number> {
  const said: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(params))
    if (typeof value === 'object') said[name] = inChinese(value.key, value);
    else said[name] = typeof value === 'number' && name.endsWith('Bytes') ? readableBytes(value) : value;
  return said;
}
