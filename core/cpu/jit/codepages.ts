/**
 * The pages that a region may be made from: the page of its entry and others at fixed distances from it in linear space. Offsets count from byte 0
 * of the entry's page and may be negative.
 */
import { type CodeMode, decodeInsn, type Insn } from './decode.ts';

const PAGE = 4096;
/** Longest instruction (SDM volume 2, 2.3.11). */
const MAX_LENGTH = 15;

export interface CodePage {
  /** Distance from the entry's page in linear space, in pages. */
  delta: number;
  /** Byte of the shared memory where it begins. */
  host: number;
  /** A copy. */
  bytes: Uint8Array;
  /**
   * 512 bytes, a bit for each instruction that control came to by a jump, call or return, and as many for the conditional branches that were once not taken; absent when that is
   * not known.
   */
  reached?: Uint8Array;
}

export class CodePages {
  /** The first one is the entry's. */
  readonly list: readonly CodePage[];

  constructor(list: readonly CodePage[]) {
    this.list = list;
  }

  /** Number in the list of the page that holds this offset, -1 when there is none. */
  numberOf(offset: number): number {
    const delta = offset >> 12;
    for (let i = 0; i < this.list.length; i++) if (this.list[i]!.delta === delta) return i;
    return -1;
  }

  has(offset: number): boolean {
    return this.numberOf(offset) >= 0;
  }

  /** Control may have come to `offset` by a jump, call or return. */
  reached(offset: number): boolean {
    return this.noted(offset, 0);
  }

  /** The conditional branch at `offset` may have been not taken. */
  fell(offset: number): boolean {
    return this.noted(offset, PAGE / 8);
  }

  private noted(offset: number, from: number): boolean {
    const reached = this.list[this.numberOf(offset)]?.reached;
    const at = offset & (PAGE - 1);
    return !reached || (reached[from + (at >> 3)]! & (1 << (at & 7))) !== 0;
  }

  /** The instruction at `offset`; undefined when it is none that the decoder knows, or not all of its bytes are there. */
  decode(offset: number, mode: CodeMode): Insn | undefined {
    const first = this.numberOf(offset);
    if (first < 0) return undefined;
    const { bytes } = this.list[first]!;
    const at = offset & (PAGE - 1);
    const insn = decodeInsn(bytes, at, mode);
    if (insn) return moved(insn, offset - at);
    const next = this.numberOf(offset - at + PAGE);
    if (at <= PAGE - MAX_LENGTH || next < 0) return undefined;
    const both = new Uint8Array(2 * MAX_LENGTH);
    both.set(bytes.subarray(at));
    both.set(this.list[next]!.bytes.subarray(0, MAX_LENGTH), PAGE - at);
    const across = decodeInsn(both, 0, mode);
    return across && moved(across, offset);
  }

  /** The pages beside the entry's that hold bytes of the instruction, as bits of their numbers. */
  beside(insn: Insn): number {
    return ((1 << this.numberOf(insn.at)) | (1 << this.numberOf(insn.next - 1))) & ~1;
  }
}

function moved(insn: Insn, by: number): Insn {
  insn.at += by;
  insn.next += by;
  return insn;
}

/** The bytes of the instruction lie in two pages. */
export const crosses = (insn: Insn): boolean => insn.at >> 12 !== (insn.next - 1) >> 12;
