import fc from 'fast-check';
import { expect, it } from 'vitest';
import { GUEST_RAM_BASE, ROM_BASE, VRAM_BASE } from '../../memory/layout.ts';
import { VgaScanout } from '../display/scanout.ts';
import { Bench } from '../testing/bench.ts';
import { createVirtioVga, GpuDriver } from '../testing/gpudriver.ts';
import * as G from './gpuprotocol.ts';

const word = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 9 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 600 }) },
  { weight: 1, arbitrary: fc.constantFrom(67, 134, 1024, 4096, 16_384, 0x7fffffff, 0x80000000, 0xffffffff) },
);
const type = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0x100, max: 0x10b }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffffffff }) },
);
const address = fc.oneof(
  fc.integer({ min: 0, max: 0xf_ffff }),
  fc.constantFrom(0xf_fff0, 0x10_0000, 0xfd00_0000, 0xfe01_0000, 0xffff_ffff, 2 ** 32, 2 ** 53, 2 ** 63),
);
const side = fc.integer({ min: 1, max: 300 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant('request' as const), type, words: fc.array(word, { maxLength: 10 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('create' as const),
      id: fc.integer({ min: 1, max: 6 }),
      format: fc.constantFrom(1, 2, 68),
      width: side,
      height: side,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('attach' as const),
      id: fc.integer({ min: 1, max: 6 }),
      places: fc.array(fc.tuple(address, fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.constant(0xffffffff))), { maxLength: 6 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constantFrom('transfer' as const, 'scanout' as const),
      id: fc.integer({ min: 1, max: 6 }),
      rect: fc.record({ x: word, y: word, width: word, height: word }),
      offset: fc.oneof(word, fc.constantFrom(2 ** 40, 2 ** 63)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constantFrom('cursor' as const, 'move' as const),
      id: fc.integer({ min: 0, max: 6 }),
      x: fc.oneof(fc.integer({ min: -80, max: 400 }), word),
      y: word,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('register' as const),
      offset: fc.integer({ min: 0, max: 0x3fff }),
      value: fc.integer({ min: 0, max: 0xffff }),
      size: fc.constantFrom(1 as const, 2 as const, 4 as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('prefer' as const), width: word, height: word }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('restore' as const, 'start' as const, 'time' as const) }) },
);

it('whatever a driver asks for: no exception, a picture within bounds, a state that can be restored, and no byte changes that is not the display’s', () => {
  const make = () => {
    const bench = new Bench();
    return { bench, device: createVirtioVga(bench) };
  };
  const { bench, device } = make();
  const copy = make();
  const all = new Uint8Array(bench.memory.memory.buffer);
  const guarded = [
    [GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE],
    [VRAM_BASE - 65_536, VRAM_BASE],
    [ROM_BASE + 0x10000, ROM_BASE + (1 << 20)],
  ] as const;
  const before = guarded.map(([start, end]) => all.slice(start, end));
  const screen = new VgaScanout({ memory: bench.memory.memory, now: () => 0 });
  screen.onDamage((rects) => {
    for (const { x, y, width, height } of rects) {
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
      expect(x + width).toBeLessThanOrEqual(screen.width);
      expect(y + height).toBeLessThanOrEqual(screen.height);
    }
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      device.reset('power');
      const driver = new GpuDriver(device, bench);
      driver.start();
      for (const one of steps) {
        switch (one.what) {
          case 'request':
            driver.request(one.type, one.words);
            break;
          case 'create':
            driver.create(one.id, one.format, one.width, one.height);
            break;
          case 'attach':
            driver.attachAt(one.id, one.places);
            break;
          case 'transfer':
            driver.transfer(one.id, one.rect, one.offset);
            break;
          case 'scanout':
            driver.setScanout(one.id, one.rect);
            break;
          case 'cursor':
            driver.cursor(one.id, one.x, one.y);
            break;
          case 'move':
            driver.moveCursor(one.x, one.y);
            break;
          case 'register':
            driver.virtio.write(one.offset, one.value, one.size);
            driver.virtio.read(one.offset, one.size);
            break;
          case 'prefer':
            device.prefer(one.width, one.height);
            break;
          case 'restore': {
            const state = device.save();
            copy.device.restore(structuredClone(state));
            expect(copy.device.save()).toEqual(state);
            break;
          }
          case 'start':
            driver.start();
            break;
          case 'time':
            bench.clock.advance(1_000_000);
        }
        screen.refresh();
        expect(screen.pixels.length).toBe(screen.width * screen.height);
      }
      // Whatever happened, a reset and a proper driver get through.
      device.reset('hard');
      const good = new GpuDriver(device, bench);
      good.start();
      expect(good.create(1, 2, 32, 32)).toBe(G.OK_NODATA);
      expect(good.setScanout(1, { x: 0, y: 0, width: 32, height: 32 })).toBe(G.OK_NODATA);
      screen.refresh();
      expect([screen.width, screen.height]).toEqual([32, 32]);
      guarded.forEach(([start], index) => {
        expect(all.subarray(start, start + before[index]!.length).every((byte, at) => byte === before[index]![at])).toBe(true);
      });
    }),
    { numRuns: 60 },
  );
});
