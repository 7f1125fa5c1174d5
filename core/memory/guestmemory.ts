import { CODE_MAP_BASE, DIRTY_MAP_BASE, GUEST_RAM_BASE, PM_READ, PM_WRITE } from './layout.ts';
import type { PhysMap } from './physmap.ts';

/** A page that holds decoded code was written by a device; `offset` is the page's byte offset in the shared memory. */
export type CodeWriteListener = (offset: number) => void;

/**
 * Guest-physical memory as devices (DMA) and loaders see it. Addresses that are not plain memory read as all ones and swallow writes:
 * a wild DMA address never throws and never reaches outside guest memory.
 */
export class GuestMemory {
  readonly memory: WebAssembly.Memory;
  readonly physMap: PhysMap;
  /** Bytes of guest RAM. */
  readonly ramBytes: number;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly codeListeners: CodeWriteListener[] = [];

  constructor(memory: WebAssembly.Memory, physMap: PhysMap, ramBytes: number) {
    this.memory = memory;
    this.physMap = physMap;
    this.ramBytes = ramBytes;
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
  }

  onCodeWrite(listener: CodeWriteListener): void {
    this.codeListeners.push(listener);
  }

  read8(gpa: number): number {
    const offset = this.direct(gpa, PM_READ);
    return offset < 0 ? 0xff : this.bytes[offset]!;
  }

  read16(gpa: number): number {
    if ((gpa & 0xfff) > 0xffe) return this.read8(gpa) | (this.read8(gpa + 1) << 8);
    const offset = this.direct(gpa, PM_READ);
    return offset < 0 ? 0xffff : this.view.getUint16(offset, true);
  }

  read32(gpa: number): number {
    if ((gpa & 0xfff) > 0xffc) return (this.read16(gpa) | (this.read16(gpa + 2) << 16)) >>> 0;
    const offset = this.direct(gpa, PM_READ);
    return offset < 0 ? 0xffffffff : this.view.getUint32(offset, true);
  }

  write8(gpa: number, value: number): void {
    const offset = this.direct(gpa, PM_WRITE);
    if (offset < 0) return;
    this.bytes[offset] = value;
    this.mark(offset);
  }

  write16(gpa: number, value: number): void {
    if ((gpa & 0xfff) > 0xffe) {
      this.write8(gpa, value & 0xff);
      this.write8(gpa + 1, (value >>> 8) & 0xff);
      return;
    }
    const offset = this.direct(gpa, PM_WRITE);
    if (offset < 0) return;
    this.view.setUint16(offset, value, true);
    this.mark(offset);
  }

  write32(gpa: number, value: number): void {
    if ((gpa & 0xfff) > 0xffc) {
      this.write16(gpa, value & 0xffff);
      this.write16(gpa + 2, value >>> 16);
      return;
    }
    const offset = this.direct(gpa, PM_WRITE);
    if (offset < 0) return;
    this.view.setUint32(offset, value, true);
    this.mark(offset);
  }

  read(gpa: number, target: Uint8Array): void {
    let done = 0;
    for (const piece of this.pieces(gpa, target.length, PM_READ)) {
      if (piece.view) target.set(piece.view, done);
      else target.fill(0xff, done, done + piece.length);
      done += piece.length;
    }
  }

  write(gpa: number, source: Uint8Array): void {
    let done = 0;
    for (const piece of this.pieces(gpa, source.length, PM_WRITE)) {
      piece.view?.set(source.subarray(done, done + piece.length));
      done += piece.length;
    }
    this.written(gpa, source.length);
  }

  /**
   * Writes one value to guest RAM that the map does not let writes reach: RAM behind ROM in the shadow areas. `gpa` is below `ramBytes`; the
   * value may not cross a page.
   */
  writeBehind(gpa: number, value: number, size: 1 | 2 | 4): void {
    const offset = GUEST_RAM_BASE + gpa;
    if (size === 1) this.bytes[offset] = value;
    else if (size === 2) this.view.setUint16(offset, value, true);
    else this.view.setUint32(offset, value, true);
    this.mark(offset);
  }

  /**
   * Where the range lies in the shared memory: adds byte offset and length of each run to `runs`. False when some of it is not plain memory; then
   * `runs` is of no use.
   */
  runs(gpa: number, length: number, write: boolean, runs: number[]): boolean {
    const need = write ? PM_WRITE : PM_READ;
    for (let at = gpa, left = length; left > 0; ) {
      const size = Math.min(left, 4096 - (at % 4096));
      const offset = this.direct(at, need);
      if (offset < 0) return false;
      const last = runs.length - 2;
      if (last >= 0 && runs[last]! + runs[last + 1]! === offset) runs[last + 1]! += size;
      else runs.push(offset, size);
      at += size;
      left -= size;
    }
    return true;
  }

  /** Somebody put data into these runs. */
  filled(runs: readonly number[]): void {
    for (let i = 0; i < runs.length; i += 2) {
      const end = runs[i]! + runs[i + 1]!;
      for (let page = Math.floor(runs[i]! / 4096) * 4096; page < end; page += 4096) this.mark(page);
    }
  }

  /** Dirty tracking and code invalidation after data was put into guest memory. */
  private written(gpa: number, length: number): void {
    for (let at = gpa; at < gpa + length; at = (Math.floor(at / 4096) + 1) * 4096) {
      const offset = this.direct(at, PM_WRITE);
      if (offset >= 0) this.mark(offset);
    }
  }

  private direct(gpa: number, need: number): number {
    const entry = this.physMap.entry(gpa);
    return entry & need ? ((entry & 0xfffff000) >>> 0) + (gpa % 4096) : -1;
  }

  private mark(offset: number): void {
    const page = Math.floor(offset / 4096);
    this.bytes[DIRTY_MAP_BASE + page] = 0xff;
    if (this.bytes[CODE_MAP_BASE + page]) for (const listener of this.codeListeners) listener(page * 4096);
  }

  private pieces(gpa: number, length: number, need: number): { view: Uint8Array | undefined; length: number }[] {
    const list: { view: Uint8Array | undefined; length: number; end: number }[] = [];
    for (let at = gpa, left = length; left > 0; ) {
      const size = Math.min(left, 4096 - (at % 4096));
      const offset = this.direct(at, need);
      const last = list[list.length - 1];
      if (last && offset >= 0 && last.end === offset) {
        last.length += size;
        last.end += size;
        last.view = new Uint8Array(this.memory.buffer, last.end - last.length, last.length);
      } else if (last && offset < 0 && last.end < 0) last.length += size;
      else
        list.push({
          view: offset < 0 ? undefined : new Uint8Array(this.memory.buffer, offset, size),
          length: size,
          end: offset < 0 ? -1 : offset + size,
        });
      at += size;
      left -= size;
    }
    return list;
  }
}
