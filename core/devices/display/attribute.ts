/** VGA attribute controller, ports 3C0/3C1. Spec: IBM PS/2 Video Subsystem Technical Reference, "Attribute Controller Registers". */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { ATTRIBUTE_REGS, SINGLE_ATTRIBUTE_INDEX } from './displayregs.ts';

export const AR_MODE = 0x10;
export const AR_OVERSCAN = 0x11;
export const AR_PLANE_ENABLE = 0x12;
export const AR_PANNING = 0x13;
export const AR_COLOR_SELECT = 0x14;

export const ATTR_GRAPHICS = 0x01;
export const ATTR_MONO = 0x02;
/** Characters C0-DF repeat their eighth dot in the ninth. */
export const ATTR_LINE_GRAPHICS = 0x04;
export const ATTR_BLINK = 0x08;
/** Panning stops at the line compare. */
export const ATTR_PAN_STOPS = 0x20;
export const ATTR_256_COLORS = 0x40;
/** Palette bits 4 and 5 come from the colour select register. */
export const ATTR_P54_SELECT = 0x80;

/** Index register: the palette drives the screen; 0 darkens it and lets the guest change the palette. */
export const PALETTE_ADDRESS_SOURCE = 0x20;

const MASKS = [...new Array<number>(16).fill(0x3f), 0xef, 0xff, 0x3f, 0x0f, 0x0f, ...new Array<number>(11).fill(0)];

export class AttributeController {
  /** True when the next write to 3C0 is data. */
  expectsData = false;
  readonly regs: Uint8Array;
  /** Published with the index register in it. */
  private readonly single: Uint8Array;

  constructor(regs: Uint8Array, single: Uint8Array) {
    this.regs = regs;
    this.single = single;
  }

  get index(): number {
    return this.single[SINGLE_ATTRIBUTE_INDEX]!;
  }

  write(value: number): void {
    if (this.expectsData) this.regs[this.index & 0x1f] = value & MASKS[this.index & 0x1f]!;
    else this.single[SINGLE_ATTRIBUTE_INDEX] = value & 0x3f;
    this.expectsData = !this.expectsData;
  }

  readData(): number {
    return this.regs[this.index & 0x1f]!;
  }

  reset(): void {
    this.expectsData = false;
    this.single[SINGLE_ATTRIBUTE_INDEX] = 0;
    this.regs.fill(0);
  }

  save(): StateValue {
    return { index: this.index, expectsData: this.expectsData, regs: this.regs.slice() };
  }

  restore(state: StateReader): void {
    this.single[SINGLE_ATTRIBUTE_INDEX] = state.byte('index') & 0x3f;
    this.expectsData = state.boolean('expectsData');
    this.regs.set(state.bytes('regs', ATTRIBUTE_REGS).map((value, i) => value & MASKS[i]!));
  }
}
