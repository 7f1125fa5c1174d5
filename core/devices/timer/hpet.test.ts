import { beforeEach, describe, expect, it } from 'vitest';
import { Bench, countRises } from '../testing/bench.ts';
import { HPET_BASE, Hpet } from './hpet.ts';

const CONFIGURATION = 0x010;
const STATUS = 0x020;
const COUNTER = 0x0f0;
const ENABLE = 1;
const LEGACY = 2;
const LEVEL = 1 << 1;
const INTERRUPT = 1 << 2;
const PERIODIC = 1 << 3;
const SET_ACCUMULATOR = 1 << 6;
const MODE_32 = 1 << 8;
const route = (input: number) => input << 9;
const config = (timer: number) => 0x100 + 0x20 * timer;
const comparator = (timer: number) => 0x108 + 0x20 * timer;

let bench: Bench;
let hpet: Hpet;

function create(on: Bench): Hpet {
  return new Hpet({
    id: 'hpet',
    mmio: on.mmio,
    clock: on.clock,
    legacyIrqs: [on.wire('irq0'), on.wire('irq8')],
    inputs: new Map([20, 21].map((input) => [input, on.wire(`input${input}`)])),
  });
}

beforeEach(() => {
  bench = new Bench();
  hpet = create(bench);
});

const read = (offset: number) => bench.mmio.read(HPET_BASE + offset, 4);
const write = (offset: number, value: number) => bench.mmio.write(HPET_BASE + offset, value >>> 0, 4);
/** As the processor splits a 64-bit store. */
const write64 = (offset: number, value: bigint) => {
  write(offset, Number(value & 0xffffffffn));
  write(offset + 4, Number(value >> 32n));
};
const ticks = (count: number) => bench.clock.advance(count * 10);

