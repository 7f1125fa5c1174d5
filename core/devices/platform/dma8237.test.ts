import { beforeEach, describe, expect, it } from 'vitest';
import { Bench } from '../testing/bench.ts';
import { Dma8237 } from './dma8237.ts';

let bench: Bench;
let dma: Dma8237;

beforeEach(() => {
  bench = new Bench();
  dma = new Dma8237({ id: 'dma', ports: bench.ports, memory: bench.memory, log: bench.log });
});

/** Channel 2 as a floppy driver programs it. */
function program(mode: number, address: number, bytes: number): void {
  bench.out8(0x0a, 0x06);
  bench.out8(0x0c, 0);
  bench.out8(0x0b, mode);
  bench.out8(0x04, address & 0xff);
  bench.out8(0x04, (address >> 8) & 0xff);
  bench.out8(0x81, address >> 16);
  bench.out8(0x05, (bytes - 1) & 0xff);
  bench.out8(0x05, (bytes - 1) >> 8);
  bench.out8(0x0a, 0x02);
}
const memory = (gpa: number, length: number) => {
  const bytes = new Uint8Array(length);
  bench.memory.read(gpa, bytes);
  return [...bytes];
};

describe('8237A', () => {
  it('moves device data to memory in pieces and signals terminal count once', () => {
    const channel = dma.channel(2);
    expect(channel.ready).toBe(false);
    program(0x46, 0x12340, 6);
    expect(channel.remaining).toBe(6);
    expect(channel.toMemory(Uint8Array.of(1, 2, 3, 4))).toEqual({ bytes: 4, terminalCount: false });
    expect(channel.toMemory(Uint8Array.of(5, 6, 7, 8))).toEqual({ bytes: 2, terminalCount: true });
    expect(memory(0x12340, 7)).toEqual([1, 2, 3, 4, 5, 6, 0]);
    expect(channel.ready).toBe(false);
    expect(bench.in8(0x08) & 0x0f).toBe(0x04);
    expect(bench.in8(0x08) & 0x0f).toBe(0);
  });

  it('reads memory for the device, and refuses the wrong direction', () => {
    bench.memory.write(0x8000, Uint8Array.of(9, 8, 7));
    program(0x4a, 0x8000, 3);
    const target = new Uint8Array(3);
    expect(dma.channel(2).toMemory(target).bytes).toBe(0);
    expect(dma.channel(2).fromMemory(target)).toEqual({ bytes: 3, terminalCount: true });
    expect([...target]).toEqual([9, 8, 7]);
  });

  it('counts but writes nothing in verify', () => {
    program(0x42, 0x9000, 2);
    expect(dma.channel(2).toMemory(Uint8Array.of(1, 2))).toEqual({ bytes: 2, terminalCount: true });
    expect(memory(0x9000, 2)).toEqual([0, 0]);
  });

  it('wraps inside its 64 KiB page', () => {
    program(0x46, 0x1ffff, 2);
    dma.channel(2).toMemory(Uint8Array.of(0xaa, 0xbb));
    expect([memory(0x1ffff, 1)[0], memory(0x10000, 1)[0], memory(0x20000, 1)[0]]).toEqual([0xaa, 0xbb, 0]);
  });

  it('starts over by itself with autoinit, and goes down with decrement', () => {
    program(0x56, 0x5000, 2);
    const channel = dma.channel(2);
    expect(channel.toMemory(Uint8Array.of(1, 2)).terminalCount).toBe(true);
    expect(channel.remaining).toBe(2);
    program(0x66, 0x6002, 3);
    channel.toMemory(Uint8Array.of(1, 2, 3));
    expect(memory(0x6000, 3)).toEqual([3, 2, 1]);
  });

  it('moves words on the second controller', () => {
    bench.out8(0xd8, 0);
    bench.out8(0xd6, 0x45);
    for (const value of [0x00, 0x10]) bench.out8(0xc4, value);
    for (const value of [0x01, 0x00]) bench.out8(0xc6, value);
    bench.out8(0x8b, 0x04);
    bench.out8(0xd4, 0x01);
    const channel = dma.channel(5);
    expect(channel.remaining).toBe(4);
    expect(channel.toMemory(Uint8Array.of(1, 2, 3, 4))).toEqual({ bytes: 4, terminalCount: true });
    expect(memory(0x42000, 4)).toEqual([1, 2, 3, 4]);
  });

  it('reads registers back through the flip-flop and tells when a channel gets ready', () => {
    let ready = 0;
    dma.channel(2).onReady(() => ready++);
    program(0x46, 0x11234, 0x200);
    expect(ready).toBe(1);
    bench.out8(0x0c, 0);
    expect([bench.in8(0x04), bench.in8(0x04), bench.in8(0x05), bench.in8(0x05)]).toEqual([0x34, 0x12, 0xff, 0x01]);
    dma.channel(2).setRequest(true);
    expect(bench.in8(0x08) & 0x40).toBe(0x40);
    bench.out8(0x0d, 0);
    expect(dma.channel(2).ready).toBe(false);
    expect(bench.in8(0x0f) & 0x0f).toBe(0x0f);
  });
});
