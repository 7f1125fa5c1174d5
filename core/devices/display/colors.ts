/** Colour tables of the attribute controller and DAC as u32 0x00RRGGBB. */
import { AR_COLOR_SELECT, AR_MODE, AR_PLANE_ENABLE, ATTR_P54_SELECT } from './attribute.ts';
import { type DisplayRegisters, SINGLE_PEL_MASK } from './displayregs.ts';
import { VBE_8BIT_DAC, VBE_ENABLE } from './vbe.ts';

/** What the 256 pixel values of a packed mode look like. */
export function packedColors(regs: DisplayRegisters, into: Uint32Array): void {
  const { palette } = regs;
  const mask = regs.single[SINGLE_PEL_MASK]!;
  const wide = (regs.vbe[VBE_ENABLE]! & VBE_8BIT_DAC) !== 0;
  for (let value = 0; value < 256; value++) {
    const at = (value & mask) * 3;
    const red = component(palette[at]!, wide);
    into[value] = (red << 16) | (component(palette[at + 1]!, wide) << 8) | component(palette[at + 2]!, wide);
  }
}

/** What the 16 pixel values of text and planar modes look like; `packed` comes from packedColors. */
export function planarColors(regs: DisplayRegisters, packed: Uint32Array, into: Uint32Array): void {
  const { attribute } = regs;
  const select = attribute[AR_COLOR_SELECT]!;
  const enable = attribute[AR_PLANE_ENABLE]! & 0xf;
  for (let value = 0; value < 16; value++) {
    const entry = attribute[value & enable]!;
    const low = attribute[AR_MODE]! & ATTR_P54_SELECT ? (entry & 0x0f) | ((select & 0x03) << 4) : entry & 0x3f;
    into[value] = packed[((select & 0x0c) << 4) | low]!;
  }
}

function component(value: number, wide: boolean): number {
  return wide ? value : ((value & 0x3f) << 2) | ((value & 0x3f) >> 4);
}
