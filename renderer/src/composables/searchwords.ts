/** Words of a search, in lower case. */
export const wordsOf = (query: string): string[] => query.toLocaleLowerCase().split(/\s+/).filter(Boolean);

/** Whether every one of `wordsOf` is somewhere in the text, upper or lower case. */
export function hasWords(text: string, words: readonly string[]): boolean {
  const lower = text.toLocaleLowerCase();
  return words.every((word) => lower.includes(word));
}
