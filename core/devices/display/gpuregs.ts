/**
 * What a VirtIO display shows, in shared memory behind the VGA's registers (DISPLAY_REGS_BASE + 1000h), for the scan-out on another thread. A sequence
 * counter as the VGA's: odd while a write is under way.
 */
import { DISPLAY_REGS_BASE } from '../../memory/layout.ts';

const BLOCK_AT = DISPLAY_REGS_BASE + 0x1000;
/** Pixels of the cursor, 64 x 64 at most. */
const CURSOR_AT = DISPLAY_REGS_BASE + 0x2000;
export const CURSOR_SIDE = 64;

// Words of the block.
const SEQUENCE = 0;
const FIRST = 1;

/** The VGA's picture is shown; nothing is (dark, at the size it had); that of a resource. */
export const GPU_OFF = 0;
export const GPU_DARK = 1;
export const GPU_SHOWN = 2;

/** Numbers of the block, in their order. */
const FIELDS = [
  'state',
  /** The guest's driver uses it: it can be told a size. */
  'driven',
  'width',
  'height',
  /** Byte offset in the shared memory of the pixel at the top left, and bytes from line to line. */
  'start',
  'pitch',
  /** Number of VIRTIO_GPU_FORMAT_*. */
  'format',
  /** Another one: the whole picture is to be drawn again. */
  'epoch',
  'cursorShown',
  /** Place of the cursor's top left corner in the picture; may lie outside. */
  'cursorX',
  'cursorY',
  'cursorWidth',
  'cursorHeight',
  /** Another one: the cursor's pixels are other ones. */
  'cursorSerial',
] as const;

export type GpuFields = { [F in (typeof FIELDS)[number]]: number };

/** The device's side. */
export class PublishedGpu {
  private readonly words: Int32Array;
  private readonly cursor: Uint32Array;

  constructor(memory: WebAssembly.Memory) {
    this.words = new Int32Array(memory.buffer, BLOCK_AT, FIRST + FIELDS.length);
    this.cursor = new Uint32Array(memory.buffer, CURSOR_AT, CURSOR_SIDE * CURSOR_SIDE);
  }

  /** `cursor`: pixels 0xAARRGGBB, colours multiplied by alpha, `cursorWidth` a line; looked at when `cursorSerial` is another one. */
  publish(fields: Readonly<GpuFields>, cursor: Uint32Array): void {
    Atomics.add(this.words, SEQUENCE, 1);
    if (this.words[FIRST + FIELDS.indexOf('cursorSerial')] !== fields.cursorSerial) this.cursor.set(cursor);
    FIELDS.forEach((name, index) => {
      this.words[FIRST + index] = fields[name];
    });
    Atomics.add(this.words, SEQUENCE, 1);
  }
}

/** Any other thread's side. */
export class GpuReader {
  readonly fields = Object.fromEntries(FIELDS.map((name) => [name, 0])) as GpuFields;
  readonly cursor = new Uint32Array(CURSOR_SIDE * CURSOR_SIDE);
  private readonly words: Int32Array;
  private readonly shared: Uint32Array;
  private seen = -1;

  constructor(memory: WebAssembly.Memory) {
    this.words = new Int32Array(memory.buffer, BLOCK_AT, FIRST + FIELDS.length);
    this.shared = new Uint32Array(memory.buffer, CURSOR_AT, CURSOR_SIDE * CURSOR_SIDE);
  }

  /** True when something was published since the last call. */
  refresh(): boolean {
    if (Atomics.load(this.words, SEQUENCE) === this.seen) return false;
    const serial = this.fields.cursorSerial;
    // A machine thread that was stopped inside a write would keep the counter odd: after some tries take what is there.
    for (let attempt = 0; attempt < 100; attempt++) {
      const before = Atomics.load(this.words, SEQUENCE);
      FIELDS.forEach((name, index) => {
        this.fields[name] = this.words[FIRST + index]!;
      });
      if (this.fields.cursorSerial !== serial) this.cursor.set(this.shared);
      this.seen = before;
      if ((before & 1) === 0 && Atomics.load(this.words, SEQUENCE) === before) break;
    }
    this.fields.start >>>= 0;
    return true;
  }
}
