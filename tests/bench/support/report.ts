/** One line of the bench table: what, ours, the peer's, and how they compare. */
export interface Row {
  what: string;
  ours: string;
  peer?: string;
  ratio?: string;
  note?: string;
}

export type Bench = () => Promise<Row[]>;

export const fixed = (value: number, digits = 1): string => value.toFixed(digits);

/** Columns of text, the first and the last flush left; the first row is the heading. */
export function formatCells(cells: readonly (readonly string[])[]): string {
  const last = cells[0]!.length - 1;
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : column < last ? cell.padStart(widths[column]!) : cell))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The table as text; `note` comes last, unpadded. */
export const formatTable = (rows: readonly Row[]): string =>
  formatCells([['', 'Hypervue', 'peer', 'ratio', ''], ...rows.map((r) => [r.what, r.ours, r.peer ?? '', r.ratio ?? '', r.note ?? ''])]);
