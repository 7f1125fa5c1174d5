import { describe, expect, it } from 'vitest';
import { GUEST_RAM_BASE, OPTION_ROM_BASE, VRAM_BASE } from '../../memory/layout.ts';
import { VgaBench } from './testing/vgabench.ts';

function planar(): VgaBench {
  const bench = new VgaBench(0x40000);
  bench.setMode('planar');
  return bench;
}

const planes = (bench: VgaBench, address: number) => [...bench.vram.subarray(address * 4, address * 4 + 4)];

describe('memory window', () => {
  it('writes the planes of the map mask and reads the selected one', () => {
    const bench = planar();
    bench.indexed(0x3c4, 2, 0b0101);
    bench.write(0xa0010, 0xa5);
    expect(planes(bench, 0x10)).toEqual([0xa5, 0, 0xa5, 0]);
    bench.indexed(0x3ce, 4, 2);
    expect(bench.read(0xa0010)).toBe(0xa5);
    bench.indexed(0x3ce, 4, 3);
    expect(bench.read(0xa0010)).toBe(0);
  });

  it('write mode 0: rotate, set/reset, bit mask with latches, logic', () => {
    const bench = planar();
    bench.write(0xa0000, 0xff);
    bench.read(0xa0000);
    bench.indexed(0x3ce, 3, 1);
    bench.indexed(0x3ce, 0, 0b0010);
    bench.indexed(0x3ce, 1, 0b0011);
    bench.indexed(0x3ce, 8, 0xf0);
    bench.write(0xa0001, 0x21);
    // Plane 0: reset; plane 1: set; planes 2 and 3: 21h rotated right is 90h; the low nibble comes from the latches.
    expect(planes(bench, 1)).toEqual([0x0f, 0xff, 0x9f, 0x9f]);
    bench.indexed(0x3ce, 1, 0);
    bench.indexed(0x3ce, 8, 0xff);
    for (const [logic, expected] of [
      [1, 0x90],
      [2, 0xff],
      [3, 0x6f],
    ] as const) {
      bench.indexed(0x3ce, 3, (logic << 3) | 1);
      bench.write(0xa0002, 0x21);
      expect(planes(bench, 2)).toEqual([expected, expected, expected, expected]);
    }
  });

  it('write modes 1, 2 and 3', () => {
    const bench = planar();
    bench.vram.set([1, 2, 3, 4], 0x20);
    bench.read(0xa0008);
    bench.indexed(0x3ce, 5, 1);
    bench.write(0xa0009, 0xff);
    expect(planes(bench, 9)).toEqual([1, 2, 3, 4]);
    bench.indexed(0x3ce, 5, 2);
    bench.indexed(0x3ce, 8, 0x0f);
    bench.write(0xa000a, 0b1001);
    expect(planes(bench, 10)).toEqual([0x0f, 0x00, 0x00, 0x0f]);
    bench.indexed(0x3ce, 5, 3);
    bench.indexed(0x3ce, 0, 0b0100);
    bench.write(0xa000b, 0x3c);
    expect(planes(bench, 11)).toEqual([0x01, 0x02, 0x0f, 0x00]);
  });

  it('read mode 1 compares the cared-for planes with a colour', () => {
    const bench = planar();
    bench.vram.set([0xf0, 0xcc, 0x00, 0xaa], 0);
    bench.indexed(0x3ce, 5, 8);
    bench.indexed(0x3ce, 2, 0b0011);
    bench.indexed(0x3ce, 7, 0b0111);
    expect(bench.read(0xa0000)).toBe(0xc0);
    bench.indexed(0x3ce, 7, 0);
    expect(bench.read(0xa0000)).toBe(0xff);
  });

  it('text mode: characters in plane 0, attributes in plane 1, in every access size', () => {
    const bench = new VgaBench(0x40000);
    bench.setMode('text80');
    bench.write(0xb8000, 0x41);
    bench.write(0xb8001, 0x1f);
    bench.write(0xb8002, 0x0742, 2);
    bench.write(0xb8004, 0x4f44_2e43, 4);
    expect([0, 1, 2, 3].map((cell) => planes(bench, cell))).toEqual([
      [0x41, 0x1f, 0, 0],
      [0x42, 0x07, 0, 0],
      [0x43, 0x2e, 0, 0],
      [0x44, 0x4f, 0, 0],
    ]);
    expect(bench.read(0xb8000, 4)).toBe(0x07421f41);
    expect(bench.read(0xb8003, 2)).toBe(0x4307);
    expect(bench.read(0xb8000, 2)).toBe(0x1f41);
    expect([bench.read(0xa0000), bench.read(0xb0000), bench.read(0xb7fff)]).toEqual([0xff, 0xff, 0xff]);
  });

  it('answers only in the selected window and only while enabled', () => {
    const bench = new VgaBench(0x40000);
    bench.setMode('text80');
    bench.indexed(0x3ce, 6, 0x0a);
    bench.write(0xb0000, 0x0741, 2);
    expect([bench.read(0xb0000, 2), bench.read(0xb8000, 2)]).toEqual([0x0741, 0xffff]);
    bench.out(0x3c2, 0x65);
    expect(bench.read(0xb0000, 2)).toBe(0xffff);
    bench.out(0x3c2, 0x67);
    bench.out(0x3c3, 0);
    expect([bench.read(0xb0000, 2), bench.in(0x3cc), bench.in(0x3c3)]).toEqual([0xffff, 0xff, 0]);
    bench.out(0x3c3, 1);
    expect(bench.in(0x3cc)).toBe(0x67);
  });
});

