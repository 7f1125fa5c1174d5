/**
 * Room for compiled regions: functions in the shared table, memory in the pool, and bytes of WebAssembly, all of which a module takes as one and gives
 * back as one. Which modules go when it is full, or because they have not been used for a minute, is told by samples: where the run loop looked at what is
 * hot, it noted the place (jitheat.ts).
 */
import { JIT_POOL_BASE, JIT_POOL_SIZE, JIT_USED_BASE, JIT_USED_SIZE, CPU_STATE_BASE } from '../../memory/layout.ts';
import { SJ_EPOCH, USED_GRAIN_SHIFT } from '../interp/wasm/jitoffsets.ts';
import { POOL_UNIT } from './dispatchemitter.ts';
import { Ranges } from './ranges.ts';

/** Limits of the code cache. */
export const MAX_REGIONS = 4096;
export const MAX_WASM_BYTES = 16 << 20;
/** Functions of the shared table; 0 is none. More than MAX_REGIONS, because the places of a module lie side by side. */
export const TABLE_SIZE = 8192;
/** Regions compiled from one epoch to the next: times are told apart no finer. */
const EPOCH_REGIONS = 64;
/** Calls of `tick` that a module outlives without anybody being seen in it. */
export const KEPT_TICKS = 6;

/** What the cache needs to know of a region. */
export interface CachedRegion {
  /** Pages of the shared memory that it was made from, and which bytes of them. */
  parts: readonly { page: number; low: number; high: number }[];
}

export interface RegionModule<R extends CachedRegion = CachedRegion> {
  /** Its functions in the table. */
  first: number;
  size: number;
  /** Its memory in the pool. */
  pool: number;
  units: number;
  wasmBytes: number;
  /** Those of its regions that are alive. */
  regions: Set<R>;
  /** Epoch in which it was made. */
  made: number;
}

export class CodeCache<R extends CachedRegion> {
  readonly modules = new Set<RegionModule<R>>();
  private readonly indices = new Ranges(1, TABLE_SIZE - 1);
  private readonly pool = new Ranges(JIT_POOL_BASE / POOL_UNIT, JIT_POOL_SIZE / POOL_UNIT);
  private readonly words: Int32Array;
  private readonly used: Uint16Array;
  private functions = 0;
  private sinceEpoch = 0;
  /** Epochs in which the last ticks began, the latest last. */
  private readonly ticks: number[] = [];
  wasmBytes = 0;

  constructor(memory: WebAssembly.Memory) {
    this.words = new Int32Array(memory.buffer);
    this.used = new Uint16Array(memory.buffer, JIT_USED_BASE, JIT_USED_SIZE / 2);
  }

  /** Room for a module of `size` regions; undefined when the cache is too full for it. */
  take(size: number, wasmBytes: number, units: number): RegionModule<R> | undefined {
    if (this.functions + size > MAX_REGIONS || this.wasmBytes + wasmBytes > MAX_WASM_BYTES) return undefined;
    const first = this.indices.take(size);
    if (first === undefined) return undefined;
    const pool = this.pool.take(units);
    if (pool === undefined) {
      this.indices.give(first, size);
      return undefined;
    }
    this.functions += size;
    this.wasmBytes += wasmBytes;
    this.sinceEpoch += size;
    if (this.sinceEpoch >= EPOCH_REGIONS) {
      this.sinceEpoch = 0;
      this.words[(CPU_STATE_BASE + SJ_EPOCH) >> 2]!++;
    }
    const module: RegionModule<R> = { first, size, pool: pool * POOL_UNIT, units, wasmBytes, regions: new Set(), made: this.epoch };
    this.modules.add(module);
    return module;
  }

  /** Gives the room of a module back, none of whose regions is alive. */
  release(module: RegionModule<R>): void {
    if (!this.modules.delete(module)) return;
    this.indices.give(module.first, module.size);
    this.pool.give(module.pool / POOL_UNIT, module.units);
    this.functions -= module.size;
    this.wasmBytes -= module.wasmBytes;
  }

  /** The modules that nobody was seen in for the longest time, a quarter of the cache. */
  coldest(): RegionModule<R>[] {
    const aged = [...this.modules].map((module) => ({ module, age: this.age(module) })).sort((a, b) => b.age - a.age);
    const enough = this.wasmBytes / 4;
    let bytes = 0;
    return aged.flatMap(({ module }) => {
      if (bytes >= enough) return [];
      bytes += module.wasmBytes;
      return [module];
    });
  }

  /** Some time passed, always as much. Gives the modules that nobody was seen in for KEPT_TICKS of these times. */
  tick(): RegionModule<R>[] {
    this.words[(CPU_STATE_BASE + SJ_EPOCH) >> 2]!++;
    this.ticks.push(this.epoch);
    if (this.ticks.length <= KEPT_TICKS) return [];
    const passed = (this.epoch - this.ticks.shift()!) & 0xffff;
    return [...this.modules].filter((module) => this.age(module) > passed);
  }

  private get epoch(): number {
    return this.words[(CPU_STATE_BASE + SJ_EPOCH) >> 2]! & 0xffff;
  }

  /** Epochs since the module was made, or somebody was seen in what it was made from. */
  private age({ made, regions }: RegionModule<R>): number {
    const now = this.epoch;
    const since = (epoch: number) => (now - epoch) & 0xffff;
    let age = since(made);
    for (const { parts } of regions)
      for (const { page, low, high } of parts)
        for (let grain = (page * 4096 + low) >>> USED_GRAIN_SHIFT; grain <= (page * 4096 + high - 1) >>> USED_GRAIN_SHIFT; grain++)
          age = Math.min(age, since(this.used[(grain ^ (grain >>> 15)) & (this.used.length - 1)]!));
    return age;
  }
}
