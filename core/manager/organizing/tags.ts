/** Tags that differ in upper and lower case only are the same one. */
export const sameTag = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** `tags` without those of `remove` and with those of `add`, none twice. */
export function withTags(tags: readonly string[], add: readonly string[], remove: readonly string[]): string[] {
  const next: string[] = [];
  const take = (tag: string) => {
    if (!next.some((each) => sameTag(each, tag))) next.push(tag);
  };
  for (const tag of tags) if (!remove.some((gone) => sameTag(gone, tag))) take(tag);
  for (const tag of add) take(tag);
  return next;
}

/** `names` in the spelling of `known`, for those that are there. */
export const spelledAs = (known: readonly string[], names: readonly string[]): string[] =>
  names.map((name) => known.find((each) => sameTag(each, name)) ?? name);