describe('registers', () => {
  it('protects CRTC registers 0-7 but for the line compare bit', () => {
    const bench = new VgaBench(0x40000);
    bench.setMode('text80');
    bench.indexed(0x3d4, 0x11, 0x8e);
    bench.indexed(0x3d4, 0, 0x12);
    bench.indexed(0x3d4, 7, 0x00);
    bench.out(0x3d4, 0);
    expect(bench.in(0x3d5)).toBe(0x5f);
    bench.out(0x3d4, 7);
    expect(bench.in(0x3d5)).toBe(0x0f);
  });

  it('moves the CRTC to 3Bx on a monochrome adapter', () => {
    const bench = new VgaBench(0x40000);
    bench.setMode('text80');
    bench.out(0x3c2, 0x66);
    bench.indexed(0x3b4, 0x0f, 0x77);
    expect([bench.in(0x3b5), bench.in(0x3d5)]).toEqual([0x77, 0xff]);
  });

  it('reads and writes the palette in triples', () => {
    const bench = new VgaBench(0x40000);
    bench.color(0x10, 0x11, 0xff, 0x33);
    bench.out(0x3c7, 0x10);
    expect([bench.in(0x3c7), bench.in(0x3c9), bench.in(0x3c9), bench.in(0x3c9)]).toEqual([3, 0x11, 0x3f, 0x33]);
    bench.out(0x3c8, 0);
    expect(bench.in(0x3c7)).toBe(0);
  });

  it('shows a retrace every sixtieth of a second and gaps between lines', () => {
    const bench = new VgaBench(0x40000);
    bench.setMode('text80');
    let retraces = 0;
    let lineGaps = 0;
    let before = bench.in(0x3da);
    for (let us = 0; us < 1_000_000; us += 5) {
      bench.clock.advance(5000);
      const status = bench.in(0x3da);
      if (status & 8 && !(before & 8)) retraces++;
      if (status & 1 && !(before & 1)) lineGaps++;
      before = status;
    }
    expect(retraces).toBe(60);
    expect(lineGaps).toBeGreaterThan(60 * 390);
  });

  it('identifies itself and tells its limits', () => {
    const bench = new VgaBench();
    expect(bench.readDispi(0)).toBe(0xb0c5);
    bench.dispi(0, 0xb0c2);
    bench.dispi(0, 0x1234);
    expect(bench.readDispi(0)).toBe(0xb0c2);
    bench.dispi(4, 2);
    expect([1, 2, 3, 10].map((index) => bench.readDispi(index))).toEqual([2560, 1600, 32, 256]);
    bench.dispi(4, 0);
    expect(bench.readDispi(1)).toBe(0);
  });
});

