/** VGA video DAC with its 256-entry palette, ports 3C6-3C9. Spec: IBM PS/2 Video Subsystem Technical Reference, "Video Digital-to-Analog Converter". */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { PALETTE_BYTES, SINGLE_PEL_MASK } from './displayregs.ts';

/** Answers of the state register 3C7. */
const STATE_WRITE = 0;
const STATE_READ = 3;

export class Dac {
  /** Components are 8 bits wide (VBE_8BIT_DAC). */
  eightBit = false;
  readonly palette: Uint8Array;
  private readonly single: Uint8Array;
  private writeIndex = 0;
  private readIndex = 0;
  /** 0 red, 1 green, 2 blue comes next. */
  private component = 0;
  private reading = false;
  /** Red and green wait for blue: the entry changes as a whole. */
  private readonly pending = new Uint8Array(2);

  constructor(palette: Uint8Array, single: Uint8Array) {
    this.palette = palette;
    this.single = single;
  }

  get mask(): number {
    return this.single[SINGLE_PEL_MASK]!;
  }

  set mask(value: number) {
    this.single[SINGLE_PEL_MASK] = value;
  }

  get state(): number {
    return this.reading ? STATE_READ : STATE_WRITE;
  }

  get index(): number {
    return this.writeIndex;
  }

  startRead(index: number): void {
    this.readIndex = index;
    // The chip prefetches: the write index is already one ahead.
    this.writeIndex = (index + 1) & 0xff;
    this.component = 0;
    this.reading = true;
  }

  startWrite(index: number): void {
    this.writeIndex = index;
    this.component = 0;
    this.reading = false;
  }

  readData(): number {
    const value = this.palette[this.readIndex * 3 + this.component]!;
    if (++this.component === 3) {
      this.component = 0;
      this.readIndex = (this.readIndex + 1) & 0xff;
      this.writeIndex = (this.readIndex + 1) & 0xff;
    }
    return value;
  }

  writeData(data: number): void {
    const value = this.eightBit ? data : data & 0x3f;
    if (this.component < 2) {
      this.pending[this.component++] = value;
      return;
    }
    const at = this.writeIndex * 3;
    this.palette[at] = this.pending[0]!;
    this.palette[at + 1] = this.pending[1]!;
    this.palette[at + 2] = value;
    this.component = 0;
    this.writeIndex = (this.writeIndex + 1) & 0xff;
  }

  reset(): void {
    this.mask = 0xff;
    this.eightBit = false;
    this.writeIndex = 0;
    this.readIndex = 0;
    this.component = 0;
    this.reading = false;
    this.pending.fill(0);
    this.palette.fill(0);
  }

  save(): StateValue {
    return {
      mask: this.mask,
      eightBit: this.eightBit,
      writeIndex: this.writeIndex,
      readIndex: this.readIndex,
      component: this.component,
      reading: this.reading,
      pending: this.pending.slice(),
      palette: this.palette.slice(),
    };
  }

  restore(state: StateReader): void {
    this.mask = state.byte('mask');
    this.eightBit = state.boolean('eightBit');
    this.writeIndex = state.byte('writeIndex');
    this.readIndex = state.byte('readIndex');
    this.component = Math.trunc(state.number('component', 0, 2));
    this.reading = state.boolean('reading');
    this.pending.set(state.bytes('pending', 2));
    this.palette.set(state.bytes('palette', PALETTE_BYTES));
  }
}
