import { expect, test } from 'vitest';
import { fuzzyFind, fuzzyScore } from './fuzzy.ts';
import { inGroup } from './machinefilter.ts';
import { hasWords, wordsOf } from './searchwords.ts';
import { all, nothing, pruned, ranged, toggled } from './selection.ts';

test('fuzzy: what is meant comes first, and what is not meant not at all', () => {
  const items = ['Debian 12: Start', 'Debian 12: Restart later', 'Settings', 'Storage', 'FreeDOS: Start', 'sharp star chart'];
  const titled = (title: string) => ({ title, words: '' });
  expect(fuzzyFind('start deb', items, titled, 9)[0]).toBe('Debian 12: Start');
  expect(fuzzyFind('set', items, titled, 9)[0]).toBe('Settings');
  expect(fuzzyFind('dst', items, titled, 9)).toContain('Debian 12: Start');
  // Words beside a title find it too, after what says so itself.
  const machines = [
    { title: 'Build: Log', words: 'debian' },
    { title: 'Debian', words: '' },
  ];
  expect(fuzzyFind('debian', machines, (item) => item, 9).map(({ title }) => title)).toEqual(['Debian', 'Build: Log']);
  expect(fuzzyScore('xyz', 'Debian 12: Start')).toBeNull();
  expect(fuzzyScore('启动', '机房一号：启动')).not.toBeNull();
  // With accents or without, in either place.
  expect(fuzzyScore('start unic', 'Ünïcödé: Start')).not.toBeNull();
  expect(fuzzyScore('café', 'CAFE')).not.toBeNull();
  expect(hasWords('Büro Zürich', wordsOf('buro ZÜRICH'))).toBe(true);
  expect(hasWords('한국어', wordsOf('한'))).toBe(true);
  expect(hasWords('Buro', wordsOf('bero'))).toBe(false);
  // Nothing that a person types may take long.
  const before = performance.now();
  fuzzyScore('a'.repeat(200), 'ab'.repeat(5000));
  expect(performance.now() - before).toBeLessThan(200);
});

test('selection: ranges from the anchor, both ways, added or not', () => {
  const order = ['a', 'b', 'c', 'd', 'e'];
  const one = toggled(nothing, 'c');
  expect([...ranged(one, 'e', order, false).ids]).toEqual(['c', 'd', 'e']);
  expect([...ranged(ranged(one, 'e', order, false), 'a', order, false).ids]).toEqual(['a', 'b', 'c']);
  expect([...ranged(toggled(one, 'e'), 'd', order, true).ids].sort()).toEqual(['c', 'd', 'e']);
  // An anchor that a filter hides counts as none.
  expect([...ranged({ ids: new Set(), anchor: 'gone' }, 'b', order, false).ids]).toEqual(['b']);
  expect(all(order).ids.size).toBe(5);
  const selection = all(order);
  expect(pruned(selection, new Set(order))).toBe(selection);
  expect([...pruned(selection, new Set(['b'])).ids]).toEqual(['b']);
});

test('a folder holds those in it and below it, not those of a longer name', () => {
  expect(inGroup('servers/web', 'servers')).toBe(true);
  expect(inGroup('servers2', 'servers')).toBe(false);
  expect(inGroup('', '')).toBe(true);
  expect(inGroup('servers', '')).toBe(false);
  expect(inGroup('', null)).toBe(true);
});
