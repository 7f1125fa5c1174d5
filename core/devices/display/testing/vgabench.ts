import type { Rect } from '../../../backend/display.ts';
import { MmioBus } from '../../../bus/mmiobus.ts';
import { PortBus } from '../../../bus/portbus.ts';
import { DIRTY_MAP_BASE, VRAM_BASE } from '../../../memory/layout.ts';
import { PhysMap } from '../../../memory/physmap.ts';
import { createVmMemory } from '../../../memory/vmmemory.ts';
import { ManualClock } from '../../../util/clock.ts';
import { nullLogger } from '../../../util/logger.ts';
import { VgaScanout } from '../scanout.ts';
import { Vga } from '../vga.ts';

/** A mode as the tables of every VGA BIOS have it. */
interface ModeTable {
  misc: number;
  seq: readonly number[];
  crtc: readonly number[];
  gc: readonly number[];
  attr: readonly number[];
}

const EGA_PALETTE = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f];
const IDENTITY = Array.from({ length: 16 }, (_, i) => i);
const hex = (text: string) => text.split(' ').map((byte) => Number.parseInt(byte, 16));

export const MODES = {
  text80: {
    misc: 0x67,
    seq: hex('03 00 03 00 02'),
    crtc: hex('5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff'),
    gc: hex('00 00 00 00 00 10 0e 00 ff'),
    attr: [...EGA_PALETTE, 0x0c, 0, 0x0f, 8, 0],
  },
  cga4: {
    misc: 0x63,
    seq: hex('03 09 03 00 02'),
    crtc: hex('2d 27 28 90 2b 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 a2 ff'),
    gc: hex('00 00 00 00 00 30 0f 00 ff'),
    attr: [0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0, 0],
  },
  cga2: {
    misc: 0x63,
    seq: hex('03 01 01 00 06'),
    crtc: hex('5f 4f 50 82 54 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 c2 ff'),
    gc: hex('00 00 00 00 00 00 0d 00 ff'),
    attr: [0, ...new Array<number>(15).fill(0x17), 1, 0, 1, 0, 0],
  },
  planar: {
    misc: 0xe3,
    seq: hex('03 01 0f 00 06'),
    crtc: hex('5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff'),
    gc: hex('00 00 00 00 00 00 05 0f ff'),
    attr: [...IDENTITY, 1, 0, 0x0f, 0, 0],
  },
  mode13: {
    misc: 0x63,
    seq: hex('03 01 0f 00 0e'),
    crtc: hex('5f 4f 50 82 54 80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 40 96 b9 a3 ff'),
    gc: hex('00 00 00 00 00 40 05 0f ff'),
    attr: [...IDENTITY, 0x41, 0, 0x0f, 0, 0],
  },
  modeX: {
    misc: 0xe3,
    seq: hex('03 01 0f 00 06'),
    crtc: hex('5f 4f 50 82 54 80 0d 3e 00 41 00 00 00 00 00 00 ea ac df 28 00 e7 06 e3 ff'),
    gc: hex('00 00 00 00 00 40 05 0f ff'),
    attr: [...IDENTITY, 0x41, 0, 0x0f, 0, 0],
  },
} as const satisfies { [name: string]: ModeTable };

/** A VGA with its monitor, driven through ports and the memory window. */
export class VgaBench {
  readonly ports = new PortBus();
  readonly mmio = new MmioBus();
  readonly clock = new ManualClock();
  readonly memory = createVmMemory(1 << 20);
  readonly physMap = new PhysMap(this.memory);
  readonly vram: Uint8Array;
  readonly vga: Vga;
  readonly screen: VgaScanout;
  /** Rectangles reported since last asked. */
  damage: Rect[] = [];
  resizes: string[] = [];
  nowMs = 0;

  constructor(vramBytes = 0x1000000) {
    const { ports, mmio, clock, memory, physMap } = this;
    this.vram = new Uint8Array(memory.buffer, VRAM_BASE, vramBytes);
    const rom = Uint8Array.of(0x55, 0xaa, 1);
    this.vga = new Vga({ id: 'vga', ports, mmio, physMap, memory, vramBytes, rom, clock, log: nullLogger });
    this.screen = new VgaScanout({ memory, now: () => this.nowMs });
    this.screen.onDamage((rects) => this.damage.push(...rects));
    this.screen.onResize((width, height) => this.resizes.push(`${width}x${height}`));
  }

