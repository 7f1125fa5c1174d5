import { beforeEach, describe, expect, it } from 'vitest';
import { nullLogger } from '../../util/logger.ts';
import { Bench, countRises } from '../testing/bench.ts';
import { ACPI_DISABLE_COMMAND, ACPI_ENABLE_COMMAND, GPE_BASE, Piix4Pm, PM_BYTES, SMI_COMMAND } from './piix4pm.ts';

const BASE = 0x600;
const STATUS = BASE;
const ENABLE = BASE + 2;
const CONTROL = BASE + 4;
const TIMER = BASE + 8;
const TMR = 0x0001;
const PWRBTN = 0x0100;
const SCI_EN = 1;
const SLP_EN = 0x2000;
const HZ = 3_579_545;
/** Nanoseconds between changes of the timer's bit 23. */
const HALF_NS = (0x800000 / HZ) * 1e9;

let bench: Bench;
let pm: Piix4Pm;
let powerOffs: number;
let guestMessages: string[];

beforeEach(() => {
  bench = new Bench();
  powerOffs = 0;
  guestMessages = [];
  pm = create(bench);
  pm.writeConfig(0x40, BASE | 1, 4);
  pm.writeConfig(0x80, 1, 1);
});

function create(on: Bench): Piix4Pm {
  const log = { ...nullLogger, guest: (message: string) => void guestMessages.push(message) };
  return new Piix4Pm({ id: 'pm', ports: on.ports, clock: on.clock, sci: on.wire('sci'), powerOff: () => powerOffs++, log });
}

const in16 = (port: number) => bench.ports.read(port, 2);
const out16 = (port: number, value: number) => bench.ports.write(port, value, 2);
const sci = () => bench.wire('sci').level;

describe('register block', () => {
  it('appears where PMBASE says once PMREGMISC allows it, and moves', () => {
    out16(ENABLE, 0x0321);
    pm.writeConfig(0x80, 0, 1);
    expect(in16(ENABLE)).toBe(0xffff);
    pm.writeConfig(0x80, 1, 1);
    pm.writeConfig(0x40, 0xb000, 4);
    expect([in16(ENABLE), in16(0xb002)]).toEqual([0xffff, 0x0321]);
    expect(pm.readConfig(0x40, 4)).toBe(0xb001);
    expect(bench.ports.read(0xb000 + PM_BYTES, 1)).toBe(0xff);
  });

  it('gives way to a device that has the ports already, and comes back elsewhere', () => {
    pm.writeConfig(0x40, 0xc1, 1);
    pm.writeConfig(0x41, 0xaf, 1);
    expect(guestMessages).toHaveLength(1);
    bench.out8(GPE_BASE + 2, 0x55);
    expect(bench.in8(GPE_BASE + 2)).toBe(0x55);
    pm.writeConfig(0x40, 0x700, 4);
    out16(0x702, 0x0100);
    expect(in16(0x702)).toBe(0x0100);
  });

  it('takes bytes, words and doublewords', () => {
    bench.ports.write(STATUS, 0x0101_0000, 4);
    expect([in16(ENABLE), bench.in8(ENABLE), bench.in8(ENABLE + 1)]).toEqual([0x0101, 1, 1]);
    bench.out8(ENABLE + 1, 0x05);
    expect(bench.ports.read(STATUS, 4)).toBe(0x0501_0000);
  });

  it('is gone after a reset', () => {
    out16(ENABLE, 0x0100);
    pm.reset('hard');
    expect(in16(ENABLE)).toBe(0xffff);
    pm.writeConfig(0x40, BASE | 1, 4);
    pm.writeConfig(0x80, 1, 1);
    expect(in16(ENABLE)).toBe(0);
  });
});

describe('power button', () => {
  it('interrupts only when enabled and in ACPI mode, until its status is cleared', () => {
    pm.pressPowerButton();
    expect([in16(STATUS) & PWRBTN, sci()]).toEqual([PWRBTN, false]);
    out16(ENABLE, PWRBTN);
    expect(sci()).toBe(false);
    bench.out8(SMI_COMMAND, ACPI_ENABLE_COMMAND);
    expect([in16(CONTROL) & SCI_EN, sci()]).toEqual([SCI_EN, true]);
    out16(STATUS, TMR);
    expect(sci()).toBe(true);
    out16(STATUS, PWRBTN);
    expect([in16(STATUS) & PWRBTN, sci()]).toEqual([0, false]);
    pm.pressPowerButton();
    expect(sci()).toBe(true);
    bench.out8(SMI_COMMAND, ACPI_DISABLE_COMMAND);
    expect([in16(CONTROL) & SCI_EN, sci()]).toEqual([0, false]);
  });

  it('clears status byte by byte', () => {
    pm.pressPowerButton();
    bench.out8(STATUS, 0xff);
    expect(in16(STATUS) & PWRBTN).toBe(PWRBTN);
    bench.out8(STATUS + 1, 0x01);
    expect(in16(STATUS) & PWRBTN).toBe(0);
  });

  it('keeps an interrupt over save and restore, and drops it at reset', () => {
    out16(ENABLE, PWRBTN);
    out16(CONTROL, SCI_EN);
    pm.pressPowerButton();
    const state = structuredClone(pm.save());
    const other = new Bench();
    create(other).restore(state);
    expect(other.wire('sci').level).toBe(true);
    expect(other.ports.read(STATUS, 2)).toBe(PWRBTN);
    pm.reset('hard');
    expect(sci()).toBe(false);
  });
});

