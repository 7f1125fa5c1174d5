/** VGA sequencer, ports 3C4/3C5. Spec: IBM PS/2 Video Subsystem Technical Reference, "Sequencer Registers". */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { SEQUENCER_REGS } from './displayregs.ts';

export const SEQ_CLOCKING = 1;
export const SEQ_MAP_MASK = 2;
export const SEQ_FONT_SELECT = 3;
export const SEQ_MEMORY_MODE = 4;

/** Clocking mode: 8 dots a character (else 9), dot clock halved, screen off. */
export const CLOCKING_8DOT = 0x01;
export const CLOCKING_HALF = 0x08;
export const CLOCKING_SCREEN_OFF = 0x20;
/** Memory mode: the low two address bits select the plane. */
export const MEMORY_CHAIN4 = 0x08;

/** Bits that exist, by register. */
const MASKS = [0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0];

export class Sequencer {
  index = 0;
  readonly regs: Uint8Array;

  constructor(regs: Uint8Array) {
    this.regs = regs;
  }

  get chain4(): boolean {
    return (this.regs[SEQ_MEMORY_MODE]! & MEMORY_CHAIN4) !== 0;
  }

  get mapMask(): number {
    return this.regs[SEQ_MAP_MASK]!;
  }

  readData(): number {
    return this.index < SEQUENCER_REGS ? this.regs[this.index]! : 0;
  }

  writeData(value: number): void {
    if (this.index < SEQUENCER_REGS) this.regs[this.index] = value & MASKS[this.index]!;
  }

  reset(): void {
    this.index = 0;
    this.regs.fill(0);
  }

  save(): StateValue {
    return { index: this.index, regs: this.regs.slice() };
  }

  restore(state: StateReader): void {
    this.index = state.byte('index') & 7;
    this.regs.set(state.bytes('regs', SEQUENCER_REGS).map((value, i) => value & MASKS[i]!));
  }
}
