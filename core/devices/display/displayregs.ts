/**
 * Registers of the VGA in shared memory (DISPLAY_REGS_BASE). The register files of the chip lie here themselves, so that publishing costs
 * nothing but the sequence counter: it is odd while a write is under way, and a reader that saw it change reads again.
 */
import { DISPLAY_REGS_BASE } from '../../memory/layout.ts';

/** u32: sequence counter. */
const SEQUENCE = 0x00;
/** u32: bytes of video memory the chip uses; 0 while there is no chip. */
const VRAM_BYTES = 0x04;
const MISC_OUTPUT = 0x10;
/** Attribute index register: bit 5 lets the palette drive the screen. */
const ATTRIBUTE_INDEX = 0x11;
const PEL_MASK = 0x12;
const SEQUENCER = 0x20;
const GRAPHICS = 0x40;
const ATTRIBUTE = 0x60;
const CRTC = 0x80;
/** u16 each: the Bochs VBE registers. */
const VBE = 0xc0;
/** 256 red, green, blue triples as the guest wrote them: 6 bits each, or 8 with VBE_8BIT_DAC. */
const PALETTE = 0x400;

export const SEQUENCER_REGS = 8;
export const GRAPHICS_REGS = 16;
export const ATTRIBUTE_REGS = 32;
export const CRTC_REGS = 0x19;
export const VBE_REGS = 16;
export const PALETTE_BYTES = 768;
const BLOCK_BYTES = PALETTE + PALETTE_BYTES;

/** Places of `single`: registers that belong to no register file. */
export const SINGLE_MISC = 0;
export const SINGLE_ATTRIBUTE_INDEX = 1;
export const SINGLE_PEL_MASK = 2;
const SINGLE_COUNT = 3;

export interface DisplayRegisters {
  readonly vramBytes: number;
  /** Indexed by SINGLE_*. */
  readonly single: Uint8Array;
  readonly sequencer: Uint8Array;
  readonly graphics: Uint8Array;
  readonly attribute: Uint8Array;
  readonly crtc: Uint8Array;
  readonly vbe: Uint16Array;
  readonly palette: Uint8Array;
}

function views(buffer: ArrayBufferLike, base: number): Omit<DisplayRegisters, 'vramBytes'> {
  return {
    single: new Uint8Array(buffer, base + MISC_OUTPUT, SINGLE_COUNT),
    sequencer: new Uint8Array(buffer, base + SEQUENCER, SEQUENCER_REGS),
    graphics: new Uint8Array(buffer, base + GRAPHICS, GRAPHICS_REGS),
    attribute: new Uint8Array(buffer, base + ATTRIBUTE, ATTRIBUTE_REGS),
    crtc: new Uint8Array(buffer, base + CRTC, CRTC_REGS),
    vbe: new Uint16Array(buffer, base + VBE, VBE_REGS),
    palette: new Uint8Array(buffer, base + PALETTE, PALETTE_BYTES),
  };
}

// Both orders of index and place must agree.
if (ATTRIBUTE_INDEX !== MISC_OUTPUT + SINGLE_ATTRIBUTE_INDEX || PEL_MASK !== MISC_OUTPUT + SINGLE_PEL_MASK)
  throw new Error('displayregs layout');

/** The chip's side: live register files. Changes go between `begin` and `end`. */
export class PublishedRegisters implements DisplayRegisters {
  readonly vramBytes: number;
  readonly single: Uint8Array;
  readonly sequencer: Uint8Array;
  readonly graphics: Uint8Array;
  readonly attribute: Uint8Array;
  readonly crtc: Uint8Array;
  readonly vbe: Uint16Array;
  readonly palette: Uint8Array;
  private readonly words: Int32Array;

  constructor(memory: WebAssembly.Memory, vramBytes: number) {
    const parts = views(memory.buffer, DISPLAY_REGS_BASE);
    this.vramBytes = vramBytes;
    this.single = parts.single;
    this.sequencer = parts.sequencer;
    this.graphics = parts.graphics;
    this.attribute = parts.attribute;
    this.crtc = parts.crtc;
    this.vbe = parts.vbe;
    this.palette = parts.palette;
    this.words = new Int32Array(memory.buffer, DISPLAY_REGS_BASE, BLOCK_BYTES / 4);
    this.begin();
    this.words[VRAM_BYTES / 4] = vramBytes;
    this.end();
  }

  begin(): void {
    Atomics.add(this.words, SEQUENCE / 4, 1);
  }

  end(): void {
    Atomics.add(this.words, SEQUENCE / 4, 1);
  }
}

/** Any other thread's side: a private copy of the registers, brought up to date by `refresh`. */
export class RegisterReader implements DisplayRegisters {
  readonly single: Uint8Array;
  readonly sequencer: Uint8Array;
  readonly graphics: Uint8Array;
  readonly attribute: Uint8Array;
  readonly crtc: Uint8Array;
  readonly vbe: Uint16Array;
  readonly palette: Uint8Array;
  private readonly copy = new Int32Array(BLOCK_BYTES / 4);
  private readonly shared: Int32Array;
  private seen = -1;

  constructor(memory: WebAssembly.Memory) {
    this.shared = new Int32Array(memory.buffer, DISPLAY_REGS_BASE, BLOCK_BYTES / 4);
    const parts = views(this.copy.buffer, 0);
    this.single = parts.single;
    this.sequencer = parts.sequencer;
    this.graphics = parts.graphics;
    this.attribute = parts.attribute;
    this.crtc = parts.crtc;
    this.vbe = parts.vbe;
    this.palette = parts.palette;
  }

  get vramBytes(): number {
    return this.copy[VRAM_BYTES / 4]!;
  }

  /** True when a register was written since the last call. */
  refresh(): boolean {
    if (Atomics.load(this.shared, SEQUENCE / 4) === this.seen) return false;
    // A machine thread that was stopped inside a write would keep the counter odd: after some tries take what is there.
    for (let attempt = 0; attempt < 100; attempt++) {
      const before = Atomics.load(this.shared, SEQUENCE / 4);
      this.copy.set(this.shared);
      this.seen = before;
      if ((before & 1) === 0 && Atomics.load(this.shared, SEQUENCE / 4) === before) break;
    }
    return true;
  }
}
