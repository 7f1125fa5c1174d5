/** Field-by-field comparison of two records after the same instruction. */
import {
  FX_FCW,
  FX_FSW,
  FX_FTW,
  FX_MXCSR,
  FX_ST,
  FX_XMM,
  MEMORY_SIZE,
  R_EAX,
  R_ECX,
  R_EDX,
  R_EFLAGS,
  R_FX,
  R_MEMORY,
  R_TRAP,
} from './record.ts';

export interface Tolerance {
  ulp?: number;
  undefinedBits?: number;
  undefinedFlags?: number;
  ignoreMemory?: readonly (readonly [number, number])[];
  /** Relative error allowed per single in XMM0 (RCPPS, RSQRTPS). */
  relative?: number;
  /** Which results underflow is the processor's own affair: AMD's say so of others than Intel's, which the interpreter follows. */
  ownUnderflow?: boolean;
}

const UNDERFLOW = 0x10;
/** One of the two x87 status words has an underflow that the other has not; results then differ too, when it is not masked. */
export function differInUnderflow(got: DataView, want: DataView): boolean {
  return ((got.getUint16(R_FX + FX_FSW, true) ^ want.getUint16(R_FX + FX_FSW, true)) & UNDERFLOW) !== 0;
}

const hex = (v: number | bigint): string => v.toString(16);

function close(a: bigint, b: bigint, ulp: number): boolean {
  const d = a > b ? a - b : b - a;
  return d <= BigInt(ulp);
}

/** An 80-bit number as an integer that counts units in the last place across binades. */
function ordinal(view: DataView, at: number): bigint {
  const se = view.getUint16(at + 8, true);
  const sig = view.getBigUint64(at, true);
  const v = (BigInt(se & 0x7fff) << 63n) + (sig & ((1n << 63n) - 1n));
  return se & 0x8000 ? -v : v;
}

/** Empty when they agree, otherwise what differs: "field: got x, want y". */
export function differences(got: DataView, want: DataView, tolerance: Tolerance = {}): string[] {
  const out: string[] = [];
  const check = (name: string, a: number | bigint, b: number | bigint) => {
    if (a !== b) out.push(`${name}: got ${hex(a)}, want ${hex(b)}`);
  };
  check('trap', got.getUint32(R_TRAP, true), want.getUint32(R_TRAP, true));
  check('eax', got.getUint32(R_EAX, true), want.getUint32(R_EAX, true));
  check('ecx', got.getUint32(R_ECX, true), want.getUint32(R_ECX, true));
  check('edx', got.getUint32(R_EDX, true), want.getUint32(R_EDX, true));
  const flags = ~(tolerance.undefinedFlags ?? 0);
  check('eflags', got.getUint32(R_EFLAGS, true) & flags, want.getUint32(R_EFLAGS, true) & flags);
  check('fcw', got.getUint16(R_FX + FX_FCW, true), want.getUint16(R_FX + FX_FCW, true));
  const bits = ~(tolerance.undefinedBits ?? 0);
  check('fsw', got.getUint16(R_FX + FX_FSW, true) & bits, want.getUint16(R_FX + FX_FSW, true) & bits);
  check('tags', got.getUint8(R_FX + FX_FTW), want.getUint8(R_FX + FX_FTW));
  check('mxcsr', got.getUint32(R_FX + FX_MXCSR, true), want.getUint32(R_FX + FX_MXCSR, true));
  for (let i = 0; i < 8; i++) {
    const at = R_FX + FX_ST + i * 16;
    const a = ordinal(got, at);
    const b = ordinal(want, at);
    const exact =
      got.getUint16(at + 8, true) === want.getUint16(at + 8, true) && got.getBigUint64(at, true) === want.getBigUint64(at, true);
    if (!exact && !(tolerance.ulp && close(a, b, tolerance.ulp))) {
      const show = (v: DataView) => `${hex(v.getUint16(at + 8, true))}:${hex(v.getBigUint64(at, true))}`;
      out.push(`st${i}: got ${show(got)}, want ${show(want)}`);
    }
  }
  for (let i = 0; i < 8; i++) {
    const at = R_FX + FX_XMM + i * 16;
    if (i === 0 && tolerance.relative) {
      for (let k = 0; k < 16; k += 4) {
        const a = got.getFloat32(at + k, true);
        const b = want.getFloat32(at + k, true);
        const same = got.getUint32(at + k, true) === want.getUint32(at + k, true);
        if (!same && !(Math.abs(a - b) <= tolerance.relative * Math.abs(b))) out.push(`xmm0+${k}: got ${a}, want ${b}`);
      }
      continue;
    }
    for (const k of [0, 8]) check(`xmm${i}+${k}`, got.getBigUint64(at + k, true), want.getBigUint64(at + k, true));
  }
  for (let i = 0; i < MEMORY_SIZE; i++) {
    if (tolerance.ignoreMemory?.some(([from, to]) => i >= from && i < to)) continue;
    const a = got.getUint8(R_MEMORY + i);
    const b = want.getUint8(R_MEMORY + i);
    if (a !== b) {
      check(`memory+${i}`, a, b);
      break;
    }
  }
  return out;
}
