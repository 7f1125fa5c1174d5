/**
 * Where AMD's processors do otherwise than Intel's, which the interpreter follows. Found on a Zen 4; each rule says what it leaves out, so that an AMD host is asked
 * about all the rest.
 */
import type { Code } from './code.ts';
import * as L from './layout.ts';

const vectorOf = (record: DataView): number => record.getUint32(L.R_VECTOR, true);
const ripOf = (record: DataView): number => Number(record.getBigUint64(L.R_RIP, true));
const isMemoryFault = (vector: number): boolean => vector >= 12 && vector <= 14;
const LEGACY = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];

/** The bytes of the instruction at `rip` from its opcode on. */
function instruction(record: Uint8Array, code: Code, rip: number): Uint8Array {
  const second = rip >= code.at2 && rip < code.at2 + L.CODE2_SIZE;
  let at = second ? L.R_CODE2 + rip - code.at2 : L.R_CODE + rip - code.at;
  if (at < L.R_CODE || at >= L.R_DATA) return new Uint8Array(15);
  while (LEGACY.includes(record[at]!) || (code.roles.bits === 64 && record[at]! >> 4 === 4)) at++;
  return record.subarray(at, at + 15);
}

/** Opcode of map 0F 3A, also of a VEX instruction. */
function opcode3a(bytes: Uint8Array): { opcode: number; wide?: boolean } | undefined {
  if (bytes[0] === 0x0f && bytes[1] === 0x3a) return { opcode: bytes[2]! };
  return bytes[0] === 0xc4 && (bytes[1]! & 31) === 3 ? { opcode: bytes[3]!, wide: bytes[2]! >= 0x80 } : undefined;
}

/** #UD at AMD alone: PREFETCHW with a register; VPEXTRQ and VPINSRQ outside 64-bit mode, where Intel takes them for those of 32 bits. */
function isUndefinedThere(bytes: Uint8Array, bits: number): boolean {
  const { opcode, wide } = opcode3a(bytes) ?? {};
  return (bits !== 64 && wide === true && (opcode === 0x16 || opcode === 0x22)) || (isOf0f(bytes, 0x0d) && bytes[2]! >= 0xc0);
}

/** VPERMQ and VPERMPD without W: #UD at Intel alone. */
function isDefinedThere(bytes: Uint8Array): boolean {
  const { opcode, wide } = opcode3a(bytes) ?? {};
  return wide === false && opcode! < 2;
}

const isOf0f = (bytes: Uint8Array, ...opcodes: number[]): boolean => bytes[0] === 0x0f && opcodes.includes(bytes[1]!);
/** By the opcode's low three bits, the extensions that store a number: FST, FSTP, FIST, FISTP, FISTTP, FBSTP. */
const X87_STORES: Readonly<Record<number, readonly number[]>> = { 1: [2, 3], 3: [1, 2, 3, 7], 5: [1, 2, 3], 7: [1, 2, 3, 6, 7] };
const isX87Store = ([opcode, modrm]: Uint8Array): boolean =>
  opcode! >> 3 === 0x1b && modrm! < 0xc0 && (X87_STORES[opcode! & 7]?.includes((modrm! >> 3) & 7) ?? false);
const MXCSR_MM = 0x20000;

/**
 * `found` comes from one of the rules: `got` is the interpreter's end of the case, `want` that of an AMD host.
 * - A repetition of CMPS or SCAS that faults or traps: arithmetic flags need not be those of the last element that was compared.
 * - INT1: under a hypervisor the trap reports the instruction itself.
 * - Several reasons for a fault of one instruction, and accesses beyond 4 GiB, which are beyond the limit (SDM volume 3, 5.3 leaves it open).
 * - Stores of x87 and VCVTPS2PH: memory is checked before the exception of a number that forbids the store; the state of MMX is set when the store is
 *   done (APM volume 1, 5.12: with the execution of the instruction, as one), also where it is beyond 4 GiB. VCVTPS2PH that ends in another exception does not say
 *   that it is inexact.
 * - UD0 and UD1 are undefined before the rest of them is fetched, or found to be too long; MXCSR has a bit for operands that are not aligned.
 * - DPPS and DPPD: which of several NaNs comes out. LAR: bits 16 to 19, which Intel leaves undefined.
 */
export function isAmdsOwn(found: readonly string[], got: Uint8Array, want: Uint8Array, code: Code): boolean {
  const [a, b] = [new DataView(got.buffer, got.byteOffset), new DataView(want.buffer, want.byteOffset)];
  const [ours, theirs] = [vectorOf(a), vectorOf(b)];
  const at = instruction(want, code, ripOf(b));
  const only = (names: RegExp): boolean => found.every((line) => names.test(line));
  const compares = [0xa6, 0xa7, 0xae, 0xaf].includes(at[0]!);
  if (theirs === 6 && (isUndefinedThere(at, code.roles.bits) || ((ours === 13 || ours === 14) && isOf0f(at, 0xb9, 0xff)))) return true;
  if (ours === 6 && isDefinedThere(instruction(got, code, ripOf(a)))) return true;
  if (ours === 13 && (b.getUint32(L.R_FX + L.FX_MXCSR, true) & MXCSR_MM) !== 0) return true;
  if (theirs === 1 && only(at[0] === 0xf1 ? /^rip:/ : compares ? /^flags:/ : /^$/)) return true;
  if (theirs === 19 && opcode3a(at)?.opcode === 0x1d && only(/^mxcsr:/)) return true;
  if (isMemoryFault(theirs)) {
    const alike = isMemoryFault(ours) && ripOf(a) === ripOf(b);
    if (alike && only(compares ? /^(vector|error code|cr2|flags):/ : /^(vector|error code|cr2):/)) return true;
    if (isX87Store(at) || (ours === 19 && opcode3a(at)?.opcode === 0x1d)) return true;
    if (isOf0f(at, 0x7e, 0x7f, 0xe7, 0xf7) && only(alike ? /^(vector|error code|cr2|fsw|tags|st\d\+\d):/ : /^(fsw|tags|st\d\+\d):/))
      return true;
  }
  if (found.some((line) => /^(vector|rip):/.test(line))) return false;
  return code.places.some(({ address }) => {
    const bytes = instruction(want, code, address);
    return isOf0f(bytes, 2) || [0x40, 0x41].includes(opcode3a(bytes)?.opcode ?? 0);
  });
}
