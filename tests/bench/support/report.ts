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

/** The table as text; `note` comes last, unpadded. */
export function formatTable(rows: readonly Row[]): string {
  const cells = [['', 'Hypervue', 'peer', 'ratio', ''], ...rows.map((r) => [r.what, r.ours, r.peer ?? '', r.ratio ?? '', r.note ?? ''])];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : column < 4 ? cell.padStart(widths[column]!) : cell))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
