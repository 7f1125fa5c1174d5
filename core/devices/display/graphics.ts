/**
 * VGA graphics controller, ports 3CE/3CF: what happens to data between processor and the four planes.
 * Spec: IBM PS/2 Video Subsystem Technical Reference, "Graphics Controller Registers".
 *
 * Four planes at one address are one 32-bit word: plane p is byte p.
 */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { GRAPHICS_REGS } from './displayregs.ts';

export const GR_SET_RESET = 0;
export const GR_ENABLE_SET_RESET = 1;
export const GR_COLOR_COMPARE = 2;
export const GR_DATA_ROTATE = 3;
export const GR_READ_PLANE = 4;
export const GR_MODE = 5;
export const GR_MISC = 6;
export const GR_COLOR_CARE = 7;
export const GR_BIT_MASK = 8;
const GRAPHICS_LAST = 8;

export const GMODE_READ_COMPARE = 0x08;
export const GMODE_ODD_EVEN = 0x10;
/** Two bits a pixel from plane pairs, as on a CGA. */
export const GMODE_SHIFT_CGA = 0x20;
export const GMODE_SHIFT_256 = 0x40;
export const GMISC_GRAPHICS = 0x01;

const MASKS = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];

/** Bit p of a 4-bit value widened to byte p. */
export const PLANE_BYTES = Int32Array.from({ length: 16 }, (_, value) =>
  [0, 1, 2, 3].reduce((word, plane) => (value & (1 << plane) ? word | (0xff << (plane * 8)) : word), 0),
);

function replicate(byte: number): number {
  return byte | (byte << 8) | (byte << 16) | (byte << 24);
}

export class GraphicsController {
  index = 0;
  readonly regs: Uint8Array;
  /** The word the last read found in the planes. */
  latch = 0;
  /** Bytes reach the planes as the processor wrote them: write mode 0, no rotation, function, set/reset or bit mask. */
  transparent = false;
  // The registers in the form the data path wants, kept up to date by `update`.
  private writeMode = 0;
  private rotate = 0;
  private logic = 0;
  private setReset = 0;
  private enableSetReset = 0;
  private bitMask = 0;

  constructor(regs: Uint8Array) {
    this.regs = regs;
    this.update();
  }

  /** Memory map select: 0 A0000 128 KiB, 1 A0000 64 KiB, 2 B0000 32 KiB, 3 B8000 32 KiB. */
  get memoryMap(): number {
    return (this.regs[GR_MISC]! >> 2) & 3;
  }

  get oddEven(): boolean {
    return (this.regs[GR_MODE]! & GMODE_ODD_EVEN) !== 0;
  }

  get readPlane(): number {
    return this.regs[GR_READ_PLANE]!;
  }

  get readCompare(): boolean {
    return (this.regs[GR_MODE]! & GMODE_READ_COMPARE) !== 0;
  }

  readData(): number {
    return this.index <= GRAPHICS_LAST ? this.regs[this.index]! : 0;
  }

  writeData(value: number): void {
    if (this.index > GRAPHICS_LAST) return;
    this.regs[this.index] = value & MASKS[this.index]!;
    this.update();
  }

  /** Read mode 1: a bit is set where all cared-for planes of the latch show the compare colour. */
  compare(): number {
    const care = PLANE_BYTES[this.regs[GR_COLOR_CARE]!]!;
    let differing = (this.latch ^ PLANE_BYTES[this.regs[GR_COLOR_COMPARE]!]!) & care;
    differing |= differing >>> 16;
    differing |= differing >>> 8;
    return ~differing & 0xff;
  }

  /** The word that a processor write of `value` offers to the planes; the caller applies the map mask. */
  combine(value: number): number {
    const { latch } = this;
    let data: number;
    let mask = this.bitMask;
    switch (this.writeMode) {
      case 0:
        data = replicate(this.rotated(value));
        data = (data & ~this.enableSetReset) | (this.setReset & this.enableSetReset);
        break;
      case 1:
        return latch;
      case 2:
        data = PLANE_BYTES[value & 0xf]!;
        break;
      default:
        mask &= replicate(this.rotated(value));
        data = this.setReset;
    }
    switch (this.logic) {
      case 1:
        data &= latch;
        break;
      case 2:
        data |= latch;
        break;
      case 3:
        data ^= latch;
        break;
    }
    return (data & mask) | (latch & ~mask);
  }

  reset(): void {
    this.index = 0;
    this.latch = 0;
    this.regs.fill(0);
    this.update();
  }

  save(): StateValue {
    return { index: this.index, latch: this.latch >>> 0, regs: this.regs.slice() };
  }

  restore(state: StateReader): void {
    this.index = state.byte('index') & 0xf;
    this.latch = state.number('latch', 0, 0xffffffff) | 0;
    this.regs.set(state.bytes('regs', GRAPHICS_REGS).map((value, i) => value & (MASKS[i] ?? 0)));
    this.update();
  }

  private rotated(value: number): number {
    return ((value >> this.rotate) | (value << (8 - this.rotate))) & 0xff;
  }

  private update(): void {
    const { regs } = this;
    this.writeMode = regs[GR_MODE]! & 3;
    this.rotate = regs[GR_DATA_ROTATE]! & 7;
    this.logic = (regs[GR_DATA_ROTATE]! >> 3) & 3;
    this.setReset = PLANE_BYTES[regs[GR_SET_RESET]! & 0xf]!;
    this.enableSetReset = PLANE_BYTES[regs[GR_ENABLE_SET_RESET]! & 0xf]!;
    this.bitMask = replicate(regs[GR_BIT_MASK]!);
    this.transparent = this.writeMode === 0 && this.rotate === 0 && this.logic === 0 && this.enableSetReset === 0 && this.bitMask === -1;
  }
}
