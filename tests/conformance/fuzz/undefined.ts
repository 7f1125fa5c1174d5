/**
 * What x87 instructions leave undefined (SDM volume 1, 8.1.3): bits of the status word in the upper half of a mask that has bits of RFLAGS
 * (../flags.ts) in its low half. Where a result itself is undefined the fuzzer does not ask the host.
 */
import { CF, PF, ZF } from '../flags.ts';

const C0 = 0x100;
const C1 = 0x200;
const C2 = 0x400;
const C3 = 0x4000;
const x87 = (bits: number): number => (bits << 16) >>> 0;
const CODES = C0 | C2 | C3;
export const X87_CODES = x87(CODES | C1);

/** Condition codes that an x87 instruction (D8..DF and its modrm byte) leaves undefined. */
export function undefinedCodes(opcode: number, modrm: number): number {
  const reg = (modrm >> 3) & 7;
  const register = modrm >= 0xc0;
  // Comparisons, FXAM, FTST and remainders define all of them; so do FNINIT and what loads the status word.
  if ((opcode === 0xd8 || opcode === 0xdc || (!register && (opcode === 0xda || opcode === 0xde))) && (reg === 2 || reg === 3)) return 0;
  if (register && opcode === 0xde && modrm === 0xd9) return 0;
  if (register && opcode === 0xda && modrm === 0xe9) return 0;
  if (register && opcode === 0xdd && (reg === 4 || reg === 5)) return 0;
  if (opcode === 0xd9 && [0xe4, 0xe5, 0xf5, 0xf8].includes(modrm)) return 0;
  if (opcode === 0xdb && modrm === 0xe3) return 0;
  if (!register && ((opcode === 0xd9 && reg === 4) || (opcode === 0xdd && (reg === 4 || reg === 6)))) return 0;
  // FNSTSW, FNSTCW, FLDCW, FNSTENV and FNOP.
  if (!register && opcode === 0xd9 && reg >= 5) return x87(CODES | C1);
  if ((opcode === 0xdf && modrm === 0xe0) || (!register && opcode === 0xdd && reg === 7)) return x87(CODES | C1);
  if ((opcode === 0xd9 && modrm === 0xd0) || (opcode === 0xdb && modrm === 0xe2)) return x87(CODES | C1);
  if (register && ((opcode === 0xdd && reg === 0) || (opcode === 0xdf && reg === 0))) return x87(CODES | C1);
  return x87(CODES);
}

/** x87 instructions that read the condition codes (FNSTSW, FNSTENV, FNSAVE), or arithmetic flags (FCMOVcc). */
export const readsCodes = (opcode: number, modrm: number): boolean =>
  (opcode === 0xdf && modrm === 0xe0) ||
  (modrm < 0xc0 && ((opcode === 0xdd && ((modrm >> 3) & 7) >= 6) || (opcode === 0xd9 && ((modrm >> 3) & 7) === 6)));
export const readsFlags = (opcode: number, modrm: number): number =>
  modrm >= 0xc0 && (opcode === 0xda || opcode === 0xdb) && ((modrm >> 3) & 7) < 4 ? CF | ZF | PF : 0;
/** F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS: processors differ in the last bits. */
export const isTranscendental = (opcode: number, modrm: number): boolean =>
  opcode === 0xd9 && [0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff].includes(modrm);