describe('HPET', () => {
  it('says what it is', () => {
    // Vendor 8086h, legacy replacement, 64-bit counter, last timer is number 2, revision 1; a tick is 10^7 femtoseconds.
    expect(read(0)).toBe(0x8086a201);
    expect(read(4)).toBe(10_000_000);
    expect([0, 1, 2, 3].map((timer) => read(config(timer)))).toEqual([0x30, 0x30, 0x30, 0]);
    expect(read(config(2) + 4)).toBe(0x00300000);
    expect([read(comparator(0)), read(comparator(0) + 4)]).toEqual([0xffffffff, 0xffffffff]);
    expect(bench.mmio.read(HPET_BASE + 3, 1)).toBe(0x80);
  });

  it('the counter runs only while it is enabled and can be set', () => {
    ticks(100);
    expect(read(COUNTER)).toBe(0);
    write(CONFIGURATION, ENABLE);
    ticks(100);
    expect(read(COUNTER)).toBe(100);
    write(CONFIGURATION, 0);
    ticks(100);
    expect(read(COUNTER)).toBe(100);
    write64(COUNTER, 0x1_ffff_fff0n);
    write(CONFIGURATION, ENABLE);
    ticks(0x20);
    expect([read(COUNTER), read(COUNTER + 4)]).toEqual([0x10, 2]);
  });

  it('a one-shot timer gives one edge at its match', () => {
    const rises = countRises(bench.wire('input20'));
    write(config(1), INTERRUPT | route(20));
    write64(comparator(1), 1000n);
    write(CONFIGURATION, ENABLE);
    ticks(999);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    expect(bench.wire('input20').level).toBe(false);
    expect(read(STATUS)).toBe(0);
    ticks(100_000);
    expect(rises.count).toBe(1);
  });

  it('a comparator behind the counter matches after the counter has gone round: in 32 bits after 43 seconds', () => {
    const rises = countRises(bench.wire('input20'));
    write(CONFIGURATION, ENABLE);
    ticks(1000);
    write(config(0), INTERRUPT | MODE_32 | route(20));
    write(comparator(0), 999);
    bench.clock.advance(10 * (2 ** 32 - 2));
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    bench.clock.advance(10 * 2 ** 32);
    expect(rises.count).toBe(2);
    expect(read(comparator(0) + 4)).toBe(0);
  });

  it('a level-triggered timer holds its line until its status is cleared', () => {
    write(config(2), LEVEL | INTERRUPT | route(21));
    write64(comparator(2), 50n);
    write(CONFIGURATION, ENABLE);
    ticks(50);
    expect(bench.wire('input21').level).toBe(true);
    expect(read(STATUS)).toBe(4);
    write(STATUS, 1);
    expect(bench.wire('input21').level).toBe(true);
    write(STATUS, 4);
    expect(bench.wire('input21').level).toBe(false);
    expect(read(STATUS)).toBe(0);
  });

  it('a timer with its interrupt off keeps its status and drives nothing', () => {
    write(config(2), LEVEL | route(21));
    write64(comparator(2), 50n);
    write(CONFIGURATION, ENABLE);
    ticks(60);
    expect(read(STATUS)).toBe(4);
    expect(bench.wire('input21').level).toBe(false);
    write(config(2), LEVEL | INTERRUPT | route(21));
    expect(bench.wire('input21').level).toBe(true);
  });

  it('a periodic timer: the first write sets the first match, the second the period', () => {
    const rises = countRises(bench.wire('input20'));
    write(CONFIGURATION, ENABLE);
    write(config(0), PERIODIC | INTERRUPT | SET_ACCUMULATOR | MODE_32 | route(20));
    write(comparator(0), 30_000);
    write(comparator(0), 10_000);
    ticks(29_999);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    expect(read(comparator(0))).toBe(40_000);
    bench.clock.advance(10 * 10_000 * 1000);
    expect(rises.count).toBe(1001);
  });

  it('both halves of a 64-bit write set the accumulator', () => {
    write64(COUNTER, 0x5_0000_0000n);
    write(CONFIGURATION, ENABLE);
    const rises = countRises(bench.wire('input20'));
    write(config(0), PERIODIC | INTERRUPT | SET_ACCUMULATOR | route(20));
    write64(comparator(0), 0x5_0000_4000n);
    write64(comparator(0), 0x4000n);
    ticks(0x4000 * 3);
    expect(rises.count).toBe(3);
    expect([read(comparator(0)), read(comparator(0) + 4)]).toEqual([0x10000, 5]);
  });

  it('periods that the host missed are made up for at eight times the rate, and the beat is kept', () => {
    const rises = countRises(bench.wire('input20'));
    write(config(0), PERIODIC | INTERRUPT | SET_ACCUMULATOR | MODE_32 | route(20));
    write(comparator(0), 80_000);
    write(comparator(0), 80_000);
    write(CONFIGURATION, ENABLE);
    // The thread was away: time moves on and timers run late.
    const late = bench.clock as unknown as { time: { now: number } };
    late.time.now += 10 * 79_000 * 10;
    bench.clock.runDue();
    expect(rises.count).toBe(1);
    expect(read(comparator(0))).toBe(800_000);
    // One is due after 10000 ticks, eight are owed.
    ticks(80_000);
    expect(rises.count).toBe(9);
    ticks(80_000);
    expect(rises.count).toBe(11);
    ticks(800_000);
    expect(rises.count).toBe(21);
  });

  it('a route that is not offered does not stick', () => {
    write(config(0), route(21));
    write(config(0), INTERRUPT | route(5));
    expect(read(config(0)) >> 9).toBe(21);
  });

  it('legacy replacement takes interrupts 0 and 8 away from the 8254 and the RTC, and gives them back', () => {
    const irq0 = bench.wire('irq0');
    const irq8 = bench.wire('irq8');
    hpet.pitInput.set(true);
    expect(irq0.level).toBe(true);
    write(config(0), INTERRUPT | route(20));
    write64(comparator(0), 500n);
    write(config(1), LEVEL | INTERRUPT);
    write64(comparator(1), 600n);
    write(CONFIGURATION, ENABLE | LEGACY);
    expect(irq0.level).toBe(false);
    const zero = countRises(irq0);
    const other = countRises(bench.wire('input20'));
    hpet.pitInput.set(false);
    hpet.pitInput.set(true);
    hpet.rtcInput.set(true);
    expect([zero.count, irq8.level]).toEqual([0, false]);
    ticks(500);
    expect([zero.count, other.count, irq8.level]).toEqual([1, 0, false]);
    ticks(100);
    expect(irq8.level).toBe(true);
    hpet.rtcInput.set(false);
    expect(irq8.level).toBe(true);
    write(CONFIGURATION, ENABLE);
    expect([irq0.level, irq8.level]).toEqual([true, false]);
  });

  it('a match that is due is not lost when the guest writes at that moment, nor by saving', () => {
    const rises = countRises(bench.wire('input20'));
    write(config(0), INTERRUPT | route(20));
    write64(comparator(0), 1000n);
    write(CONFIGURATION, ENABLE);
    const late = bench.clock as unknown as { time: { now: number } };
    late.time.now += 10 * 1005;
    const state = hpet.save();
    write(config(0), route(20));
    expect(rises.count).toBe(1);

    const other = new Bench();
    const restored = create(other);
    const again = countRises(other.wire('input20'));
    restored.restore(structuredClone(state));
    other.clock.advance(10);
    expect(again.count).toBe(1);
  });

  it('any access leaves a state that restores', () => {
    let seed = 1;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    for (let i = 0; i < 5000; i++) {
      const size = ([1, 2, 4, 4, 4] as const)[random(5)]!;
      const offset = random(8) ? random(0x60) * 4 : random(1024);
      if (random(3)) bench.mmio.write(HPET_BASE + offset, random(3) ? random(0x4000) : random(2 ** 32), size);
      else expect(bench.mmio.read(HPET_BASE + offset, size)).toBeLessThan(2 ** (8 * size));
      bench.clock.advance(random(200_000));
      if (i % 500) continue;
      const state = hpet.save();
      const restored = create(new Bench());
      restored.restore(structuredClone(state));
      expect(restored.save()).toEqual(state);
    }
  });
});
