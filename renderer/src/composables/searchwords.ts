/** As searches compare: in lower case and without accents, so that "unicode" finds "Ünïcödé". */
export function folded(text: string): string {
  const lower = text.toLocaleLowerCase();
  // Most texts have none.
  return /^[\0-\x7f]*$/.test(lower)
    ? lower
    : lower
        .normalize('NFD')
        .replace(/\p{Mn}/gu, '')
        .normalize('NFC');
}

/** Words of a search, folded. */
export const wordsOf = (query: string): string[] => folded(query).split(/\s+/).filter(Boolean);

/** Whether every one of `wordsOf` is somewhere in the text, upper or lower case, with accents or without. */
export function hasWords(text: string, words: readonly string[]): boolean {
  const where = folded(text);
  return words.every((word) => where.includes(word));
}
