/**
 * Writes guest bytes: in place where the cluster is ours alone, else into clusters that are allocated first, filled, and only then linked into the
 * mapping, so that a fault in between leaves the old contents. Clusters that are being filled are `busy`: whoever else wants them waits.
 */
import { roundDown, roundUp } from '../bigendian.ts';
import { corrupt } from './errors.ts';
import type { Layers } from './layers.ts';
import {
  compressedPlace,
  hasHost,
  hostOffset,
  isCompressed,
  isCopied,
  setCompressed,
  setCopied,
  setEmpty,
  setHost,
  setSubclusters,
  setZeroKeepingHost,
} from './l2entry.ts';
import type { Mapping } from './mapping.ts';
import type { Metadata } from './metadata.ts';
import type { Reader } from './reader.ts';
import type { Table } from './tablecache.ts';
import { say } from '../../util/say.ts';

/** Most bytes that are allocated, filled and linked at once. */
const MAX_RUN = 8 << 20;

/** Clusters to fill: `count` from guest offset `start` (whole clusters), at `host`. */
interface Plan {
  start: number;
  count: number;
  host: number;
  /** Guest offset up to which it may be filled: behind it are data that others may be writing in place just now. */
  end: number;
  /** The clusters were allocated for this, rather than there already and only in need of filling. */
  allocated: boolean;
  /** They have never been written to and read as zeros. */
  fresh: boolean;
  /** Everything of the old clusters must be carried over, not only what completes a unit. */
  whole: boolean;
  done: () => void;
}

export class Writer {
  private readonly meta: Metadata;
  private readonly layers: Layers;
  private readonly mapping: Mapping;
  private readonly reader: Reader;
  /** Called before guest bytes have another place in the file than before. */
  onMove: (offset: number, length: number) => void = () => {};
  /** Guest clusters that are being filled, by number. */
  private readonly busy = new Map<number, Promise<void>>();

  constructor(meta: Metadata, layers: Layers, mapping: Mapping, reader: Reader) {
    this.meta = meta;
    this.layers = layers;
    this.mapping = mapping;
    this.reader = reader;
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    for (let done = 0; done < source.length; ) {
      const at = offset + done;
      const rest = source.subarray(done);
      const inPlace = this.inPlace(at, rest.length);
      if (inPlace) {
        await this.layers.writeData(inPlace.host, this.wholeSectors(at, rest.subarray(0, inPlace.length)));
        done += inPlace.length;
      } else done += await this.writeAllocating(at, rest);
    }
  }

  private wholeSectors(offset: number, source: Uint8Array): Uint8Array {
    if (this.layers.encrypted && (offset % 512 || source.length % 512)) throw corrupt(this.meta.file.path, say('damageOddWrite'));
    return source;
  }

  /** Where `length` bytes or the first of them can be written without a change of the mapping; undefined when they can't or its table is not in memory. */
  private inPlace(offset: number, length: number): { host: number; length: number } | undefined {
    const { meta, mapping } = this;
    const index = mapping.l2Index(offset);
    const tableOffset = meta.l2Offset(index);
    if (!tableOffset || !meta.l1Copied(index)) return undefined;
    const table = meta.l2.peek(tableOffset);
    if (!table) return undefined;
    const within = Math.min(length, meta.clusterSize * meta.perL2 - (offset % (meta.clusterSize * meta.perL2)));
    const extent = mapping.inTable(table, offset, within);
    if (extent.kind !== 'data') return undefined;
    let end = offset;
    while (end < offset + extent.length && isCopied(table.view, mapping.entryAt(end)))
      end = roundDown(end, meta.clusterSize) + meta.clusterSize;
    const taken = Math.min(end, offset + extent.length) - offset;
    if (taken <= 0) return undefined;
    meta.refuseMetadata(extent.host!, taken);
    return { host: extent.host!, length: taken };
  }

