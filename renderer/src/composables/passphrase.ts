import type { ErrorDto } from '../../../core/contract/errors.ts';

/** True for the failure of what wants the passphrase of an encrypted disk. */
export const asksForPassphrase = ({ kind, context }: ErrorDto): boolean =>
  kind === 'unauthorized' && String(context.reason ?? '').startsWith('passphrase');

/** A new passphrase as it is typed, twice, since nobody can help who mistyped it. */
export interface NewPassphrase {
  on: boolean;
  first: string;
  second: string;
}

export const noPassphrase = (): NewPassphrase => ({ on: false, first: '', second: '' });

/** Key under `encrypt.problem.*`; null when it can be used. */
export function passphraseProblem({ on, first, second }: NewPassphrase): 'empty' | 'characters' | 'mismatch' | null {
  if (!on) return null;
  if (first === '') return 'empty';
  // The contract's own rule (newPassphraseSchema).
  if (/\p{Cc}/u.test(first)) return 'characters';
  return first === second ? null : 'mismatch';
}

/** Characters that one of the same kind is one of. */
const kinds: readonly [RegExp, number][] = [
  [/[a-z]/, 26],
  [/[A-Z]/, 26],
  [/[0-9]/, 10],
  [/[ -/:-@[-`{-~]/, 33],
  [/[\u0080-\u{10ffff}]/u, 100],
];
/** A guess costs a second of one computer: 2^50 of them are beyond reach for most, 2^70 for all. */
const FAIR_BITS = 50;
const STRONG_BITS = 70;

/**
 * How hard a passphrase is to guess by trying, as far as its characters say; repeats, runs as "abcd" and words that everybody tries count for little. Not a
 * proof: it warns, and refuses nothing.
 */
export function strengthOf(text: string): 'weak' | 'fair' | 'strong' {
  const alphabet = kinds.reduce((sum, [kind, size]) => sum + (kind.test(text) ? size : 0), 0);
  const characters = [...text.replace(/pass(word|phrase)?|qwert[yz]u?|admin|letmein|welcome|123+/gi, 'x')];
  let worth = 0;
  characters.forEach((character, i) => {
    const step = i === 0 ? Number.NaN : character.codePointAt(0)! - characters[i - 1]!.codePointAt(0)!;
    worth += Math.abs(step) <= 1 ? 0.25 : 1;
  });
  // "abababab" has no more to it than its two characters.
  worth = Math.min(worth, new Set(characters).size * 2);
  const bits = worth * Math.log2(Math.max(2, alphabet));
  return bits < FAIR_BITS ? 'weak' : bits < STRONG_BITS ? 'fair' : 'strong';
}
