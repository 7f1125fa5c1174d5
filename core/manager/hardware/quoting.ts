/** A value in one of QEMU's option lists: a comma ends it, two stand for one. */
export const optionValue = (text: string): string => text.replaceAll(',', ',,');

/** One word for a POSIX shell. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