  private async writeAllocating(offset: number, source: Uint8Array): Promise<number> {
    const { meta, mapping } = this;
    const { clusterSize } = meta;
    const plan = await this.plan(offset, source.length);
    if (!plan) return 0;
    const end = Math.min(offset + source.length, plan.end);
    try {
      const unit = plan.whole ? clusterSize : mapping.unit;
      await this.fill(plan, offset, source.subarray(0, end - offset), unit);
      await meta.lock.run(() => this.link(plan, roundDown(offset, unit), roundUp(end, unit)));
    } catch (error) {
      if (plan.allocated) await meta.lock.run(() => meta.refcounts.add(plan.host / clusterSize, plan.count, -1));
      throw error;
    } finally {
      plan.done();
    }
    return end - offset;
  }

  /** Writes the bytes, and around them what completes the first and the last unit. */
  private async fill(plan: Plan, offset: number, source: Uint8Array, unit: number): Promise<void> {
    const end = offset + source.length;
    const from = roundDown(offset, unit);
    const to = roundUp(end, unit);
    let head = offset - from;
    let tail = to - end;
    if (plan.fresh) {
      if (head && (await this.readsAsZeros(from, head))) head = 0;
      if (tail && (await this.readsAsZeros(end, tail))) tail = 0;
    }
    const host = plan.host + (offset - plan.start);
    if (!head && !tail) return this.layers.writeData(host, source);
    const bytes = new Uint8Array(head + source.length + tail);
    if (head) await this.reader.read(offset - head, bytes.subarray(0, head));
    if (tail) await this.reader.read(end, bytes.subarray(head + source.length));
    bytes.set(source, head);
    return this.layers.writeData(host - head, bytes);
  }

  /** Maps the range to places of the file that have never been written to, or that get zeros. */
  async reserve(offset: number, length: number): Promise<void> {
    const { meta, mapping } = this;
    for (let at = offset; at < offset + length; ) {
      const plan = await this.plan(at, offset + length - at);
      const extent = await mapping.extent(at, offset + length - at);
      if (!plan) {
        at += extent.length;
        continue;
      }
      const bytes = Math.min(plan.count * meta.clusterSize, offset + length - at);
      try {
        if (!plan.fresh) await this.layers.writeData(plan.host, new Uint8Array(plan.count * meta.clusterSize));
        await meta.lock.run(() => this.link(plan, plan.start, plan.start + plan.count * meta.clusterSize));
      } finally {
        plan.done();
      }
      at += bytes;
    }
    if (!meta.shape.externalData) await meta.growTo(await meta.fileEnd());
  }

  private async readsAsZeros(offset: number, length: number): Promise<boolean> {
    for (let at = offset; at < offset + length; ) {
      const extent = await this.mapping.extent(at, offset + length - at);
      if (extent.kind !== 'zero') return false;
      at += extent.length;
    }
    return true;
  }

  /** Chooses and allocates host clusters for the start of the range; undefined when somebody was in the way and it must be looked at anew. */
  private async plan(offset: number, length: number): Promise<Plan | undefined> {
    const { meta, mapping } = this;
    const { clusterSize } = meta;
    const start = roundDown(offset, clusterSize);
    const first = start / clusterSize;
    const waiting = this.busy.get(first);
    if (waiting) {
      await waiting;
      return undefined;
    }
    return meta.lock.run(async () => {
      if (this.busy.has(first)) return undefined;
      const table = await meta.l2ForWriting(mapping.l2Index(offset));
      const at = mapping.entryAt(offset);
      // Also refuses an entry that can't be.
      const kind = mapping.kindOf(table, offset);
      const { view } = table;
      if (hasHost(meta.shape, view, at) && isCopied(view, at)) {
        // In place after all, now that the table is in memory.
        if (kind === 'data' && !meta.shape.extended) return undefined;
        const host = hostOffset(view, at);
        meta.refuseMetadata(host, clusterSize);
        if (kind === 'data' && this.inPlace(offset, length)) return undefined;
        let end = roundDown(offset, mapping.unit) + mapping.unit;
        while (end < start + clusterSize && mapping.kindOf(table, end) !== 'data') end += mapping.unit;
        return this.planOf({ start, count: 1, host, end, allocated: false, fresh: false, whole: false });
      }
      const last = Math.floor((offset + Math.min(length, MAX_RUN) - 1) / clusterSize);
      const whole = !meta.shape.extended || isCompressed(view, at) || hasHost(meta.shape, view, at);
      let count = 1;
      while (first + count <= last && (first + count) % meta.perL2 && this.sameWay(table, (first + count) * clusterSize, whole)) count++;
      if (meta.shape.externalData) {
        const end = start + count * clusterSize;
        return this.planOf({ start, count, host: start, end, allocated: false, fresh: false, whole });
      }
      const got = await meta.refcounts.allocate(count, false);
      const host = got.first * clusterSize;
      return this.planOf({
        start,
        count: got.count,
        host,
        end: start + got.count * clusterSize,
        allocated: true,
        fresh: got.fresh && !this.layers.encrypted,
        whole,
      });
    });
  }

