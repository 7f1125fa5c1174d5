/**
 * The window A0000-BFFFF onto video memory. Plane p of address a lies at byte a * 4 + p, so that chained 256-colour modes and the linear
 * frame buffer are the same bytes.
 *
 * Odd/even (text) mode: address bit 0 selects between planes 0/1 (or 2/3) of the word at address a >> 1.
 */
import type { AccessSize } from '../../bus/portbus.ts';
import type { MmioHandler } from '../../bus/mmiobus.ts';
import { DIRTY_MAP_BASE, VRAM_BASE } from '../../memory/layout.ts';
import { type GraphicsController, PLANE_BYTES } from './graphics.ts';
import type { Sequencer } from './sequencer.ts';

/** First byte and length of each memory map select, relative to A0000. */
const WINDOWS = [
  { start: 0, length: 0x20000 },
  { start: 0, length: 0x10000 },
  { start: 0x10000, length: 0x8000 },
  { start: 0x18000, length: 0x8000 },
];

/** How addresses in the window become planes. */
type Access = 'off' | 'linear' | 'oddeven' | 'planar';

export class VideoMemory implements MmioHandler {
  readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly halves: Uint16Array;
  private readonly dirty: Uint8Array;
  private readonly graphics: GraphicsController;
  private readonly sequencer: Sequencer;
  private access: Access = 'off';
  private start = 0;
  private length = 0;
  private bank = 0;
  private mapMask = 0;
  /** Text mode as every BIOS sets it up: whole cells go straight to memory. */
  private fastText = false;

  constructor(memory: WebAssembly.Memory, vramBytes: number, sequencer: Sequencer, graphics: GraphicsController) {
    this.bytes = new Uint8Array(memory.buffer, VRAM_BASE, vramBytes);
    this.words = new Int32Array(memory.buffer, VRAM_BASE, vramBytes / 4);
    this.halves = new Uint16Array(memory.buffer, VRAM_BASE, vramBytes / 2);
    this.dirty = new Uint8Array(memory.buffer, DIRTY_MAP_BASE + (VRAM_BASE >>> 12), Math.ceil(vramBytes / 4096));
    this.sequencer = sequencer;
    this.graphics = graphics;
  }

  /** To be called after any register write that can change how the window works. */
  update(options: { enabled: boolean; packed: boolean; bank: number }): void {
    const { graphics, sequencer } = this;
    // Enabling a packed VBE mode moves the window to A0000, 64 KiB, whatever the guest left in the graphics controller.
    const memoryMap = options.packed ? 1 : graphics.memoryMap;
    const window = WINDOWS[memoryMap]!;
    this.start = window.start;
    this.length = window.length;
    this.bank = memoryMap === 1 ? options.bank : 0;
    this.mapMask = options.packed ? 15 : sequencer.mapMask;
    this.access = !options.enabled ? 'off' : options.packed || sequencer.chain4 ? 'linear' : graphics.oddEven ? 'oddeven' : 'planar';
    this.fastText = this.access === 'oddeven' && graphics.transparent && (this.mapMask & 3) === 3 && (graphics.readPlane & 2) === 0;
  }

  read(offset: number, size: AccessSize): number {
    const at = offset - this.start;
    if (this.fastText && (at & 1) === 0 && at >= 0 && at + size <= this.length && size !== 1) {
      const cell = at >> 1;
      if (size === 2) return this.halves[cell << 1]!;
      return (this.halves[cell << 1]! | (this.halves[(cell + 1) << 1]! << 16)) >>> 0;
    }
    let value = this.readByte(at);
    for (let i = 1; i < size; i++) value |= this.readByte(at + i) << (i * 8);
    return value >>> 0;
  }

  write(offset: number, value: number, size: AccessSize): void {
    const at = offset - this.start;
    if (this.fastText && (at & 1) === 0 && at >= 0 && at + size <= this.length && size !== 1) {
      const cell = at >> 1;
      this.halves[cell << 1] = value;
      this.dirty[cell >> 10] = 0xff;
      if (size === 4) {
        this.halves[(cell + 1) << 1] = value >>> 16;
        this.dirty[(cell + 1) >> 10] = 0xff;
      }
      return;
    }
    for (let i = 0; i < size; i++) this.writeByte(at + i, (value >>> (i * 8)) & 0xff);
  }

  clear(length: number): void {
    this.bytes.fill(0, 0, length);
    this.touch(0, length);
  }

  /** Marks bytes as changed. */
  touch(offset: number, length: number): void {
    this.dirty.fill(0xff, offset >>> 12, Math.ceil((offset + length) / 4096));
  }

  private readByte(at: number): number {
    if (at < 0 || at >= this.length || this.access === 'off') return 0xff;
    const { graphics } = this;
    if (this.access === 'linear') {
      const byte = this.bank + at;
      if (byte >= this.bytes.length) return 0xff;
      graphics.latch = this.words[byte >>> 2]!;
      return this.bytes[byte]!;
    }
    const word = this.access === 'oddeven' ? at >>> 1 : this.bank + at;
    if (word >= this.words.length) return 0xff;
    graphics.latch = this.words[word]!;
    if (this.access === 'oddeven') return this.bytes[word * 4 + ((graphics.readPlane & 2) | (at & 1))]!;
    return graphics.readCompare ? graphics.compare() : this.bytes[word * 4 + graphics.readPlane]!;
  }

  private writeByte(at: number, value: number): void {
    if (at < 0 || at >= this.length || this.access === 'off') return;
    let word: number;
    let planes = this.mapMask;
    if (this.access === 'linear') {
      const byte = this.bank + at;
      word = byte >>> 2;
      planes &= 1 << (byte & 3);
    } else if (this.access === 'oddeven') {
      word = at >>> 1;
      planes &= at & 1 ? 0b1010 : 0b0101;
    } else word = this.bank + at;
    if (word >= this.words.length) return;
    const mask = PLANE_BYTES[planes]!;
    this.words[word] = (this.words[word]! & ~mask) | (this.graphics.combine(value) & mask);
    this.dirty[word >>> 10] = 0xff;
  }
}