describe('PCI function', () => {
  it('windows moved over RAM leave the RAM in place, then and afterwards', () => {
    const { vga, physMap } = new VgaBench(0x40000);
    physMap.mapRam(0x100000, GUEST_RAM_BASE + 0x100000, 0x20000);
    const ram = physMap.entry(0x100000);
    vga.writeConfig(0x10, 0x100000, 4);
    vga.writeConfig(0x30, 0x100001, 4);
    vga.writeConfig(4, 2, 2);
    expect(physMap.entry(0x100000)).toBe(ram);
    // Beyond the RAM the frame buffer shows.
    expect(physMap.entry(0x120000) >>> 12).toBe((VRAM_BASE + 0x20000) >>> 12);
    vga.reset('hard');
    expect([physMap.entry(0x100000), physMap.entry(0x11f000), physMap.entry(0x120000)]).toEqual([ram, ram + 0x1f000, 0]);
  });

  it('maps frame buffer, registers and BIOS where the BARs say', () => {
    const bench = new VgaBench(0x100000);
    const { vga, physMap, mmio } = bench;
    expect(vga.readConfig(0, 4)).toBe(0x11111234);
    for (const [offset, mask] of [
      [0x10, 0xfff00008],
      [0x18, 0xfffff000],
      [0x30, 0xffff0000],
    ] as const) {
      vga.writeConfig(offset, 0xfffffffe, 4);
      expect(vga.readConfig(offset, 4)).toBe(mask);
    }
    vga.writeConfig(0x10, 0xe0000000, 4);
    vga.writeConfig(0x18, 0xe1000000, 4);
    vga.writeConfig(0x30, 0xe2000001, 4);
    expect(physMap.entry(0xe0000000)).toBe(0);
    vga.writeConfig(4, 2, 2);
    expect(physMap.entry(0xe0000000) & ~0xfff).toBe(VRAM_BASE);
    expect(physMap.entry(0xe0100000)).toBe(0);
    expect(physMap.entry(0xe2000000) & ~0xfff).toBe(OPTION_ROM_BASE);
    expect(new Uint8Array(bench.memory.buffer)[OPTION_ROM_BASE + 1]).toBe(0xaa);

    // Dispi registers as words, ports at 400h, EDID at 0.
    mmio.write(0xe1000502, 1024, 2);
    mmio.write(0xe1000504, 768, 2);
    mmio.write(0xe1000506, 32, 2);
    mmio.write(0xe1000508, 0x41, 2);
    expect([mmio.read(0xe1000500, 2), mmio.read(0xe1000502, 2), mmio.read(0xe1000504, 2)]).toEqual([0xb0c5, 1024, 256]);
    mmio.write(0xe1000400, 0x20, 1);
    expect(bench.in(0x3c0)).toBe(0x20);
    const edid = Array.from({ length: 128 }, (_, i) => mmio.read(0xe1000000 + i, 1));
    expect(edid.slice(0, 8)).toEqual([0, 255, 255, 255, 255, 255, 255, 0]);
    expect(edid.reduce((sum, byte) => sum + byte) & 0xff).toBe(0);
    vga.writeConfig(4, 0, 2);
    expect([physMap.entry(0xe0000000), mmio.read(0xe1000500, 2)]).toEqual([0, 0xffff]);
  });

  it('saves and restores picture and mode', () => {
    const bench = new VgaBench(0x40000);
    bench.setMode('mode13');
    bench.write(0xa0000, 0x42);
    const state = structuredClone(bench.vga.save());
    const other = new VgaBench(0x40000);
    other.vga.restore(state);
    expect(other.pixel(0, 0)).toBe(VgaBench.entry(0x42));
    expect(other.read(0xa0000)).toBe(0x42);
    expect(() => new VgaBench(0x80000).vga.restore(state)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  });
});