  /** True when the cluster needs a new place too, and as much carried over. */
  private sameWay(table: Table, offset: number, whole: boolean): boolean {
    const { shape, clusterSize } = this.meta;
    const at = this.mapping.entryAt(offset);
    if (this.busy.has(offset / clusterSize)) return false;
    this.mapping.kindOf(table, offset);
    const has = hasHost(shape, table.view, at);
    if (has && isCopied(table.view, at)) return false;
    return whole === (!shape.extended || isCompressed(table.view, at) || has);
  }

  private planOf(plan: Omit<Plan, 'done'>): Plan {
    const first = plan.start / this.meta.clusterSize;
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    for (let i = 0; i < plan.count; i++) this.busy.set(first + i, finished);
    return {
      ...plan,
      done: () => {
        for (let i = 0; i < plan.count; i++) this.busy.delete(first + i);
        finish();
      },
    };
  }

  /** Guest bytes `from` to `to` (whole units) of the plan's clusters are data now. Under the lock. */
  private async link(plan: Plan, from: number, to: number): Promise<void> {
    const { meta, mapping } = this;
    const { clusterSize, shape } = meta;
    const table = await meta.l2ForWriting(mapping.l2Index(plan.start));
    this.moving(table, plan.start, plan.count);
    for (let i = 0; i < plan.count; i++) {
      const guest = plan.start + i * clusterSize;
      const at = mapping.entryAt(guest);
      if (plan.allocated) this.freeOld(table, at);
      if (shape.extended && isCompressed(table.view, at)) setEmpty(shape, table.view, at, false);
      setHost(table.view, at, plan.host + i * clusterSize, true);
      if (shape.extended) {
        const first = Math.max(from, guest) - guest;
        const last = Math.min(to, guest + clusterSize) - guest - 1;
        setSubclusters(table.view, at, Math.floor(first / mapping.unit), Math.floor(last / mapping.unit), 'data');
      }
    }
    meta.l2.markDirty(table);
  }

  /** Guest clusters that have bytes somewhere get them elsewhere now. */
  private moving(table: Table, offset: number, count: number): void {
    const { clusterSize, shape } = this.meta;
    for (let i = 0; i < count; i++) {
      const guest = offset + i * clusterSize;
      if (!hasHost(shape, table.view, this.mapping.entryAt(guest)) && this.layers.backingIsZero(guest)) continue;
      this.onMove(guest, (count - i) * clusterSize);
      return;
    }
  }

  /** The host clusters behind an entry that is about to change are used once less. Under the lock. */
  private freeOld(table: Table, at: number): void {
    const { meta } = this;
    const { shape, clusterSize } = meta;
    if (isCompressed(table.view, at)) {
      const { host, length } = compressedPlace(shape, table.view, at);
      const first = Math.floor(host / clusterSize);
      meta.free(first, Math.floor((host + length - 1) / clusterSize) - first + 1);
      this.reader.forgetUnpacked();
    } else if (!shape.externalData && hasHost(shape, table.view, at)) meta.free(hostOffset(table.view, at) / clusterSize, 1);
  }

