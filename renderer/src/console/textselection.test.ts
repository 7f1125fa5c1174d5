import { expect, test } from 'vitest';
import type { ScreenText } from '../../../core/contract/console.ts';
import { areaBetween } from './pictures.ts';
import { cellAt, everything, selectedSpans, selectedText } from './textselection.ts';

const screen: ScreenText = {
  rows: ['first row', '', '  ║ third ║', 'last'],
  cursor: null,
  cell: { width: 9, height: 16 },
  columns: 20,
  picture: { width: 180, height: 64, top: 0 },
};
const cells = (a: [number, number], b: [number, number], block = false) => ({
  anchor: { column: a[0], row: a[1] },
  head: { column: b[0], row: b[1] },
  block,
});

test('running text goes from cell to cell in either direction, and leaves out the blanks at the ends of rows', () => {
  expect(selectedText(cells([6, 0], [5, 2]), screen)).toBe('row\n\n  ║ th');
  expect(selectedText(cells([5, 2], [6, 0]), screen)).toBe('row\n\n  ║ th');
  expect(selectedText(cells([2, 0], [4, 0]), screen)).toBe('rst');
  expect(selectedText(everything(screen), screen)).toBe(screen.rows.join('\n'));
});

test('a block takes the same columns of every row', () => {
  expect(selectedText(cells([5, 2], [2, 0], true), screen)).toBe('rst\n\n║ th');
  expect(selectedSpans(cells([5, 2], [2, 0], true), screen)).toEqual([0, 1, 2].map((row) => ({ row, from: 2, to: 5 })));
});

test('cells outside the screen are those at its edge', () => {
  expect(selectedText(cells([-4, -2], [400, 90]), screen)).toBe(screen.rows.join('\n'));
  expect(cellAt(179, 63, screen)).toEqual({ column: 19, row: 3 });
  expect(cellAt(0, 10, { ...screen, picture: { ...screen.picture, top: 8 } })).toEqual({ column: 0, row: 1 });
});

test('an area has whole pixels inside the picture', () => {
  const size = { width: 100, height: 50 };
  expect(areaBetween({ x: 10.7, y: 5.2 }, { x: 3, y: 20 }, size)).toEqual({ x: 3, y: 5, width: 8, height: 16 });
  expect(areaBetween({ x: -5, y: -5 }, { x: 500, y: 500 }, size)).toEqual({ x: 0, y: 0, width: 100, height: 50 });
  expect(areaBetween({ x: 4, y: 4 }, { x: 4, y: 4 }, size)).toEqual({ x: 4, y: 4, width: 1, height: 1 });
});
