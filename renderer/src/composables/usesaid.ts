import { useI18n } from 'vue-i18n';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { HostInfo } from '../../../core/contract/host.ts';
import { type SaidKey, saidTexts } from '../../../core/contract/saidtexts.ts';
import type { Said } from '../../../core/contract/said.ts';
import { useFormat } from './useformat.ts';

/** Says what the manager says in the reader's language; in the manager's English where there is nothing to say it from, as with an older server. */
export function useSaid() {
  const { t, te } = useI18n();
  const format = useFormat();

  function words(params: Said['params']): Record<string, string | number> {
    return Object.fromEntries(
      Object.entries(params).map(([name, value]) => {
        if (typeof value === 'object')
          return [name, te(`said.${value.key}`, 'en') ? t(`said.${value.key}`, words(value.params)) : value.key];
        return [name, typeof value === 'number' && name.endsWith('Bytes') ? format.bytes(value) : value];
      }),
    );
  }

  return (text: string, said: Said | undefined): string =>
    said && te(`said.${said.key}`, 'en') ? t(`said.${said.key}`, words(said.params)) : text;
}

/** What was made otherwise than it was, a line each. */
export function useNoteWords() {
  const say = useSaid();
  return (notes: readonly string[], said: readonly Said[] = []): string => notes.map((note, i) => say(note, said[i])).join('\n');
}

/** What is missing on the host and what to do about it, as one text. */
export function useSaidParts() {
  const say = useSaid();
  const partWords = ({ reason, fix, said, saidFix }: HostInfo['sample']): string =>
    [say(reason, said), fix ? say(fix, saidFix) : ''].filter(Boolean).join(' ');
  return { partWords };
}

type Words = Pick<ErrorDto, 'message' | 'said' | 'fix' | 'saidFix'> & Partial<Pick<ErrorDto, 'context'>>;

/** Message and way out of an error in the reader's language, as they stand in a list. Failures that everybody meets have words of their own by their reason. */
export function useErrorWords() {
  const { t, te } = useI18n();
  const say = useSaid();
  const known = ({ context }: Words): string | null => {
    const key = `error.reason.${context?.reason ?? ''}`;
    return te(`${key}.message`, 'en') ? key : null;
  };
  const why = (error: Words): string => {
    const key = known(error);
    return key ? t(`${key}.message`) : say(error.message, error.said);
  };
  const wayOut = (error: Words): string => {
    const key = known(error);
    return key ? t(`${key}.fix`) : error.fix ? say(error.fix, error.saidFix) : '';
  };
  return { known, why, wayOut };
}

/** Begins with a capital and ends as a sentence does in the reader's language. */
export function useSentence() {
  const { locale } = useI18n();
  return (words: string, said: Said | undefined): string => {
    // A message may begin with a file name, which keeps its case.
    const named = said && Object.hasOwn(saidTexts, said.key) && saidTexts[said.key as SaidKey].startsWith('{');
    const first = !named && /^[a-z]+[ ,]/.test(words) ? words.charAt(0).toUpperCase() + words.slice(1) : words;
    if (/[.!?。！？]$/.test(first)) return first;
    return `${first}${locale.value === 'zh-CN' && /[^\x20-\x7e]/.test(first) ? '。' : '.'}`;
  };
}
