import { beforeEach, describe, expect, it } from 'vitest';
import type { Wire } from '../../bus/irq.ts';
import { Bench } from '../testing/bench.ts';
import { Pic } from './pic.ts';

let bench: Bench;
let pic: Pic;
let intr: Wire;

function initialise(icw4 = 0x01): void {
  for (const [base, vector, wiring] of [
    [0x20, 0x20, 4],
    [0xa0, 0x28, 2],
  ] as const) {
    bench.out8(base, 0x11);
    bench.out8(base + 1, vector);
    bench.out8(base + 1, wiring);
    bench.out8(base + 1, icw4);
    bench.out8(base + 1, 0);
  }
}

beforeEach(() => {
  bench = new Bench();
  intr = bench.wire('intr');
  pic = new Pic({ id: 'pic', ports: bench.ports, intr, log: bench.log });
  initialise();
});

const isr = (base = 0x20) => {
  bench.out8(base, 0x0b);
  return bench.in8(base);
};
const irr = (base = 0x20) => {
  bench.out8(base, 0x0a);
  return bench.in8(base);
};

describe('8259A', () => {
  it('raises INTR for an unmasked edge and gives the programmed vector', () => {
    pic.inputs[1]!.set(true);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x21);
    expect(intr.level).toBe(false);
    expect(isr()).toBe(0x02);
    bench.out8(0x20, 0x20);
    expect(isr()).toBe(0);
    expect(intr.level).toBe(false);
  });

  it('holds a masked request until it is unmasked', () => {
    bench.out8(0x21, 0xff);
    pic.inputs[4]!.set(true);
    expect(intr.level).toBe(false);
    expect(irr()).toBe(0x10);
    bench.out8(0x21, 0xef);
    expect(intr.level).toBe(true);
  });

  it('routes the slave through input 2 and needs an EOI to both', () => {
    pic.inputs[12]!.set(true);
    expect(pic.acknowledge()).toBe(0x2c);
    expect([isr(0x20), isr(0xa0)]).toEqual([0x04, 0x10]);
    pic.inputs[14]!.set(true);
    bench.out8(0xa0, 0x20);
    expect(intr.level).toBe(false);
    bench.out8(0x20, 0x20);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x2e);
  });

  it('lets a higher priority interrupt a lower one and not the reverse', () => {
    pic.inputs[3]!.set(true);
    pic.acknowledge();
    pic.inputs[4]!.set(true);
    expect(intr.level).toBe(false);
    pic.inputs[0]!.set(true);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x20);
  });

  it('answers the spurious vector when a level request went away', () => {
    bench.out8(0x4d0, 0x20);
    pic.inputs[5]!.set(true);
    pic.inputs[5]!.set(false);
    expect(pic.acknowledge()).toBe(0x27);
    expect(isr()).toBe(0);
  });

  it('answers spurious 15 with the cascade in service when the slave request went away between', () => {
    bench.out8(0x4d1, 0x08);
    bench.out8(0xa1, 0);
    pic.inputs[11]!.set(true);
    pic.inputs[11]!.set(false);
    // The cascade edge stays latched in the master, as on hardware.
    expect(pic.acknowledge()).toBe(0x2f);
    expect(isr(0x20)).toBe(0x04);
    expect(isr(0xa0)).toBe(0);
  });

  it('requests again after EOI while a level input stays high, but not for an edge input', () => {
    bench.out8(0x4d0, 0x20);
    expect(bench.in8(0x4d0)).toBe(0x20);
    pic.inputs[5]!.set(true);
    pic.acknowledge();
    bench.out8(0x20, 0x65);
    expect(intr.level).toBe(true);
    pic.inputs[5]!.set(false);
    expect(intr.level).toBe(false);
    pic.inputs[6]!.set(true);
    pic.acknowledge();
    bench.out8(0x20, 0x66);
    expect(intr.level).toBe(false);
  });

  it('keeps the fixed inputs edge-triggered whatever ELCR is written', () => {
    bench.out8(0x4d0, 0xff);
    bench.out8(0x4d1, 0xff);
    expect([bench.in8(0x4d0), bench.in8(0x4d1)]).toEqual([0xf8, 0xde]);
  });

  it('rotates priorities on EOI and by set-priority', () => {
    pic.inputs[0]!.set(true);
    pic.acknowledge();
    bench.out8(0x20, 0xa0);
    pic.inputs[0]!.set(false);
    pic.inputs[0]!.set(true);
    pic.inputs[7]!.set(true);
    expect(pic.acknowledge()).toBe(0x27);
    bench.out8(0x20, 0x20);
    bench.out8(0x20, 0xc6);
    pic.inputs[6]!.set(true);
    expect(pic.acknowledge()).toBe(0x20);
  });

  it('leaves nothing in service with automatic EOI, and serves two slave requests in turn', () => {
    initialise(0x03);
    pic.inputs[10]!.set(true);
    pic.inputs[9]!.set(true);
    expect(pic.acknowledge()).toBe(0x29);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x2a);
    expect([isr(0x20), isr(0xa0)]).toEqual([0, 0]);
    expect(intr.level).toBe(false);
  });

  it('lets lower priorities through a masked in-service level in special mask mode', () => {
    pic.inputs[1]!.set(true);
    pic.acknowledge();
    pic.inputs[5]!.set(true);
    expect(intr.level).toBe(false);
    bench.out8(0x21, 0x02);
    bench.out8(0x20, 0x68);
    expect(intr.level).toBe(true);
    bench.out8(0x20, 0x48);
    expect(intr.level).toBe(false);
  });

  it('answers a poll and marks the request as in service', () => {
    bench.out8(0x20, 0x0c);
    expect(bench.in8(0x20)).toBe(0);
    pic.inputs[4]!.set(true);
    bench.out8(0x20, 0x0c);
    expect(bench.in8(0x20)).toBe(0x84);
    expect(isr()).toBe(0x10);
    expect(intr.level).toBe(false);
  });

  it('ignores edges from before ICW1', () => {
    bench.out8(0x21, 0xff);
    pic.inputs[4]!.set(true);
    initialise();
    expect(intr.level).toBe(false);
  });

  it('lets the slave nest in special fully nested mode', () => {
    initialise(0x11);
    pic.inputs[12]!.set(true);
    expect(pic.acknowledge()).toBe(0x2c);
    pic.inputs[8]!.set(true);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x28);
  });
});
