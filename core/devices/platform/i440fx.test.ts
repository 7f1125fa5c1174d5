import { beforeEach, describe, expect, it } from 'vitest';
import { BIOS_ROM_BASE, GUEST_RAM_BASE, PM_READ, PM_ROM, PM_WRITE } from '../../memory/layout.ts';
import { Bench } from '../testing/bench.ts';
import { I440Fx } from './i440fx.ts';

const BIOS_BYTES = 0x40000;
const PAM0 = 0x59;

/** Every area: configuration register, lower bit of its field, first address, bytes. Data sheet 290549, table 4. */
const AREAS = [
  { register: PAM0, shift: 4, base: 0xf0000, length: 0x10000 },
  ...Array.from({ length: 12 }, (_, i) => ({
    register: PAM0 + 1 + (i >> 1),
    shift: (i & 1) * 4,
    base: 0xc0000 + i * 0x4000,
    length: 0x4000,
  })),
];

let bench: Bench;
let bridge: I440Fx;

beforeEach(() => {
  bench = new Bench();
  const all = new Uint8Array(bench.memory.memory.buffer);
  // ROM bytes and RAM bytes tell which of the two an address shows.
  all.fill(0xbb, BIOS_ROM_BASE, BIOS_ROM_BASE + BIOS_BYTES);
  all.fill(0xdd, GUEST_RAM_BASE, GUEST_RAM_BASE + (1 << 20));
  bench.memory.physMap.unmap(0, 1 << 20);
  bridge = new I440Fx({ id: 'i440fx', memory: bench.memory, mmio: bench.mmio, biosBytes: BIOS_BYTES });
});

/** Reads and writes as the processor does: through the map, or over the bus where the map sends it. */
function read(gpa: number): number {
  const entry = bench.memory.physMap.entry(gpa);
  return entry & PM_READ ? bench.memory.read8(gpa) : bench.mmio.read(gpa, 1);
}
function write(gpa: number, value: number): void {
  const entry = bench.memory.physMap.entry(gpa);
  if (entry & PM_WRITE) bench.memory.write8(gpa, value);
  else if (!(entry & PM_ROM)) bench.mmio.write(gpa, value, 1);
}
const ram = (gpa: number) => new Uint8Array(bench.memory.memory.buffer)[GUEST_RAM_BASE + gpa]!;
const rom = (gpa: number) => (gpa >= 0xe0000 ? 0xbb : 0xff);

function setArea(area: (typeof AREAS)[number], attributes: number): void {
  const old = bridge.readConfig(area.register, 1);
  bridge.writeConfig(area.register, (old & ~(0xf << area.shift)) | (attributes << area.shift), 1);
}

