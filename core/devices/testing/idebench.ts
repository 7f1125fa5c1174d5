import {
  BLOCK_IO_ERROR,
  BLOCK_NO_MEDIUM,
  BLOCK_OK,
  BLOCK_READ_ONLY,
  type BlockDevice,
  type BlockDone,
  type BlockStatus,
} from '../../backend/asyncblock.ts';
import type { BlockInfo } from '../../backend/block.ts';
import { Ide, type IdeDrive } from '../storage/ide.ts';
import { Bench, countRises } from './bench.ts';

const SECTOR = 512;

/** A request that waits for the test to answer it. Data moves at that moment, as it does with a slow disk. */
export interface SparseRequest {
  op: 'read' | 'write' | 'flush' | 'discard' | 'zero';
  offset: number;
  bytes: number;
  /** Moves the data, unless `status` says it failed, and answers. */
  answer(status?: BlockStatus): void;
}

/** A disk of any size that keeps only the sectors written to it. Unwritten sectors begin with their number as a 64-bit integer. */
export class SparseDisk implements BlockDevice {
  info: BlockInfo | undefined;
  readonly sectors = new Map<number, Uint8Array>();
  pending: SparseRequest[] = [];
  /** Every request that was ever made. */
  readonly history: { op: SparseRequest['op']; offset: number; bytes: number }[] = [];
  private readonly listeners: (() => void)[] = [];

  constructor(sizeBytes: number | undefined, readOnly = false) {
    this.info = sizeBytes === undefined ? undefined : { sizeBytes, readOnly, label: 'sparse' };
  }

  read(offset: number, targets: readonly Uint8Array[], done: BlockDone): void {
    this.request('read', offset, targets, done);
  }

  write(offset: number, sources: readonly Uint8Array[], done: BlockDone): void {
    this.request('write', offset, sources, done);
  }

  flush(done: BlockDone): void {
    this.request('flush', 0, [], done);
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.request('discard', offset, [], done, length);
  }

  writeZeroes(offset: number, length: number, _unmap: boolean, done: BlockDone): void {
    this.request('zero', offset, [], done, length);
  }

  onResize(): void {}

  onMediaChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  change(sizeBytes: number | undefined): void {
    this.info = sizeBytes === undefined ? undefined : { sizeBytes, readOnly: true, label: 'sparse' };
    for (const listener of this.listeners) listener();
  }

  /** Answers what waits, including requests made by the answers. */
  run(): void {
    while (this.pending.length) this.pending[0]!.answer();
  }

  sector(lba: number): Uint8Array {
    const kept = this.sectors.get(lba);
    if (kept) return kept;
    const fresh = new Uint8Array(SECTOR);
    new DataView(fresh.buffer).setBigUint64(0, BigInt(lba), true);
    return fresh;
  }

  private request(op: SparseRequest['op'], offset: number, views: readonly Uint8Array[], done: BlockDone, length?: number): void {
    const bytes = length ?? views.reduce((sum, view) => sum + view.length, 0);
    this.history.push({ op, offset, bytes });
    const request: SparseRequest = {
      op,
      offset,
      bytes,
      answer: (status) => {
        this.pending = this.pending.filter((other) => other !== request);
        done(status ?? this.perform(op, offset, views));
      },
    };
    this.pending.push(request);
  }

  private perform(op: SparseRequest['op'], offset: number, views: readonly Uint8Array[]): BlockStatus {
    if (!this.info) return BLOCK_NO_MEDIUM;
    if (op === 'write' && this.info.readOnly) return BLOCK_READ_ONLY;
    let at = offset;
    for (const view of views) {
      if (at < 0 || at % SECTOR || view.length % SECTOR || at + view.length > this.info.sizeBytes) return BLOCK_IO_ERROR;
      for (let done = 0; done < view.length; done += SECTOR, at += SECTOR)
        if (op === 'read') view.set(this.sector(at / SECTOR), done);
        else this.sectors.set(at / SECTOR, view.slice(done, done + SECTOR));
    }
    return BLOCK_OK;
  }
}

/** Drives one IDE controller through its ports, as a driver does. */
export class IdeBench {
  readonly bench = new Bench();
  readonly ide: Ide;
  /** Where BAR 4, the bus-master registers, was put. */
  readonly busMaster = 0xc000;
  private readonly disks: (SparseDisk | undefined)[];

