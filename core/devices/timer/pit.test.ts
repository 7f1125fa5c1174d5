import { beforeEach, describe, expect, it } from 'vitest';
import { Bench, countRises } from '../testing/bench.ts';
import { PIT_HZ, Pit, timeOfTick } from './pit.ts';
import { Port61 } from './port61.ts';

let bench: Bench;
let tick: number;

beforeEach(() => {
  bench = new Bench();
  tick = 0;
  const pit = new Pit({ id: 'pit', ports: bench.ports, irq: bench.wire('irq0'), clock: bench.clock });
  new Port61({ id: 'port61', ports: bench.ports, clock: bench.clock, pit });
});

/** Lets `count` oscillator ticks pass exactly. */
function ticks(count: number): void {
  tick += count;
  bench.clock.advance(timeOfTick(tick) - bench.clock.now());
}

function program(channel: number, control: number, count: number): void {
  bench.out8(0x43, (channel << 6) | 0x30 | control);
  bench.out8(0x40 + channel, count & 0xff);
  bench.out8(0x40 + channel, count >> 8);
}

function counter(channel: number): number {
  bench.out8(0x43, channel << 6);
  return bench.in8(0x40 + channel) | (bench.in8(0x40 + channel) << 8);
}

function status(channel: number): number {
  bench.out8(0x43, 0xe0 | (2 << channel));
  return bench.in8(0x40 + channel);
}

const OUT = 0x80;
const NULL_COUNT = 0x40;

describe('8254', () => {
  it('mode 0 goes high at terminal count and counts on through zero', () => {
    const rises = countRises(bench.wire('irq0'));
    program(0, 0, 1000);
    expect(status(0) & OUT).toBe(0);
    ticks(999);
    expect(counter(0)).toBe(1);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    expect(status(0) & OUT).toBe(OUT);
    ticks(1);
    expect(counter(0)).toBe(0xffff);
    ticks(200_000);
    expect(rises.count).toBe(1);
  });

  it('mode 2 interrupts once a period, for a day without drift', () => {
    program(0, 4, 0);
    const rises = countRises(bench.wire('irq0'));
    ticks(65535);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    ticks(65536 * 1000);
    expect(rises.count).toBe(1001);
    expect(counter(0)).toBe(0);
    ticks(65535);
    expect(counter(0)).toBe(1);
    expect(status(0) & OUT).toBe(0);
  });

  it('mode 2 takes a new count at the end of the cycle', () => {
    program(0, 4, 1000);
    const rises = countRises(bench.wire('irq0'));
    ticks(400);
    bench.out8(0x40, 100);
    bench.out8(0x40, 0);
    expect(status(0) & NULL_COUNT).toBe(NULL_COUNT);
    expect(counter(0)).toBe(600);
    ticks(599);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    expect(status(0) & NULL_COUNT).toBe(0);
    ticks(100);
    expect(rises.count).toBe(2);
  });

  it('mode 3 divides odd counts (N+1)/2 high and (N-1)/2 low, by steps of two', () => {
    program(0, 6, 5);
    const seen = [];
    for (let i = 0; i < 10; i++) {
      seen.push([status(0) >> 7, counter(0)]);
      ticks(1);
    }
    const cycle = [
      [1, 4],
      [1, 2],
      [1, 0],
      [0, 4],
      [0, 2],
    ];
    expect(seen).toEqual([...cycle, ...cycle]);
  });

  it('mode 3 takes a new count at the end of the half cycle', () => {
    program(0, 6, 1000);
    const rises = countRises(bench.wire('irq0'));
    ticks(100);
    bench.out8(0x40, 200);
    bench.out8(0x40, 0);
    ticks(400);
    expect(status(0) & OUT).toBe(0);
    ticks(99);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
    ticks(200);
    expect(rises.count).toBe(2);
  });

  it('mode 4 strobes once for one clock', () => {
    const rises = countRises(bench.wire('irq0'));
    program(0, 8, 50);
    expect(status(0) & OUT).toBe(OUT);
    ticks(50);
    expect(status(0) & OUT).toBe(0);
    ticks(1);
    expect(status(0) & OUT).toBe(OUT);
    expect(rises.count).toBeGreaterThanOrEqual(1);
    const before = rises.count;
    ticks(100_000);
    expect(rises.count).toBe(before);
  });

  it('modes 1 and 5 wait for the gate', () => {
    program(2, 2, 100);
    expect(bench.in8(0x61) & 0x20).toBe(0x20);
    ticks(500);
    bench.out8(0x61, 1);
    expect(bench.in8(0x61) & 0x20).toBe(0);
    ticks(99);
    expect(bench.in8(0x61) & 0x20).toBe(0);
    ticks(1);
    expect(bench.in8(0x61) & 0x20).toBe(0x20);
    bench.out8(0x61, 0);
    program(2, 10, 10);
    bench.out8(0x61, 1);
    ticks(10);
    expect(bench.in8(0x61) & 0x20).toBe(0);
    ticks(1);
    expect(bench.in8(0x61) & 0x20).toBe(0x20);
  });

  it('lets Linux calibrate with channel 2 in mode 0 through port 61h', () => {
    bench.out8(0x61, (bench.in8(0x61) & ~2) | 1);
    program(2, 0, 59659);
    ticks(59658);
    expect(bench.in8(0x61) & 0x20).toBe(0);
    ticks(1);
    expect(bench.in8(0x61) & 0x20).toBe(0x20);
  });

  it('freezes mode 0 while the gate is low', () => {
    bench.out8(0x61, 1);
    program(2, 0, 1000);
    ticks(300);
    bench.out8(0x61, 0);
    ticks(5000);
    expect(counter(2)).toBe(700);
    bench.out8(0x61, 1);
    ticks(700);
    expect(bench.in8(0x61) & 0x20).toBe(0x20);
  });

  it('counts in BCD', () => {
    program(0, 5, 0x1000);
    ticks(1);
    expect(counter(0)).toBe(0x0999);
    ticks(998);
    expect(counter(0)).toBe(0x0001);
    program(0, 5, 0);
    ticks(1);
    expect(counter(0)).toBe(0x9999);
  });

  it('keeps the first latch until it is read, and reads status before count after a read-back', () => {
    program(0, 4, 1000);
    ticks(10);
    bench.out8(0x43, 0x00);
    ticks(10);
    bench.out8(0x43, 0x00);
    expect(bench.in8(0x40) | (bench.in8(0x40) << 8)).toBe(990);
    bench.out8(0x43, 0xc2);
    ticks(5);
    expect(bench.in8(0x40)).toBe(OUT | 0x34);
    expect(bench.in8(0x40) | (bench.in8(0x40) << 8)).toBe(980);
  });

  it('honours LSB-only and MSB-only access', () => {
    bench.out8(0x43, 0x14);
    bench.out8(0x40, 0x80);
    ticks(1);
    expect(bench.in8(0x40)).toBe(0x7f);
    expect(bench.in8(0x40)).toBe(0x7f);
    bench.out8(0x43, 0x24);
    bench.out8(0x40, 0x12);
    ticks(1);
    expect(bench.in8(0x40)).toBe(0x11);
  });
});

