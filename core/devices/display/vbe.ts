/**
 * Bochs VBE extensions ("dispi"), ports 1CE (index), 1CF and 1D0 (data): linear and banked high-resolution modes.
 * Spec: Bochs' "VBE Display Interface" (vbe_display_api.txt), and what drivers written for QEMU's stdvga rely on.
 */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { VBE_REGS } from './displayregs.ts';

export const VBE_ID = 0;
export const VBE_XRES = 1;
export const VBE_YRES = 2;
export const VBE_BPP = 3;
export const VBE_ENABLE = 4;
export const VBE_BANK = 5;
export const VBE_VIRT_WIDTH = 6;
export const VBE_VIRT_HEIGHT = 7;
export const VBE_X_OFFSET = 8;
export const VBE_Y_OFFSET = 9;
/** 64 KiB units of video memory; read-only. */
export const VBE_VIDEO_MEMORY_64K = 0xa;

export const VBE_ENABLED = 0x01;
/** Reads of the resolution registers give the limits instead. */
const VBE_GETCAPS = 0x02;
export const VBE_8BIT_DAC = 0x20;
const VBE_NOCLEARMEM = 0x80;

const ID_FIRST = 0xb0c0;
const ID_LAST = 0xb0c5;
export const VBE_MAX_WIDTH = 2560;
export const VBE_MAX_HEIGHT = 1600;
const VBE_MAX_BPP = 32;
const DEPTHS = [4, 8, 15, 16, 24, 32];

/** Memory that one pixel takes, in bits: 15-bit colour is stored in 16. */
export function storedBits(bpp: number): number {
  return bpp === 15 ? 16 : bpp;
}

export interface VbeHost {
  /** Zeroes the first `bytes` of video memory. */
  clear(bytes: number): void;
}

export class Vbe {
  index = 0;
  /** Published: VBE_* registers as they are in force. */
  readonly regs: Uint16Array;
  private readonly vramBytes: number;
  private readonly host: VbeHost;

  constructor(regs: Uint16Array, vramBytes: number, host: VbeHost) {
    this.regs = regs;
    this.vramBytes = vramBytes;
    this.host = host;
  }

  get enabled(): boolean {
    return (this.regs[VBE_ENABLE]! & VBE_ENABLED) !== 0;
  }

  /** A packed-pixel mode is on: memory is linear whatever the VGA registers say. */
  get packed(): boolean {
    return this.enabled && this.regs[VBE_BPP]! !== 4;
  }

  get eightBitDac(): boolean {
    return (this.regs[VBE_ENABLE]! & VBE_8BIT_DAC) !== 0;
  }

  /** Where the A0000 window begins in video memory. */
  get bankOffset(): number {
    return this.regs[VBE_BANK]! * 0x10000;
  }

  readData(): number {
    if (this.index === VBE_VIDEO_MEMORY_64K) return this.vramBytes >>> 16;
    if (this.index >= VBE_VIDEO_MEMORY_64K) return 0;
    if (this.regs[VBE_ENABLE]! & VBE_GETCAPS) {
      if (this.index === VBE_XRES) return VBE_MAX_WIDTH;
      if (this.index === VBE_YRES) return VBE_MAX_HEIGHT;
      if (this.index === VBE_BPP) return VBE_MAX_BPP;
    }
    return this.regs[this.index]!;
  }

  writeData(value: number): void {
    const { regs } = this;
    switch (this.index) {
      case VBE_ID:
        if (value >= ID_FIRST && value <= ID_LAST) regs[VBE_ID] = value;
        break;
      case VBE_XRES:
      case VBE_YRES:
      case VBE_BPP:
      case VBE_VIRT_WIDTH:
      case VBE_X_OFFSET:
      case VBE_Y_OFFSET:
        regs[this.index] = value;
        this.settle();
        break;
      case VBE_BANK:
        regs[VBE_BANK] = this.legalBank(value);
        break;
      case VBE_ENABLE:
        this.enable(value);
        break;
    }
  }

  reset(): void {
    this.index = 0;
    this.regs.fill(0);
    this.regs[VBE_ID] = ID_LAST;
  }

  save(): StateValue {
    return { index: this.index, regs: Array.from(this.regs) };
  }

  restore(state: StateReader): void {
    this.index = state.number('index', 0, 0xffff) & 0xffff;
    const regs = state.numbers('regs', VBE_REGS);
    this.regs.fill(0);
    for (const [i, value] of regs.entries()) this.regs[i] = value;
    this.settle();
  }

  private enable(value: number): void {
    const { regs } = this;
    const turnedOn = (value & VBE_ENABLED) !== 0 && !this.enabled;
    regs[VBE_ENABLE] = value & 0xff;
    if (turnedOn) {
      regs[VBE_VIRT_WIDTH] = 0;
      regs[VBE_X_OFFSET] = 0;
      regs[VBE_Y_OFFSET] = 0;
      this.settle();
      if (!(value & VBE_NOCLEARMEM))
        this.host.clear(Math.min(this.vramBytes, this.pitch() * regs[VBE_YRES]! * (regs[VBE_BPP] === 4 ? 4 : 1)));
    } else if (!(value & VBE_ENABLED)) regs[VBE_BANK] = 0;
  }

  /** Bytes of a line; with 4 bits a pixel, of one plane. */
  private pitch(): number {
    const bits = this.regs[VBE_BPP] === 4 ? 1 : storedBits(this.regs[VBE_BPP]!);
    return (this.regs[VBE_VIRT_WIDTH]! * bits) >>> 3;
  }

  /** Makes the registers describe a picture that lies inside video memory. */
  private settle(): void {
    const { regs } = this;
    regs[VBE_BANK] = this.legalBank(regs[VBE_BANK]!);
    if (!this.enabled) return;
    if (!DEPTHS.includes(regs[VBE_BPP]!)) regs[VBE_BPP] = 8;
    regs[VBE_XRES] = Math.max(8, Math.min(VBE_MAX_WIDTH, regs[VBE_XRES]!) & ~7);
    regs[VBE_VIRT_WIDTH] = Math.max(regs[VBE_XRES]!, Math.min(0x3ff8, regs[VBE_VIRT_WIDTH]!) & ~7);
    const memory = regs[VBE_BPP] === 4 ? this.vramBytes >>> 2 : this.vramBytes;
    let lines = Math.floor(memory / this.pitch());
    if (lines === 0) {
      regs[VBE_VIRT_WIDTH] = regs[VBE_XRES]!;
      lines = Math.floor(memory / this.pitch());
    }
    regs[VBE_YRES] = Math.max(1, Math.min(VBE_MAX_HEIGHT, lines, regs[VBE_YRES]!));
    regs[VBE_VIRT_HEIGHT] = Math.min(0xffff, lines);
    regs[VBE_X_OFFSET] = Math.min(regs[VBE_X_OFFSET]!, regs[VBE_VIRT_WIDTH]! - regs[VBE_XRES]!);
    regs[VBE_Y_OFFSET] = Math.min(regs[VBE_Y_OFFSET]!, lines - regs[VBE_YRES]!);
  }

  private legalBank(value: number): number {
    // With four planes the window moves over one plane, a quarter of the memory.
    const banks = Math.max(1, (this.regs[VBE_BPP] === 4 ? this.vramBytes >>> 2 : this.vramBytes) >>> 16);
    return value % banks;
  }
}