  /** `drives`: primary master, primary slave, secondary master, secondary slave. */
  constructor(...drives: (({ kind: 'disk' | 'cdrom'; block: SparseDisk } & Partial<IdeDrive>) | undefined)[]) {
    this.disks = drives.map((drive) => drive?.block);
    this.ide = new Ide({
      id: 'ide',
      ports: this.bench.ports,
      memory: this.bench.memory,
      irqs: [this.bench.wire('irq14'), this.bench.wire('irq15')],
      drives: [0, 1, 2, 3].map((place) => {
        const drive = drives[place];
        return drive && { serial: `SN${place}`, ...drive };
      }),
      log: this.bench.log,
    });
    this.ide.writeConfig(0x20, this.busMaster, 4);
    this.ide.writeConfig(0x04, 0x05, 2);
  }

  get irq(): boolean {
    return this.bench.wire('irq14').level;
  }

  countIrqs(): { count: number } {
    return countRises(this.bench.wire('irq14'));
  }

  in(register: number): number {
    return this.bench.in8(0x1f0 + register);
  }

  out(register: number, value: number): void {
    this.bench.out8(0x1f0 + register, value);
  }

  /** Status without clearing the interrupt. */
  get altStatus(): number {
    return this.bench.in8(0x3f6);
  }

  get error(): number {
    return this.in(1);
  }

  /** LBA28 task file and command to the drive at `slave`. */
  lba28(code: number, lba: number, count: number, slave = false): void {
    this.out(6, 0xe0 | (slave ? 0x10 : 0) | Math.floor(lba / 2 ** 24));
    for (const [register, value] of [
      [2, count],
      [3, lba],
      [4, lba >> 8],
      [5, lba >> 16],
      [7, code],
    ] as const)
      this.out(register, value & 0xff);
  }

  lba48(code: number, lba: number, count: number): void {
    const byte = (index: number) => Math.floor(lba / 2 ** (8 * index)) & 0xff;
    this.out(6, 0xe0);
    for (const [register, value] of [
      [2, count >> 8],
      [2, count],
      [3, byte(3)],
      [3, byte(0)],
      [4, byte(4)],
      [4, byte(1)],
      [5, byte(5)],
      [5, byte(2)],
      [7, code],
    ] as const)
      this.out(register, value & 0xff);
  }

  chs(code: number, cylinder: number, head: number, sector: number, count: number): void {
    this.out(6, 0xa0 | head);
    for (const [register, value] of [
      [2, count],
      [3, sector],
      [4, cylinder],
      [5, cylinder >> 8],
      [7, code],
    ] as const)
      this.out(register, value & 0xff);
  }

  /** A command without data; `features` and `count` first. */
  simple(code: number, features = 0, count = 0): void {
    this.out(6, 0xe0);
    this.out(1, features);
    this.out(2, count);
    this.out(7, code);
    this.run();
  }

  run(): void {
    for (const disk of this.disks) disk?.run();
  }

  readWords(words: number): Uint8Array {
    const data = new Uint16Array(words);
    for (let i = 0; i < words; i++) data[i] = this.bench.ports.read(0x1f0, 2);
    return new Uint8Array(data.buffer);
  }

  writeWords(data: Uint8Array): void {
    for (let at = 0; at < data.length; at += 2) this.bench.ports.write(0x1f0, data[at]! | ((data[at + 1] ?? 0) << 8), 2);
  }

  softwareReset(): void {
    for (const value of [0x04, 0x00]) this.bench.out8(0x3f6, value);
  }

  /** Writes a descriptor table at `table` and points the engine at it; the last entry gets the end mark unless `endMark` is false. */
  describe(regions: readonly { gpa: number; length: number }[], table = 0x2000, endMark = true): void {
    regions.forEach(({ gpa, length }, index) => {
      this.bench.memory.write32(table + index * 8, gpa);
      const last = endMark && index === regions.length - 1;
      this.bench.memory.write32(table + index * 8 + 4, ((length & 0xffff) | (last ? 0x80000000 : 0)) >>> 0);
    });
    this.bench.ports.write(this.busMaster + 4, table, 4);
  }

  startDma(toMemory: boolean): void {
    this.bench.out8(this.busMaster, (toMemory ? 8 : 0) | 1);
  }

  stopDma(): void {
    this.bench.out8(this.busMaster, 0);
  }

  get dmaStatus(): number {
    return this.bench.in8(this.busMaster + 2);
  }

  memory(gpa: number, length: number): Uint8Array {
    const data = new Uint8Array(length);
    this.bench.memory.read(gpa, data);
    return data;
  }
}

/** The number that an unwritten sector of a SparseDisk begins with. */
export function sectorNumber(data: Uint8Array, at = 0): number {
  return Number(new DataView(data.buffer, data.byteOffset).getBigUint64(at, true));
}

/** Bytes that depend on their place and on `seed`. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed * 31) & 0xff);
}
