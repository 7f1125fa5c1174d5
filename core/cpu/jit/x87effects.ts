/** What x87 instructions do with the register stack (SDM volume 1, 8.1.2 and volume 2; opcode map in appendix A.5). */
import type { Insn } from './decode.ts';

export interface Effect {
  /** ST(i) that must not be empty, as bits; else the interpreter deals with the stack fault. */
  valid: number;
  /** The register below the top must be empty. */
  room: boolean;
  /** How far TOP moves up: -1 pushes, 1 pops, 2 pops twice. */
  move: -1 | 0 | 1 | 2;
  /** TOP moves, but nothing is pushed or popped: FINCSTP, FDECSTP. */
  turns: boolean;
  /** ST(i), as counted before, that the instruction writes, as bits. A pushed register is bit 7. */
  writes: number;
  /** ST(i) marked empty besides popped ones: FFREE. */
  frees: number;
  /** Translated; otherwise executed by the interpreter inside the region. */
  own: boolean;
}

const effect = (e: Partial<Effect>): Effect => ({ valid: 0, room: false, move: 0, turns: false, writes: 0, frees: 0, own: true, ...e });
const ST0 = 1;
const PUSHED = 0x80;
const NOTHING = effect({});
const PUSH = effect({ room: true, move: -1, writes: PUSHED });
const UNARY = effect({ valid: ST0, writes: ST0 });
const READ = effect({ valid: ST0 });
const STORE = effect({ valid: ST0 });
const STORE_POP = effect({ valid: ST0, move: 1 });
const INTERPRETED = { own: false };

function memoryEffect(insn: Insn): Effect | undefined {
  const reg = insn.reg & 7;
  if (!(insn.op & 1)) return reg === 2 ? READ : reg === 3 ? effect({ valid: ST0, move: 1 }) : UNARY;
  switch (((insn.op & 6) << 2) | reg) {
    case 0o00: // FLD m32
    case 0o10: // FILD m32
    case 0o15: // FLD m80
    case 0o20: // FLD m64
    case 0o30: // FILD m16
    case 0o35: // FILD m64
      return PUSH;
    case 0o34: // FBLD
      return { ...PUSH, ...INTERPRETED };
    case 0o02: // FST m32
    case 0o12: // FIST m32
    case 0o22: // FST m64
    case 0o32: // FIST m16
      return STORE;
    case 0o03: // FSTP m32
    case 0o11: // FISTTP m32
    case 0o13: // FISTP m32
    case 0o17: // FSTP m80
    case 0o21: // FISTTP m64
    case 0o23: // FSTP m64
    case 0o31: // FISTTP m16
    case 0o33: // FISTP m16
    case 0o37: // FISTP m64
      return STORE_POP;
    case 0o36: // FBSTP
      return { ...STORE_POP, ...INTERPRETED };
    case 0o05: // FLDCW
    case 0o07: // FNSTCW
    case 0o27: // FNSTSW m16
      return NOTHING;
  }
  // FLDENV, FNSTENV, FRSTOR, FNSAVE and what is undefined end a region.
  return undefined;
}

/** D9 E0..FF. */
function unaryEffect(modrm: number): Effect | undefined {
  switch (modrm) {
    case 0xe0: // FCHS
    case 0xe1: // FABS
    case 0xfa: // FSQRT
    case 0xfc: // FRNDINT
      return UNARY;
    case 0xe4: // FTST
      return READ;
    case 0xe5: // FXAM
      return { ...NOTHING, ...INTERPRETED };
    case 0xf0: // F2XM1
    case 0xfe: // FSIN
    case 0xff: // FCOS
      return { ...UNARY, ...INTERPRETED };
    case 0xf1: // FYL2X
    case 0xf3: // FPATAN
    case 0xf9: // FYL2XP1
      return effect({ valid: 3, move: 1, writes: 2, own: false });
    case 0xf5: // FPREM1
    case 0xf8: // FPREM
      return effect({ valid: 3, writes: ST0, own: false });
    case 0xfd: // FSCALE
      return effect({ valid: 3, writes: ST0 });
    case 0xf2: // FPTAN
    case 0xf4: // FXTRACT
    case 0xfb: // FSINCOS
      return effect({ valid: ST0, room: true, move: -1, writes: ST0 | PUSHED, own: false });
    case 0xf6: // FDECSTP
      return effect({ move: -1, turns: true });
    case 0xf7: // FINCSTP
      return effect({ move: 1, turns: true });
  }
  return modrm >= 0xe8 && modrm <= 0xee ? PUSH : undefined;
}

function registerEffect(insn: Insn): Effect | undefined {
  const i = insn.rm & 7;
  const reg = insn.reg & 7;
  const both = ST0 | (1 << i);
  const esc = insn.op & 7;
  switch (esc) {
    case 0:
      return effect({ valid: both, writes: reg === 2 || reg === 3 ? 0 : ST0, move: reg === 3 ? 1 : 0 });
    case 1:
      if (reg === 0) return effect({ valid: 1 << i, room: true, move: -1, writes: PUSHED });
      if (reg === 1) return effect({ valid: both, writes: both });
      if (reg === 2) return i === 0 ? NOTHING : undefined;
      if (reg === 3) return effect({ valid: ST0, writes: 1 << i, move: 1 });
      return unaryEffect(0xc0 | (reg << 3) | i);
    case 2:
      if (reg < 4) return effect({ valid: both, writes: ST0 });
      return reg === 5 && i === 1 ? effect({ valid: 3, move: 2 }) : undefined;
    case 3:
      if (reg < 4) return effect({ valid: both, writes: ST0 });
      if (reg === 5 || reg === 6) return effect({ valid: both });
      return reg === 4 && (i < 3 || i === 4) ? NOTHING : undefined;
    case 4:
      return effect({ valid: both, writes: reg === 2 || reg === 3 ? 0 : 1 << i, move: reg === 3 ? 1 : 0 });
    case 5:
      if (reg === 0) return effect({ frees: 1 << i });
      if (reg === 1) return effect({ valid: both, writes: both });
      if (reg < 4) return effect({ valid: ST0, writes: 1 << i, move: reg === 3 ? 1 : 0 });
      return reg < 6 ? effect({ valid: both, move: reg === 5 ? 1 : 0 }) : undefined;
    case 6:
      if (reg === 2) return effect({ valid: both, move: 1 });
      if (reg === 3) return i === 1 ? effect({ valid: 3, move: 2 }) : undefined;
      return effect({ valid: both, writes: 1 << i, move: 1 });
    default:
      if (reg === 0) return effect({ frees: (1 << i) | ST0, move: 1 });
      if (reg === 1) return effect({ valid: both, writes: both });
      if (reg < 4) return effect({ valid: ST0, writes: 1 << i, move: 1 });
      if (reg === 4) return i === 0 ? NOTHING : undefined;
      return reg < 7 ? effect({ valid: both, move: 1 }) : undefined;
  }
}

const FWAIT = 0x9b;
export const isX87 = (insn: Insn): boolean => (insn.op >= 0xd8 && insn.op <= 0xdf) || insn.op === FWAIT;

/** Undefined: not in a region. */
export function x87Effect(insn: Insn): Effect | undefined {
  if (insn.lock) return undefined;
  if (insn.op === FWAIT) return NOTHING;
  return insn.memory ? memoryEffect(insn) : registerEffect(insn);
}
