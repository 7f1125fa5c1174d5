import { beforeEach, describe, expect, it } from 'vitest';
import { Bench, countRises } from '../testing/bench.ts';
import { Rtc } from './rtc.ts';

let bench: Bench;
let rtc: Rtc;

beforeEach(() => {
  bench = new Bench();
  // The bench's wall clock starts at 2024-01-01 00:00:00 UTC, a Monday.
  rtc = new Rtc({ id: 'rtc', ports: bench.ports, irq: bench.wire('irq8'), clock: bench.clock, nmiMask: bench.wire('nmi') });
});

const read = (index: number): number => {
  bench.out8(0x70, index);
  return bench.in8(0x71);
};
const write = (index: number, value: number): void => {
  bench.out8(0x70, index);
  bench.out8(0x71, value);
};
const time = () => [0x32, 9, 8, 7, 6, 4, 2, 0].map(read);
const seconds = (s: number) => bench.clock.advance(s * 1e9);

describe('MC146818', () => {
  it('shows wall time in BCD and follows it', () => {
    expect(time()).toEqual([0x20, 0x24, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00]);
    seconds(3600 * 13 + 62);
    expect(time()).toEqual([0x20, 0x24, 0x01, 0x01, 0x02, 0x13, 0x01, 0x02]);
  });

  it('shows binary and 12-hour forms', () => {
    seconds(3600 * 13 + 59);
    write(0x0b, 0x06);
    expect(time().slice(0, 2)).toEqual([20, 24]);
    expect([read(4), read(0)]).toEqual([13, 59]);
    write(0x0b, 0x00);
    expect(read(4)).toBe(0x81);
    seconds(3600 * 11);
    expect(read(4)).toBe(0x12);
  });

  it('keeps the time the guest sets, across midnight and the end of the year', () => {
    write(0x0b, 0x82);
    for (const [index, value] of [
      [0, 0x58],
      [2, 0x59],
      [4, 0x23],
      [7, 0x31],
      [8, 0x12],
      [9, 0x99],
      [0x32, 0x19],
    ] as const)
      write(index, value);
    seconds(100);
    expect(read(0)).toBe(0x58);
    write(0x0b, 0x02);
    seconds(3);
    expect(time()).toEqual([0x20, 0x00, 0x01, 0x01, 0x07, 0x00, 0x00, 0x01]);
  });

  it('raises UIP in the last 2.2 ms of a second only', () => {
    expect(read(0x0a) & 0x80).toBe(0);
    bench.clock.advance(997_000_000);
    expect(read(0x0a) & 0x80).toBe(0);
    bench.clock.advance(1_500_000);
    expect(read(0x0a) & 0x80).toBe(0x80);
    bench.clock.advance(1_500_000);
    expect(read(0x0a) & 0x80).toBe(0);
    expect(read(0)).toBe(1);
  });

  it('interrupts at the periodic rate, once until register C is read', () => {
    const irq = bench.wire('irq8');
    const rises = countRises(irq);
    write(0x0a, 0x26);
    write(0x0b, 0x42);
    seconds(0.5);
    expect(rises.count).toBe(1);
    expect(read(0x0c) & 0xc0).toBe(0xc0);
    expect(irq.level).toBe(false);
    for (let i = 0; i < 1024; i++) {
      bench.clock.advance(976_563);
      expect(read(0x0c) & 0x40).toBe(0x40);
    }
    expect(rises.count).toBe(1025);
  });

  it('sets the periodic and update flags for polling without interrupts', () => {
    read(0x0c);
    seconds(1.1);
    expect(read(0x0c)).toBe(0x50);
    expect(read(0x0c)).toBe(0);
    expect(bench.clock.nextDeadline()).toBeUndefined();
  });

  it('interrupts at every update', () => {
    const rises = countRises(bench.wire('irq8'));
    write(0x0b, 0x12);
    for (let i = 1; i <= 5; i++) {
      seconds(1);
      expect(rises.count).toBe(i);
      expect(read(0x0c) & 0x90).toBe(0x90);
    }
  });

  it('interrupts at the alarm, with wildcards', () => {
    const rises = countRises(bench.wire('irq8'));
    write(1, 0x30);
    write(3, 0xff);
    write(5, 0xff);
    write(0x0b, 0x22);
    seconds(29);
    expect(rises.count).toBe(0);
    seconds(1);
    expect(rises.count).toBe(1);
    expect(read(0x0c) & 0xa0).toBe(0xa0);
    seconds(60);
    expect(rises.count).toBe(2);
  });

  it('keeps both banks of RAM, and RESET leaves them alone', () => {
    write(0x40, 0x5a);
    bench.out8(0x72, 0x10);
    bench.out8(0x73, 0xa5);
    rtc.reset('hard');
    expect(read(0x40)).toBe(0x5a);
    bench.out8(0x72, 0x10);
    expect(bench.in8(0x73)).toBe(0xa5);
    expect(read(0x0d)).toBe(0x80);
  });

  it('masks NMI with bit 7 of the index port', () => {
    bench.out8(0x70, 0x8d);
    expect(bench.wire('nmi').level).toBe(true);
    expect(bench.in8(0x71)).toBe(0x80);
    bench.out8(0x70, 0x0d);
    expect(bench.wire('nmi').level).toBe(false);
  });

  it('tells SeaBIOS about memory, floppies and boot order', () => {
    rtc.setHardware({
      ramBelow4G: 256 << 20,
      ramAbove4G: 2 ** 32,
      floppies: ['1.44M', 'none'],
      bootOrder: ['cdrom', 'disk', 'floppy'],
      cpus: 2,
      diskTranslations: ['lba'],
    });
    expect((read(0x34) | (read(0x35) << 8)) * 65536 + 0x1000000).toBe(256 << 20);
    expect((read(0x5b) | (read(0x5c) << 8) | (read(0x5d) << 16)) * 65536).toBe(2 ** 32);
    expect([read(0x10), read(0x14) & 0x41, read(0x3d), read(0x38), read(0x5f), read(0x39)]).toEqual([0x40, 0x01, 0x23, 0x10, 1, 1]);
    expect(read(0x15) | (read(0x16) << 8)).toBe(640);
    expect(read(0x30) | (read(0x31) << 8)).toBe(0xffff);
  });
});
