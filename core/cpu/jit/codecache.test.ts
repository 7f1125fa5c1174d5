import { beforeEach, describe, expect, it } from 'vitest';
import { CPU_STATE_BASE, GUEST_RAM_BASE, JIT_USED_BASE, JIT_USED_SIZE } from '../../memory/layout.ts';
import { createVmMemory } from '../../memory/vmmemory.ts';
import { SJ_EPOCH, USED_GRAIN_SHIFT } from '../interp/wasm/jitoffsets.ts';
import { CodeCache, type CachedRegion, KEPT_TICKS, MAX_REGIONS, MAX_WASM_BYTES, type RegionModule } from './codecache.ts';

const BATCH = 16;
const FIRST_PAGE = GUEST_RAM_BASE / 4096;

let memory: WebAssembly.Memory;
let cache: CodeCache<CachedRegion>;
beforeEach(() => {
  memory = createVmMemory(1 << 20);
  cache = new CodeCache(memory);
});

/** A module whose regions are made from bytes 0x100 to 0x180 of a page of their own. */
function fill(number: number, bytes = 1000, units = 2): RegionModule<CachedRegion> | undefined {
  const module = cache.take(BATCH, bytes, units);
  for (let i = 0; module && i < BATCH; i++) module.regions.add({ parts: [{ page: FIRST_PAGE + number, low: 0x100, high: 0x180 }] });
  return module;
}
/** What the run loop does where a sample falls (interp/wasm/jitheat.ts). */
function seen(host: number): void {
  const grain = host >>> USED_GRAIN_SHIFT;
  const epoch = new Int32Array(memory.buffer)[(CPU_STATE_BASE + SJ_EPOCH) >> 2]!;
  new Uint16Array(memory.buffer, JIT_USED_BASE, JIT_USED_SIZE / 2)[(grain ^ (grain >>> 15)) & (JIT_USED_SIZE / 2 - 1)] = epoch;
}

describe('the code cache', () => {
  it('has room for so many regions, and for so many bytes', () => {
    let regions = 0;
    while (fill(0)) regions += BATCH;
    expect(regions).toBe(MAX_REGIONS);
    for (const module of [...cache.modules]) cache.release(module);
    expect(cache.wasmBytes).toBe(0);
    let bytes = 0;
    while (fill(0, 1 << 20)) bytes += 1 << 20;
    expect(bytes).toBe(MAX_WASM_BYTES);
  });

  it('gives no function and no memory of the pool to two modules', () => {
    const modules = Array.from({ length: 50 }, (_, i) => fill(i, 1000, i % 7)!);
    for (const module of modules.filter((_, i) => i % 3 === 0)) cache.release(module);
    for (let i = 0; i < 30; i++) fill(i, 1000, i % 5);
    const functions = [...cache.modules].flatMap(({ first, size }) => Array.from({ length: size }, (_, i) => first + i));
    expect(new Set(functions).size).toBe(functions.length);
    const units = [...cache.modules].flatMap(({ pool, units: count }) => Array.from({ length: count }, (_, i) => pool + i * 64));
    expect(new Set(units).size).toBe(units.length);
  });

  it('lets those go first that nobody was seen in for the longest time, not the oldest', () => {
    const modules = Array.from({ length: 40 }, (_, i) => fill(i)!);
    // The even ones of the older half are still being used.
    for (let i = 0; i < 20; i += 2) seen(GUEST_RAM_BASE + i * 4096 + 0x140);
    const gone = new Set(cache.coldest());
    expect(gone.size).toBe(10);
    expect(modules.filter((module) => gone.has(module)).map((module) => modules.indexOf(module))).toEqual(
      Array.from({ length: 10 }, (_, i) => 2 * i + 1),
    );
  });

  it('tells what nobody was seen in for so many ticks, whatever was compiled meanwhile', () => {
    const modules = Array.from({ length: 4 }, (_, i) => fill(i)!);
    for (let tick = 0; tick < KEPT_TICKS; tick++) {
      seen(GUEST_RAM_BASE + 0x140);
      expect(cache.tick()).toEqual([]);
      if (tick === 2) seen(GUEST_RAM_BASE + 4096 + 0x140);
    }
    const fresh = Array.from({ length: 10 }, (_, i) => fill(10 + i)!);
    expect(cache.tick()).toEqual([modules[2], modules[3]]);
    for (const module of modules.slice(2)) cache.release(module);
    for (let tick = 0; tick < 2; tick++) {
      seen(GUEST_RAM_BASE + 0x140);
      expect(cache.tick()).toEqual([]);
    }
    seen(GUEST_RAM_BASE + 0x140);
    expect(cache.tick()).toEqual([modules[1]]);
    for (let tick = 3; tick < KEPT_TICKS; tick++) {
      seen(GUEST_RAM_BASE + 0x140);
      expect(cache.tick()).toEqual(tick === KEPT_TICKS - 1 ? [modules[1], ...fresh] : [modules[1]]);
    }
  });
});
