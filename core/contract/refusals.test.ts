import { expect, test } from 'vitest';
import { z } from 'zod';
import { noSuchMethod, tooManyCalls, wrongParams } from './refusals.ts';
import { saidSchema } from './said.ts';
import { saidZhCN } from './said.zh-CN.ts';
import { saidTexts, type SaidKey } from './saidtexts.ts';
import { snapshotSchema } from './snapshots.ts';
import { fill } from './texts.ts';
import { vmConfigSchema, vmNameSchema } from './vm.ts';

const schema = z.strictObject({
  name: z.string().min(2).max(5),
  count: z.number().int().min(1).max(9),
  kind: z.enum(['a', 'b']),
  list: z.array(z.object({ id: z.uuid() })).max(1),
  size: z.number().refine((n) => n % 2 === 0, 'must be even'),
  title: vmNameSchema.optional(),
});
const good = { name: 'abc', count: 1, kind: 'a', list: [], size: 2 };
const refused = (change: Record<string, unknown>) => {
  const params = { ...good, ...change };
  const parsed = schema.safeParse(params);
  return wrongParams('vm.test', parsed.error!.issues[0]!, params);
};

/** What a saying becomes in a language. */
function told(said: z.output<typeof saidSchema>, texts: Readonly<Record<string, string>>): string {
  const words = Object.entries(said.params).map(([name, value]) => [
    name,
    typeof value === 'object' ? fill(texts[value.key]!, value.params as Record<string, string>) : value,
  ]);
  return fill(texts[said.key]!, Object.fromEntries(words));
}

test.each([
  [{ name: undefined }, 'name', 'name: is missing'],
  [{ name: 7 }, 'name', 'name: is not of the type string'],
  [{ name: 'abcdef' }, 'name', 'name: is longer than 5 characters'],
  [{ name: 'a' }, 'name', 'name: is shorter than 2 characters'],
  [{ count: 10 }, 'count', 'count: is more than 9'],
  [{ count: 0 }, 'count', 'count: is less than 1'],
  [{ kind: 'c' }, 'kind', 'kind: is none of a, b'],
  [{ list: [{ id: 'x' }] }, 'list.0.id', 'list.0.id: does not have the right form'],
  [{ list: [{ id: crypto.randomUUID() }, { id: crypto.randomUUID() }] }, 'list', 'list: has more than 1 entries'],
  [{ size: 3 }, 'size', 'size: must be even'],
  [{ title: 'a\tb' }, 'title', 'title: has a character that can’t be shown, such as a tab or a line break'],
  [{ title: 'a\ud800' }, 'title', 'title: has a character that can’t be shown, such as a tab or a line break'],
  [{ title: '\u200b\u2060' }, 'title', 'title: has no character that can be seen'],
  [{ title: '\u3164\u2800\u00ad' }, 'title', 'title: has no character that can be seen'],
  [{ title: '\u202e\u0301' }, 'title', 'title: has no character that can be seen'],
  [{ extra: 1 }, '', 'the request: has what is not known: extra'],
])('%j is refused in both languages, by the field', (change, field, message) => {
  const error = refused(change);
  expect(error).toMatchObject({ kind: 'invalid-argument', message, context: { operation: 'vm.test', field } });
  expect(told(saidSchema.parse(error.said), saidTexts)).toBe(message);
  if (!message.includes('even')) expect(told(error.said!, saidZhCN)).toMatch(/\p{Script=Han}/u);
});

test.each(['..', '中文', '🎉', 'e\u0301', '\u200bx', '\ue000', '–'])('%j is a name', (name) => {
  expect(vmNameSchema.parse(name)).toBe(name);
});

test.each(['\u200b', '\ud800 half a pair'])('%j is a name no more, and is still read from files that have it', (name) => {
  expect(vmNameSchema.safeParse(name).success).toBe(false);
  for (const kept of [vmConfigSchema, snapshotSchema]) expect(kept.shape.name.parse(name)).toBe(name);
});

test('what is hostile stays short', () => {
  expect(noSuchMethod('x'.repeat(10_000)).message.length).toBeLessThan(120);
  expect(refused({ ['y'.repeat(10_000)]: 1 }).message.length).toBeLessThan(160);
});

test('the others are said as well, with the way out', () => {
  for (const error of [noSuchMethod('vm.fly'), tooManyCalls('vm.list')]) {
    expect(saidTexts[error.saidFix!.key as SaidKey]).toBe(error.fix);
    expect(told(error.said!, saidTexts)).toBe(error.message);
  }
});
