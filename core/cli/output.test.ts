import { expect, test } from 'vitest';
import { parseSize, table } from './output.ts';

test('sizes are read in powers of 1024', () => {
  expect(parseSize('4G')).toBe(4 * 1024 ** 3);
  expect(parseSize('1.5 MiB')).toBe(1.5 * 1024 ** 2);
  expect(parseSize('1000')).toBe(1000);
  for (const wrong of ['', 'G', '-4G', '4X', '4G5', 'NaN']) expect(parseSize(wrong)).toBeUndefined();
});

test('columns line up', () => {
  expect(table(['NAME', 'STATE'], [['a long name', 'off']])).toBe('NAME         STATE\na long name  off');
});