  out(port: number, value: number): void {
    this.ports.write(port, value, 1);
  }

  in(port: number): number {
    return this.ports.read(port, 1);
  }

  /** Index and data in one 16-bit write, as most programs do. */
  indexed(port: number, index: number, value: number): void {
    this.ports.write(port, index | (value << 8), 2);
  }

  attr(index: number, value: number): void {
    this.in(0x3da);
    this.out(0x3c0, index);
    this.out(0x3c0, value);
    this.out(0x3c0, 0x20);
  }

  dispi(index: number, value: number): void {
    this.ports.write(0x1ce, index, 2);
    this.ports.write(0x1cf, value, 2);
  }

  readDispi(index: number): number {
    this.ports.write(0x1ce, index, 2);
    return this.ports.read(0x1cf, 2);
  }

  color(index: number, red: number, green: number, blue: number): void {
    this.out(0x3c8, index);
    for (const value of [red, green, blue]) this.out(0x3c9, value);
  }

  /** Processor access to A0000-BFFFF, as the physical map would route it. */
  write(gpa: number, value: number, size: 1 | 2 | 4 = 1): void {
    const entry = this.physMap.entry(gpa);
    if (!(entry & 2)) {
      this.mmio.write(gpa, value, size);
      return;
    }
    const at = ((entry & 0xfffff000) >>> 0) + (gpa & 0xfff);
    const bytes = new Uint8Array(this.memory.buffer);
    for (let i = 0; i < size; i++) bytes[at + i] = value >>> (i * 8);
    bytes[DIRTY_MAP_BASE + (at >>> 12)] = 0xff;
  }

  read(gpa: number, size: 1 | 2 | 4 = 1): number {
    const entry = this.physMap.entry(gpa);
    if (!(entry & 1)) return this.mmio.read(gpa, size);
    const at = ((entry & 0xfffff000) >>> 0) + (gpa & 0xfff);
    const bytes = new Uint8Array(this.memory.buffer);
    let value = 0;
    for (let i = 0; i < size; i++) value |= bytes[at + i]! << (i * 8);
    return value >>> 0;
  }

  setMode(name: keyof typeof MODES): void {
    const mode: ModeTable = MODES[name];
    this.out(0x3c2, mode.misc);
    for (const [i, value] of mode.seq.entries()) this.indexed(0x3c4, i, value);
    this.indexed(0x3d4, 0x11, 0);
    for (const [i, value] of mode.crtc.entries()) this.indexed(0x3d4, i, value);
    for (const [i, value] of mode.gc.entries()) this.indexed(0x3ce, i, value);
    this.in(0x3da);
    for (const [i, value] of mode.attr.entries()) {
      this.out(0x3c0, i);
      this.out(0x3c0, value);
    }
    this.out(0x3c0, 0x20);
    this.out(0x3c6, 0xff);
    // Entry i has its number in red and blue, inverted in green.
    for (let i = 0; i < 256; i++) this.color(i, i & 0x3f, ~i & 0x3f, i >> 2);
  }

  /** The colour of DAC entry `i` as setMode leaves it. */
  static entry(i: number): number {
    const wide = (value: number) => ((value & 0x3f) << 2) | ((value & 0x3f) >> 4);
    return (wide(i) << 16) | (wide(~i) << 8) | wide(i >> 2);
  }

  /** Refreshes and gives the pixel. */
  pixel(x: number, y: number): number {
    this.screen.refresh();
    return this.screen.pixels[y * this.screen.width + x]!;
  }

  takeDamage(): Rect[] {
    this.damage = [];
    this.screen.refresh();
    return this.damage;
  }

  /** Writes a glyph into plane 2 as font loaders do. */
  glyph(code: number, lines: readonly number[], map = 0): void {
    this.indexed(0x3c4, 2, 4);
    this.indexed(0x3c4, 4, 6);
    this.indexed(0x3ce, 5, 0);
    this.indexed(0x3ce, 6, 4);
    for (const [line, bits] of lines.entries()) this.write(0xa0000 + (map & 3) * 0x4000 + (map >> 2) * 0x2000 + code * 32 + line, bits);
    this.indexed(0x3c4, 2, 3);
    this.indexed(0x3c4, 4, 2);
    this.indexed(0x3ce, 5, 0x10);
    this.indexed(0x3ce, 6, 0x0e);
  }
}
