/** A table of a file that is read in pages as it is needed: its size comes from the file and bounds nothing in memory. */
import type { RandomAccessFile } from '../backend/file.ts';
import { viewOf } from './bigendian.ts';

const PAGE = 64 << 10;
/** Pages held: 8 MiB. */
const MAX_PAGES = 128;

export class PagedTable {
  private readonly file: RandomAccessFile;
  private readonly offset: number;
  private readonly pages = new Map<number, DataView | Promise<DataView>>();

  /** The table begins at `offset` of the file. */
  constructor(file: RandomAccessFile, offset: number) {
    this.file = file;
    this.offset = offset;
  }

  /** The page with byte `at` of the table, and where in the page it lies. Entries must not lie across pages. Past the end of the file there are zeros. */
  page(at: number): DataView | Promise<DataView> {
    const number = Math.floor(at / PAGE);
    const known = this.pages.get(number);
    if (known) return known;
    const loading = this.load(number).catch((error) => {
      this.pages.delete(number);
      throw error;
    });
    this.pages.set(number, loading);
    if (this.pages.size > MAX_PAGES) this.pages.delete(this.pages.keys().next().value!);
    return loading;
  }

  /** Byte of the page for byte `at` of the table. */
  within(at: number): number {
    return at % PAGE;
  }

  private async load(number: number): Promise<DataView> {
    const bytes = new Uint8Array(PAGE);
    await this.file.read(this.offset + number * PAGE, bytes);
    const view = viewOf(bytes);
    if (this.pages.has(number)) this.pages.set(number, view);
    return view;
  }
}