describe('programmable attribute map', () => {
  it('starts with ROM in E0000-FFFFF, nothing below it, and RAM unwritable behind both', () => {
    for (const { base, length } of AREAS)
      for (const gpa of [base, base + length - 1]) {
        expect(read(gpa)).toBe(rom(gpa));
        write(gpa, 0x11);
        expect([read(gpa), ram(gpa)]).toEqual([rom(gpa), 0xdd]);
      }
  });

  it.each(AREAS)('area at $base obeys all four combinations and leaves the others alone', (area) => {
    const ends = [area.base, area.base + area.length - 1];
    const neighbours = [area.base - 1, area.base + area.length].filter((gpa) => gpa >= 0xc0000 && gpa < 0x100000);
    let value = 1;
    for (const attributes of [1, 2, 3, 0, 3, 1, 0, 2, 0]) {
      setArea(area, attributes);
      for (const gpa of ends) {
        const before = ram(gpa);
        write(gpa, ++value);
        expect(ram(gpa)).toBe(attributes & 2 ? value : before);
        expect(read(gpa)).toBe(attributes & 1 ? ram(gpa) : rom(gpa));
      }
      for (const gpa of neighbours) {
        write(gpa, 0x77);
        expect([read(gpa), ram(gpa)]).toEqual([rom(gpa), 0xdd]);
      }
    }
  });

  it('lets firmware copy ROM onto itself and then show the copy', () => {
    setArea(AREAS[0]!, 2);
    for (let gpa = 0xf0000; gpa < 0x100000; gpa += 4) bench.mmio.write(gpa, bench.memory.read32(gpa), 4);
    expect(ram(0xf0000)).toBe(0xbb);
    setArea(AREAS[0]!, 1);
    expect([read(0xf0000), read(0xfffff)]).toEqual([0xbb, 0xbb]);
    write(0xf0000, 1);
    expect(read(0xf0000)).toBe(0xbb);
  });

  it('tells of writes behind ROM: dirty page, dropped code', () => {
    const all = new Uint8Array(bench.memory.memory.buffer);
    const page = (GUEST_RAM_BASE + 0xf1000) / 4096;
    const dropped: number[] = [];
    bench.memory.onCodeWrite((offset) => dropped.push(offset));
    all[0x900000 + page] = 1;
    all[0x800000 + page] = 0;
    setArea(AREAS[0]!, 2);
    bench.mmio.write(0xf1234, 0xbeef, 2);
    expect(bench.memory.read16(0xf1234)).toBe(0xbbbb);
    expect([all[0x800000 + page], dropped]).toEqual([0xff, [GUEST_RAM_BASE + 0xf1000]]);
  });

  it('reserved bits stay clear', () => {
    for (let register = PAM0; register <= 0x5f; register++) {
      bridge.writeConfig(register, 0xff, 1);
      expect(bridge.readConfig(register, 1)).toBe(0x33);
    }
  });

  it('takes one write over several registers, and tells the accelerator only of changes', () => {
    let changes = 0;
    bench.memory.physMap.onChange(() => changes++);
    bridge.writeConfig(0x5a, 0x33333333, 4);
    for (const gpa of [0xc0000, 0xdffff]) expect(read(gpa)).toBe(0xdd);
    expect(changes).toBe(8);
    bridge.writeConfig(0x5a, 0x33333333, 4);
    expect(changes).toBe(8);
  });

  it.each(['hard', 'power'] as const)('a %s reset shows ROM again; a restored state shows RAM', (kind) => {
    setArea(AREAS[0]!, 3);
    write(0xf0000, 0x42);
    const state = structuredClone(bridge.save());
    bridge.reset(kind);
    expect([read(0xf0000), ram(0xf0000)]).toEqual([0xbb, 0x42]);
    bridge.restore(state);
    expect(read(0xf0000)).toBe(0x42);
  });
});

describe('fixed places', () => {
  it('RAM ends at the VGA window, and the whole BIOS is below 4 GiB', () => {
    expect(bench.memory.physMap.entry(0x9f000) & PM_WRITE).toBe(PM_WRITE);
    expect(bench.memory.physMap.entry(0xa0000)).toBe(0);
    expect([read(0x100000000 - BIOS_BYTES), read(0xffffffff)]).toEqual([0xbb, 0xbb]);
    expect(bench.memory.physMap.entry(0x100000000 - BIOS_BYTES - 1)).toBe(0);
    write(0xffffffff, 1);
    expect(read(0xffffffff)).toBe(0xbb);
  });

  it('SMRAM can be locked until the next reset', () => {
    bridge.writeConfig(0x72, 0x4a, 1);
    expect(bridge.readConfig(0x72, 1)).toBe(0x4a);
    bridge.writeConfig(0x72, 0x1a, 1);
    bridge.writeConfig(0x72, 0x00, 1);
    expect(bridge.readConfig(0x72, 1)).toBe(0x1a);
    bridge.restore(structuredClone(bridge.save()));
    bridge.writeConfig(0x72, 0x00, 1);
    expect(bridge.readConfig(0x72, 1)).toBe(0x1a);
    bridge.reset('hard');
    bridge.writeConfig(0x72, 0x08, 1);
    expect(bridge.readConfig(0x72, 1)).toBe(0x08);
  });
});