describe('sleep', () => {
  it('S5 turns the machine off, whatever the width of the write', () => {
    out16(CONTROL, SLP_EN | SCI_EN);
    expect(powerOffs).toBe(1);
    bench.out8(CONTROL + 1, SLP_EN >> 8);
    expect(powerOffs).toBe(2);
    // SLP_EN is write-only.
    expect(in16(CONTROL)).toBe(SCI_EN);
  });

  it('types that are not offered and a type without SLP_EN do nothing', () => {
    out16(CONTROL, SLP_EN | (1 << 10));
    out16(CONTROL, 5 << 10);
    expect([powerOffs, guestMessages.length, in16(CONTROL)]).toEqual([0, 1, 5 << 10]);
  });
});

describe('timer', () => {
  const timer = () => bench.ports.read(TIMER, 4);

  it('counts at 3.579545 MHz', () => {
    const start = timer();
    bench.clock.advance(1e9);
    expect(timer() - start).toBe(HZ);
    bench.clock.advance(279);
    expect(timer() - start).toBe(HZ);
    bench.clock.advance(1);
    expect(timer() - start).toBe(HZ + 1);
  });

  it('wraps after 24 bits, also after weeks', () => {
    bench.clock.advance(Math.ceil((0xffffff / HZ) * 1e9));
    expect(timer()).toBe(0xffffff);
    bench.clock.advance(280);
    expect(timer()).toBe(0);
    const weeks = 60 * 86_400e9;
    bench.clock.advance(weeks);
    const now = timer();
    bench.clock.advance(1e6);
    expect([3579, 3580]).toContain((timer() - now + 0x1000000) % 0x1000000);
  });

  it('gives its bytes and words alone, and can not be written', () => {
    bench.clock.advance(2e9);
    const value = timer();
    expect(value).toBeGreaterThan(0xffff);
    expect([0, 1, 2, 3].map((i) => bench.in8(TIMER + i))).toEqual([0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff));
    expect([in16(TIMER), in16(TIMER + 2)]).toEqual([value & 0xffff, value >>> 16]);
    bench.ports.write(TIMER, 0, 4);
    expect(timer()).toBe(value);
  });

  it('sets TMR_STS each time bit 23 changes, and interrupts when asked', () => {
    expect(in16(STATUS)).toBe(0);
    out16(CONTROL, SCI_EN);
    out16(ENABLE, TMR);
    const rises = countRises(bench.wire('sci'));
    for (let i = 1; i <= 50; i++) {
      const rest = Math.ceil(HALF_NS * i) - bench.clock.now();
      bench.clock.advance(rest - 2);
      expect([sci(), in16(STATUS)]).toEqual([false, 0]);
      bench.clock.advance(4);
      expect([sci(), in16(STATUS)]).toEqual([true, TMR]);
      out16(STATUS, TMR);
      expect(sci()).toBe(false);
    }
    expect(rises.count).toBe(50);
    out16(ENABLE, 0);
    bench.clock.advance(HALF_NS * 2);
    expect([sci(), in16(STATUS)]).toEqual([false, TMR]);
  });

  it('asks for no host timer while nobody wants its interrupt', () => {
    expect(bench.clock.nextDeadline()).toBeUndefined();
    out16(ENABLE, TMR);
    expect(bench.clock.nextDeadline()).toBeDefined();
    pm.reset('hard');
    expect(bench.clock.nextDeadline()).toBeUndefined();
  });
});

describe('the rest', () => {
  it('DEVACTB tells firmware that there is no SMI handler to set up', () => {
    expect(pm.readConfig(0x58, 4) & (1 << 25)).toBe(1 << 25);
  });

  it('general-purpose events: status clears by ones, enabled ones interrupt', () => {
    out16(CONTROL, SCI_EN);
    bench.out8(GPE_BASE + 2, 0x08);
    bench.out8(GPE_BASE, 0xff);
    expect([bench.in8(GPE_BASE), bench.in8(GPE_BASE + 2), sci()]).toEqual([0, 8, false]);
  });

  it('keeps the APM ports', () => {
    bench.out8(SMI_COMMAND, 0x12);
    bench.out8(SMI_COMMAND + 1, 0x34);
    expect([bench.in8(SMI_COMMAND), bench.in8(SMI_COMMAND + 1)]).toEqual([0x12, 0x34]);
  });

  it('survives every access to its block', () => {
    for (let offset = 0; offset < PM_BYTES; offset++)
      for (const size of [1, 2, 4] as const)
        for (const value of [0, 0xffffffff, 0x5fff5fff]) {
          bench.ports.write(BASE + offset, value, size);
          expect(bench.ports.read(BASE + offset, size)).toBeLessThan(2 ** (8 * size));
        }
  });
});
