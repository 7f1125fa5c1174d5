/** Layout of a test record, shared with oracle.c, and the fields of the FXSAVE image inside it (SDM volume 1, 10.5.1). */
export const RECORD_SIZE = 512;
export const R_LENGTH = 15;
export const R_EAX = 16;
export const R_ECX = 20;
export const R_EDX = 24;
export const R_EFLAGS = 28;
export const R_TRAP = 32;
export const R_MEMORY = 64;
export const MEMORY_SIZE = 128;
export const R_FX = 192;
export const FX_SIZE = 288;
export const FX_FCW = 0;
export const FX_FSW = 2;
export const FX_FTW = 4;
export const FX_MXCSR = 24;
export const FX_ST = 32;
export const FX_XMM = 160;
/** No trap happened. */
export const NO_TRAP = 255;

/** Deterministic generator: a 32-bit xorshift with a multiply (xorshift*). */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0 || 1;
  }
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return Math.imul(x, 0x9e3779b1) >>> 0;
  }
  below(n: number): number {
    return Math.floor((this.next() / 4294967296) * n);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  big(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
