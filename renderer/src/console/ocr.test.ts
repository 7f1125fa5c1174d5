import { expect, test } from 'vitest';
import { textOf } from './ocr.ts';

const word = (text: string) => ({ text, x: 0, y: 0, width: 1, height: 1 });
const lines = [[word('Install'), word('now')], [word('安'), word('装'), word('Debian')], [word('end')]];

test('recognised words become text with blanks between words, none within Chinese, and a break for each line', () => {
  expect(textOf(lines, () => true)).toBe('Install now\n安装 Debian\nend');
});

test('only what is chosen is taken, and lines without any leave no empty line', () => {
  expect(textOf(lines, (line, at) => line === 2 || (line === 0 && at === 1))).toBe('now\nend');
  expect(textOf(lines, () => false)).toBe('');
});
