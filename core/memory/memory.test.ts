import { beforeEach, describe, expect, it } from 'vitest';
import { GuestMemory } from './guestmemory.ts';
import { CODE_MAP_BASE, DIRTY_MAP_BASE, GUEST_RAM_BASE, GUEST_RAM_MAX, PM_READ, PM_ROM, PM_WRITE, ROM_BASE, VRAM_BASE } from './layout.ts';
import { MB_EXIT_REQUEST, Mailbox } from './mailbox.ts';
import { PhysMap } from './physmap.ts';
import { createVmMemory } from './vmmemory.ts';

const RAM = 1 << 20;
const HOLE = 0x40000;
let shared: WebAssembly.Memory;
let all: Uint8Array;
let map: PhysMap;
let memory: GuestMemory;

beforeEach(() => {
  shared = createVmMemory(RAM);
  all = new Uint8Array(shared.buffer);
  map = new PhysMap(shared);
  map.mapRam(0, GUEST_RAM_BASE, HOLE);
  map.mapRam(HOLE + 0x1000, GUEST_RAM_BASE + HOLE + 0x1000, RAM - HOLE - 0x1000);
  map.mapRom(0xfffff000, ROM_BASE, 0x1000);
  memory = new GuestMemory(shared, map, RAM);
});

function read(gpa: number, length: number): number[] {
  const data = new Uint8Array(length);
  memory.read(gpa, data);
  return [...data];
}
const dirty = (offset: number) => all[DIRTY_MAP_BASE + offset / 4096];

describe('guest memory', () => {
  it('reads and writes little-endian values, also across pages', () => {
    memory.write32(0x1ffe, 0x11223344);
    expect([memory.read8(0x1ffe), memory.read8(0x2001)]).toEqual([0x44, 0x11]);
    expect([memory.read32(0x1ffe), memory.read16(0x1fff), memory.read32(0x1fff)]).toEqual([0x11223344, 0x2233, 0x112233]);
    memory.write16(0x2fff, 0xbeef);
    expect([memory.read16(0x2fff), all[GUEST_RAM_BASE + 0x3000]]).toEqual([0xbeef, 0xbe]);
    for (const at of [0x3ffd, 0x3ffe, 0x3fff]) {
      memory.write32(at, 0xfedcba98);
      expect(memory.read32(at)).toBe(0xfedcba98);
    }
  });

  it('marks every page that a write touches, and only those', () => {
    const listener: number[] = [];
    memory.onCodeWrite((offset) => listener.push(offset));
    all[CODE_MAP_BASE + GUEST_RAM_BASE / 4096 + 5] = 1;
    memory.write(0x4ff0, new Uint8Array(0x1020));
    expect([3, 4, 5, 6, 7].map((page) => dirty(GUEST_RAM_BASE + page * 4096))).toEqual([0, 0xff, 0xff, 0xff, 0]);
    expect(listener).toEqual([GUEST_RAM_BASE + 0x5000]);
    memory.write32(0x5ffe, 1);
    expect(listener).toEqual([GUEST_RAM_BASE + 0x5000, GUEST_RAM_BASE + 0x5000]);
  });

  it('reads ones and swallows writes where there is no memory, whole or in part', () => {
    for (const gpa of [HOLE, 0x80000000, 0xffffffff + 1, 2 ** 40, 2 ** 63]) {
      memory.write32(gpa, 0);
      expect([memory.read8(gpa), memory.read16(gpa), memory.read32(gpa)]).toEqual([0xff, 0xffff, 0xffffffff]);
    }
    memory.write(HOLE - 2, Uint8Array.of(1, 2, 3, 4));
    expect(read(HOLE - 3, 5)).toEqual([0, 1, 2, 0xff, 0xff]);
    memory.write32(HOLE - 2, 0x55667788);
    expect(memory.read32(HOLE - 2)).toBe(0xffff7788);
    const long = new Uint8Array(0x3000).fill(7);
    memory.write(HOLE - 0x1000, long);
    expect(read(HOLE, 1)).toEqual([0xff]);
    expect(read(HOLE + 0xfff, 3)).toEqual([0xff, 7, 7]);
    expect(read(RAM - 1, 3)).toEqual([0, 0xff, 0xff]);
  });

  it('does not wrap at 4 GiB and never writes ROM', () => {
    all[ROM_BASE + 0xfff] = 0x5a;
    memory.write8(0, 0x11);
    memory.write(0xffffffff, Uint8Array.of(1, 2));
    expect([all[ROM_BASE + 0xfff], memory.read8(0)]).toEqual([0x5a, 0x11]);
    expect(read(0xffffffff, 2)).toEqual([0x5a, 0xff]);
    expect(dirty(ROM_BASE)).toBe(0);
  });

  it('puts values behind what the map shows', () => {
    memory.writeBehind(HOLE + 8, 0x01020304, 4);
    memory.writeBehind(HOLE + 12, 0x0506, 2);
    memory.writeBehind(HOLE + 14, 0x07, 1);
    expect([...all.slice(GUEST_RAM_BASE + HOLE + 8, GUEST_RAM_BASE + HOLE + 16)]).toEqual([4, 3, 2, 1, 6, 5, 7, 0]);
    expect([memory.read32(HOLE + 8), dirty(GUEST_RAM_BASE + HOLE)]).toEqual([0xffffffff, 0xff]);
  });
});

