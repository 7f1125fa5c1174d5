import { beforeEach, describe, expect, it } from 'vitest';
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import { Bench } from '../testing/bench.ts';
import { FW_CFG_FILE_DIR, FW_CFG_ID, FW_CFG_RAM_SIZE, FW_CFG_SIGNATURE, FwCfg } from './fwcfg.ts';

const ERROR = 1;
const READ = 2;
const SKIP = 4;
const SELECT = 8;
const WRITE = 16;
const ACCESS = 0x8000;
const BUFFER = 0x9000;
const RAM = 1 << 20;

let bench: Bench;
let device: FwCfg;

beforeEach(() => {
  bench = new Bench();
  device = new FwCfg({ id: 'fwcfg', ports: bench.ports, memory: bench.memory, log: bench.log });
  device.addFile('opt/zebra', Uint8Array.of(1, 2, 3, 4, 5));
  device.addFile('etc/e820', new TextEncoder().encode('memory map'));
});

const select = (key: number) => bench.ports.write(0x510, key, 2);
const take = (count: number) => Uint8Array.from({ length: count }, () => bench.in8(0x511));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const swap = (value: number) => new DataView(Uint32Array.of(value).buffer).getUint32(0);

function run(gpa: number): void {
  bench.ports.write(0x514, swap(Math.floor(gpa / 2 ** 32)), 4);
  bench.ports.write(0x518, swap(gpa % 2 ** 32), 4);
}

/** Runs a DMA access and returns its control word afterwards. */
function dma(control: number, length: number, target: number, at = ACCESS): number {
  const { memory } = bench;
  memory.write32(at, swap(control >>> 0));
  memory.write32(at + 4, swap(length >>> 0));
  memory.write32(at + 8, swap(Math.floor(target / 2 ** 32)));
  memory.write32(at + 12, swap(target % 2 ** 32));
  run(at);
  return swap(memory.read32(at));
}

function fetch(gpa: number, length: number): Uint8Array {
  const data = new Uint8Array(length);
  bench.memory.read(gpa, data);
  return data;
}

/** name → key and size, in the order of the directory. */
function directory(): { name: string; key: number; size: number }[] {
  select(FW_CFG_FILE_DIR);
  const count = new DataView(take(4).buffer).getUint32(0);
  return Array.from({ length: count }, () => {
    const entry = new DataView(take(64).buffer);
    const name = text(new Uint8Array(entry.buffer, 8)).replace(/\0.*$/s, '');
    return { name, size: entry.getUint32(0), key: entry.getUint16(4) };
  });
}

describe('ports', () => {
  it('show the signature, both features, and zeros past an item', () => {
    select(FW_CFG_SIGNATURE);
    expect([...take(6)]).toEqual([...new TextEncoder().encode('QEMU'), 0, 0]);
    select(FW_CFG_ID);
    expect([...take(5)]).toEqual([3, 0, 0, 0, 0]);
    select(0x1234);
    expect([...take(2)]).toEqual([0, 0]);
    expect(
      [bench.ports.read(0x514, 4), bench.ports.read(0x518, 4)].map((value) => text(new Uint8Array(Uint32Array.of(value).buffer))),
    ).toEqual(['QEMU', ' CFG']);
  });

  it('start again at each select, and numbers are little-endian', () => {
    device.addU64(FW_CFG_RAM_SIZE, 3 * 2 ** 32 + 5);
    for (let i = 0; i < 2; i++) {
      select(FW_CFG_RAM_SIZE);
      expect([...take(8)]).toEqual([5, 0, 0, 0, 3, 0, 0, 0]);
    }
  });

  it('list files by name with their keys', () => {
    expect(directory()).toEqual([
      { name: 'etc/e820', key: 0x21, size: 10 },
      { name: 'opt/zebra', key: 0x20, size: 5 },
    ]);
    select(0x21);
    expect(text(take(10))).toBe('memory map');
  });

  it('refuse names that are too long or taken', () => {
    expect(() => device.addFile('x'.repeat(56), new Uint8Array())).toThrow(expect.objectContaining({ kind: 'invalid-argument' }));
    expect(() => device.addFile('etc/e820', new Uint8Array())).toThrow(expect.objectContaining({ kind: 'already-exists' }));
    device.addFile('x'.repeat(55), new Uint8Array());
    expect(directory().at(-1)!.name).toBe('x'.repeat(55));
  });

  it('keep selection and position in the saved state, and forget them at reset', () => {
    select(0x21);
    take(7);
    const state = structuredClone(device.save());
    const other = new Bench();
    const restored = new FwCfg({ id: 'fwcfg', ports: other.ports, memory: other.memory, log: other.log });
    restored.addFile('a', Uint8Array.of(0));
    restored.addFile('b', new TextEncoder().encode('memory map'));
    restored.restore(state);
    expect(other.in8(0x511)).toBe('m'.charCodeAt(0));
    device.reset('hard');
    expect(text(take(4))).toBe('QEMU');
  });
});

