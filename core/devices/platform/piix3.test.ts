import { beforeEach, describe, expect, it } from 'vitest';
import type { IrqLine } from '../../bus/irq.ts';
import { Bench } from '../testing/bench.ts';
import { Piix3 } from './piix3.ts';

const OFF = 0x80;

let bench: Bench;
let bridge: Piix3;
let resets: number;
let ioapic: boolean[];

beforeEach(() => {
  bench = new Bench();
  resets = 0;
  ioapic = [false, false, false, false];
  const input = (index: number): IrqLine => ({
    set: (level) => {
      ioapic[index] = level;
    },
  });
  bridge = new Piix3({
    id: 'piix3',
    isaInputs: Array.from({ length: 16 }, (_, irq) => bench.wire(`irq${irq}`)),
    ioapicInputs: [input(0), input(1), input(2), input(3)],
    reset: () => resets++,
  });
});

const high = () => Array.from({ length: 16 }, (_, irq) => irq).filter((irq) => bench.wire(`irq${irq}`).level);
const route = (pirq: number, value: number) => bridge.writeConfig(0x60 + pirq, value, 1);

describe('interrupt routing', () => {
  it('routes nothing after reset, though the I/O APIC sees every line', () => {
    for (const line of bridge.pirq) line.set(true);
    expect([high(), ioapic]).toEqual([[], [true, true, true, true]]);
    expect(bridge.readConfig(0x60, 4)).toBe(0x80808080);
  });

  it('reaches every routable interrupt and none of the others', () => {
    bridge.pirq[1].set(true);
    for (let irq = 0; irq < 16; irq++) {
      route(1, irq);
      expect(high()).toEqual([0, 1, 2, 8, 13].includes(irq) ? [] : [irq]);
    }
  });

  it('moves a held line to its new interrupt, and lets go when routing is off', () => {
    route(0, 10);
    bridge.pirq[0].set(true);
    route(0, 11);
    expect(high()).toEqual([11]);
    route(0, OFF | 11);
    expect(high()).toEqual([]);
    route(0, 11);
    bridge.pirq[0].set(false);
    expect(high()).toEqual([]);
  });

  it('two lines on one interrupt hold it until both are low', () => {
    bridge.writeConfig(0x60, 0x0b0a0b0a, 4);
    bridge.pirq[0].set(true);
    bridge.pirq[2].set(true);
    bridge.pirq[1].set(true);
    expect(high()).toEqual([10, 11]);
    bridge.pirq[0].set(false);
    expect(high()).toEqual([10, 11]);
    bridge.pirq[2].set(false);
    expect(high()).toEqual([11]);
  });

  it('lets go of interrupts at reset and takes them again from a saved state', () => {
    route(3, 5);
    bridge.pirq[3].set(true);
    const state = structuredClone(bridge.save());
    bridge.reset('hard');
    expect(high()).toEqual([]);
    bridge.restore(state);
    expect(high()).toEqual([5]);
    bridge.pirq[3].set(false);
    expect(high()).toEqual([]);
  });

  it('keeps reserved bits of a route clear', () => {
    route(0, 0xff);
    expect(bridge.readConfig(0x60, 1)).toBe(0x8f);
  });
});

describe('reset control', () => {
  it('resets at each write that sets bit 2, and remembers the kind', () => {
    bridge.resetControl.write(0x02);
    expect([resets, bridge.resetControl.read()]).toEqual([0, 2]);
    bridge.resetControl.write(0x06);
    expect(resets).toBe(1);
    bridge.resetControl.write(0x04);
    expect([resets, bridge.resetControl.read()]).toEqual([2, 0]);
    bridge.resetControl.write(0xf9);
    expect([resets, bridge.resetControl.read()]).toEqual([2, 0]);
  });
});

it('is a multifunction ISA bridge whose decoding can not be turned off', () => {
  expect([bridge.readConfig(0, 4), bridge.readConfig(8, 4) >>> 8, bridge.readConfig(0x0e, 1)]).toEqual([0x70008086, 0x060100, 0x80]);
  bridge.writeConfig(4, 0, 2);
  expect(bridge.readConfig(4, 2)).toBe(7);
  bridge.writeConfig(4, 0xffff, 2);
  expect(bridge.readConfig(4, 2)).toBe(0x0f);
});