describe('port 61h', () => {
  it('toggles the refresh bit every 15 us and keeps only its low bits', () => {
    const first = bench.in8(0x61) & 0x10;
    bench.clock.advance(15085);
    expect(bench.in8(0x61) & 0x10).not.toBe(first);
    bench.out8(0x61, 0xfc);
    expect(bench.in8(0x61) & 0xcf).toBe(0x0c);
  });
});

describe('a host that was away', () => {
  /** Time passes without timers being served, as when the machine thread does not run. */
  function away(count: number): void {
    tick += count;
    const clock = bench.clock as unknown as { time: { now: number } };
    clock.time.now = timeOfTick(tick);
    bench.clock.runDue();
  }

  it('gets the interrupts it missed delivered at eight times the rate, then the usual ones', () => {
    program(0, 4, 10_000);
    const rises = countRises(bench.wire('irq0'));
    ticks(10_000);
    expect(rises.count).toBe(1);
    away(95_000);
    expect(rises.count).toBe(2);
    ticks(10_000);
    // One was due, eight are owed; not all have come yet.
    expect(rises.count).toBeGreaterThanOrEqual(8);
    expect(rises.count).toBeLessThanOrEqual(10);
    ticks(85_000);
    expect(rises.count).toBe(20);
    ticks(100_000);
    expect(rises.count).toBe(30);
  });

  it('owes nothing any more once the guest has programmed the channel again', () => {
    program(0, 4, 10_000);
    away(95_000);
    program(0, 4, 10_000);
    const rises = countRises(bench.wire('irq0'));
    ticks(9_999);
    expect(rises.count).toBe(0);
    ticks(1);
    expect(rises.count).toBe(1);
  });

  it('owes a second at most', () => {
    program(0, 4, 11_932);
    away(PIT_HZ * 60);
    const rises = countRises(bench.wire('irq0'));
    ticks(PIT_HZ * 2);
    expect(rises.count).toBeGreaterThan(290);
    expect(rises.count).toBeLessThan(305);
  });
});
