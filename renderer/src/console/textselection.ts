import type { ScreenText } from '../../../core/contract/console.ts';

/** Characters of a text mode's screen between two cells. */

export interface Cell {
  column: number;
  row: number;
}

export interface TextSelection {
  anchor: Cell;
  head: Cell;
  /** A rectangle of columns and rows instead of running text. */
  block: boolean;
}

/** The part of each row that is selected, columns `from` up to `to` inclusive; from the top. */
export function selectedSpans({ anchor, head, block }: TextSelection, screen: ScreenText): { row: number; from: number; to: number }[] {
  const last = screen.columns - 1;
  const row = (cell: Cell) => Math.min(Math.max(cell.row, 0), screen.rows.length - 1);
  const column = (cell: Cell) => Math.min(Math.max(cell.column, 0), last);
  if (screen.rows.length === 0) return [];
  const top = Math.min(row(anchor), row(head));
  const bottom = Math.max(row(anchor), row(head));
  const rows = Array.from({ length: bottom - top + 1 }, (_, i) => top + i);
  if (block) {
    const from = Math.min(column(anchor), column(head));
    const to = Math.max(column(anchor), column(head));
    return rows.map((each) => ({ row: each, from, to }));
  }
  const forwards = row(anchor) < row(head) || (row(anchor) === row(head) && column(anchor) <= column(head));
  const [first, end] = forwards ? [anchor, head] : [head, anchor];
  return rows.map((each) => ({ row: each, from: each === top ? column(first) : 0, to: each === bottom ? column(end) : last }));
}

/** What is copied: rows with line breaks between them, without the blanks that fill each row up. */
export function selectedText(selection: TextSelection, screen: ScreenText): string {
  return selectedSpans(selection, screen)
    .map(({ row, from, to }) =>
      [...screen.rows[row]!]
        .slice(from, to + 1)
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

/** The whole screen. */
export const everything = (screen: ScreenText): TextSelection => ({
  anchor: { column: 0, row: 0 },
  head: { column: screen.columns - 1, row: screen.rows.length - 1 },
  block: false,
});

/** The cell at a place of the picture, pixels. */
export const cellAt = (x: number, y: number, { cell, picture }: ScreenText): Cell => ({
  column: Math.floor(x / cell.width),
  row: Math.floor((y + picture.top) / cell.height),
});
