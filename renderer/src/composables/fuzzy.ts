/** Finds what somebody means by a few letters: every word of the search has to be in the text, letter by letter and in order. */
import { folded, wordsOf } from './searchwords.ts';

const boundary = /[\s\-_./:()“”"«»]/;

/** How well `word` fits into `text`, both folded; null when it does not. Whole words and beginnings count more than scattered letters. */
function wordScore(word: string, text: string): number | null {
  const at = text.indexOf(word);
  if (at >= 0) {
    const starts = at === 0 || boundary.test(text[at - 1]!);
    const ends = at + word.length === text.length || boundary.test(text[at + word.length]!);
    return 100 + word.length * 4 + (starts ? 40 : 0) + (starts && ends ? 20 : 0) - Math.min(at, 20);
  }
  let score = 0;
  let from = 0;
  let last = -2;
  for (const letter of word) {
    const found = text.indexOf(letter, from);
    if (found < 0) return null;
    const starts = found === 0 || boundary.test(text[found - 1]!);
    score += found === last + 1 ? 6 : starts ? 8 : 1;
    // Letters far apart are hardly what was meant.
    if (found - from > 24) return null;
    last = found;
    from = found + letter.length;
  }
  // Scattered letters of a long word need some that stand at beginnings or together.
  return score >= word.length * 3 ? score : null;
}

/** Null when `text` is not meant. Higher is better; a shorter text of the same score wins. */
export function fuzzyScore(query: string, text: string): number | null {
  const words = wordsOf(query);
  const where = folded(text);
  let total = 0;
  for (const word of words) {
    const score = wordScore(word, where);
    if (score === null) return null;
    total += score;
  }
  return total - Math.min(text.length, 100) / 10;
}

/** What is only meant by the words beside its title comes after what is meant by the title itself. */
const BESIDE = 50;

/** The `most` that fit best by their title, or by it and words beside it; the best first, and what is equally good keeps its order. */
export function fuzzyFind<T>(query: string, items: readonly T[], text: (item: T) => { title: string; words: string }, most: number): T[] {
  return items
    .flatMap((item, index) => {
      const { title, words } = text(item);
      const beside = () => {
        const score = fuzzyScore(query, `${title} ${words}`);
        return score === null ? null : score - BESIDE;
      };
      const score = fuzzyScore(query, title) ?? beside();
      return score === null ? [] : [{ item, score, index }];
    })
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, most)
    .map(({ item }) => item);
}
