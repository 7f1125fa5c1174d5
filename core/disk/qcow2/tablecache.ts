/**
 * Tables of one cluster (L2 tables, refcount blocks) held in memory: least recently used ones go, dirty ones stay until the owner has written them in
 * the right order (commit.ts).
 */
import type { RandomAccessFile } from '../../backend/file.ts';
import { viewOf } from '../bigendian.ts';

export interface Table {
  /** Where in the file. */
  offset: number;
  bytes: Uint8Array;
  view: DataView;
  dirty: boolean;
  /** Above 0 while a copy of it is on its way to the file: reading it back now would give what was there before. */
  pins: number;
}

export class TableCache {
  private readonly file: RandomAccessFile;
  private readonly tableBytes: number;
  private readonly limit: number;
  private readonly tables = new Map<number, Table>();
  private readonly loading = new Map<number, Promise<Table>>();
  /** Dirty tables, by offset. */
  readonly dirty = new Map<number, Table>();
  /** A table came into memory. */
  onInsert: (() => void) | undefined;

  /** Holds about `budgetBytes`, and at least 16 tables. */
  constructor(file: RandomAccessFile, tableBytes: number, budgetBytes: number) {
    this.file = file;
    this.tableBytes = tableBytes;
    this.limit = Math.max(16, Math.floor(budgetBytes / tableBytes));
  }

  /** The table when it is in memory. */
  peek(offset: number): Table | undefined {
    const table = this.tables.get(offset);
    if (table) {
      this.tables.delete(offset);
      this.tables.set(offset, table);
    }
    return table;
  }

  /** The table, from the file if need be; what lies past the end of the file reads as zeros. */
  get(offset: number): Promise<Table> {
    const known = this.peek(offset);
    if (known) return Promise.resolve(known);
    let loading = this.loading.get(offset);
    if (!loading) {
      loading = this.load(offset).finally(() => this.loading.delete(offset));
      this.loading.set(offset, loading);
    }
    return loading;
  }

  private async load(offset: number): Promise<Table> {
    const bytes = new Uint8Array(this.tableBytes);
    await this.file.read(offset, bytes);
    // Somebody may have made the table anew meanwhile.
    return this.peek(offset) ?? this.insert({ offset, bytes, view: viewOf(bytes), dirty: false, pins: 0 });
  }

  /** A new table of zeros, or of `bytes`, dirty. */
  create(offset: number, bytes?: Uint8Array): Table {
    const content = bytes ?? new Uint8Array(this.tableBytes);
    const table = this.insert({ offset, bytes: content, view: viewOf(content), dirty: true, pins: 0 });
    this.dirty.set(offset, table);
    return table;
  }

  markDirty(table: Table): void {
    table.dirty = true;
    this.dirty.set(table.offset, table);
    if (this.tables.get(table.offset) !== table) this.insert(table);
  }

  markClean(table: Table): void {
    table.dirty = false;
    this.dirty.delete(table.offset);
  }

  /** The table is no table any more. */
  forget(offset: number): void {
    this.tables.delete(offset);
    this.dirty.delete(offset);
  }

  clear(): void {
    this.tables.clear();
    this.dirty.clear();
  }

  private insert(table: Table): Table {
    if (!this.tables.delete(table.offset)) this.onInsert?.();
    this.tables.set(table.offset, table);
    if (this.tables.size > this.limit)
      for (const [offset, old] of this.tables) {
        if (this.tables.size <= this.limit) break;
        if (!old.dirty && !old.pins && old !== table) this.tables.delete(offset);
      }
    return table;
  }
}