describe('DMA', () => {
  it('selects, reads and goes on where it stopped', () => {
    expect(dma((0x21 << 16) | SELECT | READ, 6, BUFFER)).toBe(0);
    expect(text(fetch(BUFFER, 6))).toBe('memory');
    expect(dma(SKIP, 1, 0)).toBe(0);
    expect(dma(READ, 3, BUFFER + 100)).toBe(0);
    expect(text(fetch(BUFFER + 100, 3))).toBe('map');
  });

  it('fills up with zeros past the end of an item or of no item', () => {
    bench.memory.write(BUFFER, new Uint8Array(64).fill(0xaa));
    expect(dma((0x20 << 16) | SELECT | READ, 16, BUFFER)).toBe(0);
    expect([...fetch(BUFFER, 17)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa]);
    expect(dma((0x999 << 16) | SELECT | READ, 16, BUFFER + 16)).toBe(0);
    expect([...fetch(BUFFER + 16, 17)]).toEqual([...new Array(16).fill(0), 0xaa]);
  });

  it('refuses writes', () => {
    expect(dma((0x20 << 16) | SELECT | WRITE, 4, BUFFER)).toBe(ERROR);
    select(0x20);
    expect([...take(5)]).toEqual([1, 2, 3, 4, 5]);
  });

  it('starts only at the low half of the address', () => {
    bench.memory.write32(ACCESS, swap(READ));
    bench.ports.write(0x516, swap(ACCESS), 4);
    bench.ports.write(0x514, swap(ACCESS), 4);
    bench.ports.write(0x518, swap(ACCESS), 2);
    bench.ports.write(0x518, 0, 1);
    expect(swap(bench.memory.read32(ACCESS))).toBe(READ);
  });

  it.each([
    ['one byte before the end of memory', RAM - 1],
    ['past the end of memory', RAM],
    ['in the middle of nowhere', 0x8000_0000],
    ['at the top of 32 bits', 0xffff_fffc],
    ['above 4 GiB', 2 ** 40],
    ['at the top of 64 bits', 2 ** 64 - 2 ** 12],
  ])('a target %s ends at the end of memory', (_, target) => {
    const before = new Uint8Array(bench.memory.memory.buffer, GUEST_RAM_BASE - 4096, 4096).slice();
    for (const length of [16, 0xffffffff]) expect(dma((0x20 << 16) | SELECT | READ, length, target)).toBe(0);
    expect(new Uint8Array(bench.memory.memory.buffer, GUEST_RAM_BASE - 4096, 4096).slice()).toEqual(before);
    expect(fetch(0x1000, 16)).toEqual(new Uint8Array(16));
    if (target === RAM - 1) expect(bench.memory.read8(target)).toBe(1);
  });

  it('a request block outside memory, or over its own target, harms nothing', () => {
    for (const at of [RAM - 8, RAM, 0xffff_fff0, 2 ** 35, 2 ** 64 - 2 ** 12]) run(at);
    // The last four bytes of the block are the target.
    dma((0x20 << 16) | SELECT | READ, 16, ACCESS);
    expect(swap(bench.memory.read32(ACCESS))).toBe(0);
    expect(dma((0x20 << 16) | SELECT | READ, 5, BUFFER)).toBe(0);
    expect([...fetch(BUFFER, 5)]).toEqual([1, 2, 3, 4, 5]);
  });

  it('leaves ROM alone', () => {
    bench.memory.physMap.mapRom(0xf0000, 0xa00000, 0x10000);
    dma((0x20 << 16) | SELECT | READ, 0x10000, 0xf0000);
    expect(fetch(0xf0000, 16)).toEqual(new Uint8Array(16));
  });

  it('survives random requests, wherever they lie', () => {
    let seed = 7;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    const guard = new Uint8Array(bench.memory.memory.buffer, GUEST_RAM_BASE - 65536, 65536);
    const before = guard.slice();
    for (let i = 0; i < 3000; i++) {
      const target = [random(RAM), RAM - random(64), random(2 ** 32), 2 ** 32 * random(2 ** 32)][random(4)]!;
      const control = [READ, SKIP, WRITE, READ | SELECT, random(2 ** 32)][random(5)]!;
      dma((control | (random(0x30) << 16)) >>> 0, random(4) ? random(4096) : random(2 ** 32), target, 0x8000 + random(4000));
      if (i % 16 === 0) run(random(2) ? random(RAM) : 2 ** 32 * random(2 ** 32) + random(2 ** 32));
    }
    expect(Buffer.compare(guard, before)).toBe(0);
  });
});
