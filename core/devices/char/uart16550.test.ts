import { beforeEach, describe, expect, it } from 'vitest';
import { BufferCharBackend } from '../../backend/char.ts';
import type { Wire } from '../../bus/irq.ts';
import { Bench } from '../testing/bench.ts';
import { Uart16550 } from './uart16550.ts';

const BASE = 0x3f8;
let bench: Bench;
let backend: BufferCharBackend;
let irq: Wire;

beforeEach(() => {
  bench = new Bench();
  backend = new BufferCharBackend();
  irq = bench.wire('irq4');
  new Uart16550({ id: 'serial0', ports: bench.ports, base: BASE, irq, clock: bench.clock, backend, log: bench.log });
});

const read = (offset: number) => bench.in8(BASE + offset);
const write = (offset: number, value: number) => bench.out8(BASE + offset, value);
const feed = (count: number) => backend.feed(Uint8Array.from({ length: count }, (_, i) => i + 1));

describe('16550A', () => {
  it('passes the autodetection of the Linux 8250 driver as a 16550A', () => {
    // autoconfig(): IER scratch, loopback modem lines, FIFO bits; autoconfig_16550a(): neither 16750 nor XScale.
    write(1, 0x0f);
    expect(read(1)).toBe(0x0f);
    write(1, 0);
    expect(read(1) & 0x0f).toBe(0);
    write(4, 0x10 | 0x0a);
    expect(read(6) & 0xf0).toBe(0x90);
    write(4, 0);
    write(2, 0x01);
    expect(read(2) >> 6).toBe(3);
    write(2, 0x21);
    expect(read(2) >> 5).toBe(6);
    write(3, 0x80);
    write(2, 0x21);
    expect(read(2) >> 5).toBe(6);
    write(3, 0);
    write(1, 0x40);
    expect(read(1) & 0x40).toBe(0);
  });

  it('sends what is written and stays ready', () => {
    for (const byte of [0x48, 0x69]) write(0, byte);
    expect(backend.text()).toBe('Hi');
    expect(read(5)).toBe(0x60);
  });

  it('requests THRE when enabled while empty, until IIR is read, and again after a write', () => {
    write(4, 0x08);
    write(1, 0x02);
    expect(irq.level).toBe(true);
    expect(read(2)).toBe(0x02);
    expect(irq.level).toBe(false);
    expect(read(2)).toBe(0x01);
    write(0, 0x41);
    expect(irq.level).toBe(true);
  });

  it('needs OUT2 to let the interrupt out', () => {
    write(1, 0x02);
    expect(irq.level).toBe(false);
    write(4, 0x08);
    expect(irq.level).toBe(true);
  });

  it('receives a byte at a time without FIFO and loses none', () => {
    write(4, 0x08);
    write(1, 0x01);
    feed(3);
    expect(read(2)).toBe(0x04);
    expect([read(0), read(0), read(0)]).toEqual([1, 2, 3]);
    expect(read(5) & 0x03).toBe(0);
    expect(irq.level).toBe(false);
  });

  it('interrupts at the trigger level and by timeout below it', () => {
    write(4, 0x08);
    write(3, 0x03);
    write(2, 0x81);
    write(1, 0x01);
    feed(8);
    expect(read(2)).toBe(0xc4);
    expect(read(0)).toBe(1);
    expect(irq.level).toBe(false);
    // Four characters of ten bits at 9600 baud are 4.17 ms.
    bench.clock.advance(4_000_000);
    expect(irq.level).toBe(false);
    bench.clock.advance(200_000);
    expect(read(2)).toBe(0xcc);
    for (let i = 2; i <= 8; i++) expect(read(0)).toBe(i);
    expect(irq.level).toBe(false);
    expect(bench.clock.nextDeadline()).toBeUndefined();
  });

  it('keeps more than a FIFO of input waiting, in order', () => {
    write(2, 0x01);
    feed(100);
    for (let i = 1; i <= 100; i++) expect(read(0)).toBe(i);
    expect(read(5) & 1).toBe(0);
  });

  it('loops back data and modem lines with their deltas', () => {
    write(4, 0x10);
    read(6);
    write(0, 0x5a);
    expect(backend.output).toEqual([]);
    expect(read(0)).toBe(0x5a);
    write(4, 0x1f);
    expect(read(6)).toBe(0xfb);
    write(4, 0x1b);
    expect(read(6)).toBe(0xb4);
  });

  it('reports an overrun in loopback as line status', () => {
    write(4, 0x10);
    write(1, 0x04);
    write(0, 1);
    write(0, 2);
    expect(read(2)).toBe(0x06);
    expect(read(5) & 0x02).toBe(0x02);
    expect(read(5) & 0x02).toBe(0);
    expect(read(0)).toBe(2);
  });

  it('gives a break after what it holds and before what waits, as a NUL with its own line status', () => {
    write(2, 0x01);
    write(1, 0x05);
    feed(20);
    backend.feedBreak();
    expect(read(5) & 0x90).toBe(0x80);
    for (let i = 1; i <= 16; i++) {
      expect(read(5) & 0x10).toBe(0);
      expect(read(0)).toBe(i);
    }
    expect(read(2) & 0x0f).toBe(0x06);
    expect(read(5) & 0x91).toBe(0x11);
    expect(read(5) & 0x10).toBe(0);
    expect([read(0), read(0), read(0)]).toEqual([0, 17, 18]);
  });

  it('hides data and IER behind the divisor latch', () => {
    write(3, 0x83);
    write(0, 0x01);
    write(1, 0x02);
    expect([read(0), read(1)]).toEqual([1, 2]);
    write(3, 0x03);
    expect(read(1)).toBe(0);
    expect(backend.output).toEqual([]);
    write(7, 0xa7);
    expect(read(7)).toBe(0xa7);
  });
});