  /**
   * Whole clusters from `offset` read as zeros from now on. `unmap`: their room is given back; otherwise those that have room keep it.
   * Only where `canZero`.
   */
  async zero(offset: number, length: number, unmap: boolean): Promise<void> {
    const { meta, mapping } = this;
    const { clusterSize } = meta;
    for (let at = offset; at < offset + length; ) {
      const extent = await mapping.extent(at, offset + length - at);
      const inTable = clusterSize * meta.perL2 - (at % (clusterSize * meta.perL2));
      // Zeros already, and with nothing to give back: whole tables of nothing in one step.
      if (extent.kind === 'zero' && !meta.l2Offset(mapping.l2Index(at))) {
        at += extent.length;
        continue;
      }
      const end = Math.min(offset + length, at + inTable);
      const busy = this.firstBusy(at, end);
      if (busy) await busy;
      else if (await meta.lock.run(() => this.zeroInTable(at, end, unmap))) at = end;
    }
  }

  private firstBusy(from: number, to: number): Promise<void> | undefined {
    if (!this.busy.size) return undefined;
    for (let at = from; at < to; at += this.meta.clusterSize) {
      const busy = this.busy.get(at / this.meta.clusterSize);
      if (busy) return busy;
    }
    return undefined;
  }

  private async zeroInTable(from: number, to: number, unmap: boolean): Promise<boolean> {
    const { meta, mapping } = this;
    const { clusterSize, shape } = meta;
    const table = await meta.l2ForWriting(mapping.l2Index(from));
    if (this.firstBusy(from, to)) return false;
    this.moving(table, from, Math.ceil((to - from) / clusterSize));
    for (let guest = from; guest < to; guest += clusterSize) {
      const at = mapping.entryAt(guest);
      mapping.kindOf(table, guest);
      const own = hasHost(shape, table.view, at) && isCopied(table.view, at);
      if (own && !unmap && shape.version === 3) setZeroKeepingHost(shape, table.view, at);
      else {
        this.freeOld(table, at);
        setEmpty(shape, table.view, at, !this.layers.backingIsZero(guest));
      }
    }
    meta.l2.markDirty(table);
    return true;
  }

  /** True when whole clusters in the range can be made to read as zeros without writing them. */
  canZero(offset: number): boolean {
    if (this.meta.shape.externalData) return false;
    return this.meta.shape.version === 3 || this.layers.backingIsZero(offset);
  }

  /** Writes one whole cluster packed; `packed` is shorter than a cluster. */
  async writeCompressed(offset: number, packed: Uint8Array): Promise<void> {
    const { meta, mapping } = this;
    const { clusterSize, shape } = meta;
    const place = await meta.lock.run(() => this.allocatePacked(packed.length));
    try {
      await meta.file.write(place, packed);
    } catch (error) {
      const first = Math.floor(place / clusterSize);
      await meta.lock.run(() => meta.refcounts.add(first, Math.floor((place + packed.length - 1) / clusterSize) - first + 1, -1));
      throw error;
    }
    await meta.lock.run(async () => {
      const table = await meta.l2ForWriting(mapping.l2Index(offset));
      const at = mapping.entryAt(offset);
      mapping.kindOf(table, offset);
      this.moving(table, offset, 1);
      this.freeOld(table, at);
      setCompressed(shape, table.view, at, { host: place, length: packed.length });
      setCopied(table.view, at, false);
      meta.l2.markDirty(table);
    });
  }

  /** Bytes for packed data: behind those before, and on into the next cluster when that one is free. Under the lock. */
  private async allocatePacked(length: number): Promise<number> {
    const { refcounts, clusterSize } = this.meta;
    const place = refcounts.packedEnd;
    const left = place ? clusterSize - (place % clusterSize) : 0;
    const tail = Math.floor(place / clusterSize);
    if (length > left) {
      const { first } = await refcounts.allocate(1, true);
      if (!left || first !== tail + 1) return this.packedFrom(first * clusterSize, length);
    }
    try {
      await refcounts.add(tail, 1, 1);
    } catch (error) {
      if (length > left) await refcounts.add(tail + 1, 1, -1);
      throw error;
    }
    return this.packedFrom(place, length);
  }

  private packedFrom(place: number, length: number): number {
    const end = place + length;
    // A full cluster is no place to go on in.
    this.meta.refcounts.packedEnd = end % this.meta.clusterSize ? end : 0;
    return place;
  }
}