describe('physical map', () => {
  it('a movable window shows only where nothing else is, and takes nothing with it', () => {
    const ram = map.entry(0x3f000);
    map.mapWindow(0x3f000, VRAM_BASE, 0x3000, PM_READ | PM_WRITE);
    expect([map.entry(0x3f000), map.entry(HOLE), map.entry(HOLE + 0x1000)]).toEqual([
      ram,
      (VRAM_BASE + 0x1000) | PM_READ | PM_WRITE,
      (GUEST_RAM_BASE + HOLE + 0x1000) | PM_READ | PM_WRITE,
    ]);
    map.unmapWindow(0x3f000, VRAM_BASE, 0x3000);
    expect([map.entry(0x3f000), map.entry(HOLE)]).toEqual([ram, 0]);
  });

  it('places above 4 GiB and offsets above 2 GiB keep their value', () => {
    expect([map.entry(2 ** 32), map.entry(2 ** 52)]).toEqual([0, 0]);
    map.map(0x70000000, 0xc0000000, 0x1000, PM_READ | PM_ROM);
    expect(map.entry(0x70000fff)).toBe(0xc0000005);
  });

  it('tells its listeners of each change', () => {
    let changes = 0;
    map.onChange(() => changes++);
    map.mapRam(0, GUEST_RAM_BASE, 0x2000);
    map.unmap(0, 0x1000);
    map.mapWindow(0x50000000, VRAM_BASE, 0x1000, PM_READ);
    map.unmapWindow(0x50000000, VRAM_BASE, 0x1000);
    expect(changes).toBe(4);
  });
});

describe('memory of a machine', () => {
  it('is refused with a reason when it is odd or too large', () => {
    for (const bytes of [0, 1 << 19, (1 << 20) + 4096, 1.5 * 2 ** 20 + 0.5, Number.NaN, -1])
      expect(() => createVmMemory(bytes)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }));
    expect(() => createVmMemory(GUEST_RAM_MAX + (1 << 20))).toThrow(
      expect.objectContaining({ kind: 'resource-limit', fix: expect.stringContaining('3072') }),
    );
    expect(shared.buffer.byteLength).toBe(GUEST_RAM_BASE + RAM);
    expect(shared.buffer).toBeInstanceOf(SharedArrayBuffer);
  });
});

describe('mailbox', () => {
  it('counts a ring until it is taken, and asks the processor to come out', () => {
    const mailbox = new Mailbox(shared);
    expect(mailbox.take()).toBe(false);
    mailbox.ring();
    mailbox.ring();
    expect(mailbox.words[MB_EXIT_REQUEST]).toBe(1);
    // A rung mailbox does not let the thread sleep.
    mailbox.wait(undefined);
    expect([mailbox.take(), mailbox.take(), mailbox.words[MB_EXIT_REQUEST]]).toEqual([true, false, 0]);
    const start = performance.now();
    mailbox.wait(20);
    expect(performance.now() - start).toBeGreaterThan(15);
  });
});
