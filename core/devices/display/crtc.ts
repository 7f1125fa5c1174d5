/** VGA CRT controller, ports 3B4/3B5 or 3D4/3D5. Spec: IBM PS/2 Video Subsystem Technical Reference, "CRT Controller Registers". */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { CRTC_REGS } from './displayregs.ts';

export const CR_HORIZONTAL_TOTAL = 0x00;
export const CR_DISPLAY_END = 0x01;
export const CR_VERTICAL_TOTAL = 0x06;
export const CR_OVERFLOW = 0x07;
export const CR_PRESET_ROW_SCAN = 0x08;
export const CR_MAX_SCAN_LINE = 0x09;
export const CR_CURSOR_START = 0x0a;
export const CR_CURSOR_END = 0x0b;
export const CR_START_HIGH = 0x0c;
export const CR_START_LOW = 0x0d;
export const CR_CURSOR_HIGH = 0x0e;
export const CR_CURSOR_LOW = 0x0f;
export const CR_RETRACE_START = 0x10;
export const CR_RETRACE_END = 0x11;
export const CR_VERTICAL_DISPLAY_END = 0x12;
export const CR_OFFSET = 0x13;
export const CR_UNDERLINE = 0x14;
export const CR_MODE_CONTROL = 0x17;
export const CR_LINE_COMPARE = 0x18;

/** Maximum scan line: every line twice (200-line modes). */
export const SCAN_DOUBLE = 0x80;
export const CURSOR_OFF = 0x20;
/** Vertical retrace end: registers 0-7 are read-only. */
const RETRACE_PROTECT = 0x80;
/** Overflow bit 4 (line compare) stays writable while protected. */
const OVERFLOW_LINE_COMPARE = 0x10;
/** Mode control: row scan bits 0 and 1 go out as they are instead of replacing address bits 13 and 14. */
export const MODE_NO_ROW_SCAN_A13 = 0x01;
export const MODE_NO_ROW_SCAN_A14 = 0x02;
/** Mode control: the line counter counts every second line. */
export const MODE_HALVE_LINES = 0x04;
export const MODE_BYTE = 0x40;
/** Mode control: 0 holds the retrace signals, which darkens the screen. */
export const MODE_RETRACE_ENABLE = 0x80;

/** Vertical display end: lines shown, minus one. */
export function displayEnd(crtc: Uint8Array): number {
  return crtc[CR_VERTICAL_DISPLAY_END]! | ((crtc[CR_OVERFLOW]! & 0x02) << 7) | ((crtc[CR_OVERFLOW]! & 0x40) << 3);
}

export function verticalTotal(crtc: Uint8Array): number {
  return (crtc[CR_VERTICAL_TOTAL]! | ((crtc[CR_OVERFLOW]! & 0x01) << 8) | ((crtc[CR_OVERFLOW]! & 0x20) << 4)) + 2;
}

export function retraceStart(crtc: Uint8Array): number {
  return crtc[CR_RETRACE_START]! | ((crtc[CR_OVERFLOW]! & 0x04) << 6) | ((crtc[CR_OVERFLOW]! & 0x80) << 2);
}

/** Scan line after which the address counter starts again at 0. */
export function lineCompare(crtc: Uint8Array): number {
  return crtc[CR_LINE_COMPARE]! | ((crtc[CR_OVERFLOW]! & 0x10) << 4) | ((crtc[CR_MAX_SCAN_LINE]! & 0x40) << 3);
}

export class Crtc {
  index = 0;
  readonly regs: Uint8Array;

  constructor(regs: Uint8Array) {
    this.regs = regs;
  }

  readData(): number {
    return this.index < CRTC_REGS ? this.regs[this.index]! : 0xff;
  }

  writeData(value: number): void {
    const { index, regs } = this;
    if (index >= CRTC_REGS) return;
    if (index < 8 && (regs[CR_RETRACE_END]! & RETRACE_PROTECT) !== 0) {
      if (index === CR_OVERFLOW) regs[index] = (regs[index]! & ~OVERFLOW_LINE_COMPARE) | (value & OVERFLOW_LINE_COMPARE);
      return;
    }
    regs[index] = value;
  }

  reset(): void {
    this.index = 0;
    this.regs.fill(0);
  }

  save(): StateValue {
    return { index: this.index, regs: this.regs.slice() };
  }

  restore(state: StateReader): void {
    this.index = state.byte('index');
    this.regs.set(state.bytes('regs', CRTC_REGS));
  }
}
