/** What differs between two ends of the same case. */
import { disassemble } from '../../../core/cpu/x86/disassemble.ts';
import { ARITHMETIC, DF } from '../flags.ts';
import type { Code } from './code.ts';
import * as L from './layout.ts';

const hex = (v: number | bigint): string => v.toString(16);
/** Flags that are compared: arithmetic ones and DF, and what PUSHF and exceptions show: TF, RF, AC. */
const FLAGS = ARITHMETIC | DF | 0x100 | 0x10000 | 0x40000;
const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];

/** Undefined at the place where the case ended. */
export function unknownAt(code: Code, rip: number): number {
  const place = code.places.findIndex(({ address }) => address === rip);
  if (place < 0) return code.unknown;
  // A trap reports the instruction after it.
  return code.places[place]!.unknown;
}

function words(out: string[], name: string, got: DataView, want: DataView, at: number, size: number): void {
  for (let i = 0; i < size; i += 8) {
    const a = got.getBigUint64(at + i, true);
    const b = want.getBigUint64(at + i, true);
    if (a !== b) out.push(`${name}+${hex(i)}: ${hex(a)}, not ${hex(b)}`);
  }
}

/** The instruction at which the case ended. */
export function instructionAt(record: Uint8Array, code: Code): string {
  const rip = Number(new DataView(record.buffer, record.byteOffset).getBigUint64(L.R_RIP, true));
  const second = rip >= code.at2 && rip < code.at2 + L.CODE2_SIZE;
  const at = second ? L.R_CODE2 + rip - code.at2 : L.R_CODE + rip - code.at;
  const inside = at >= L.R_CODE && at < L.R_DATA;
  return inside ? disassemble(record.subarray(at, at + 15), BigInt(rip), code.roles.bits).text : '';
}

/** Changes memory as often as its count says. */
const REPETITION = /\brep\w* .*\b(movs|stos|ins)/;

/**
 * A repeated instruction that wrote over itself by the time `end`: whether it goes on as it was, or what it wrote is executed, depends on where it was
 * interrupted, by the end of a slice for one; and through another address than the code's nothing is promised at all (SDM volume 3, 9.1.3).
 */
export function repetitionOverwritten(start: Uint8Array, end: Uint8Array, code: Code): boolean {
  return code.places.some(({ address }) => {
    let at = address >= code.at2 && address < code.at2 + L.CODE2_SIZE ? L.R_CODE2 + address - code.at2 : L.R_CODE + address - code.at;
    // A REX prefix before others counts for nothing.
    while (code.roles.bits === 64 && start[at]! >> 4 === 4 && /^\(bad\)/.test(disassemble(start.subarray(at, at + 15), 0n, 64).text)) at++;
    const { text, length } = disassemble(start.subarray(at, at + 15), BigInt(address), code.roles.bits);
    return REPETITION.test(text) && Buffer.compare(start.subarray(at, at + length), end.subarray(at, at + length)) !== 0;
  });
}

/** Touch memory in several places: which of them faults first is the processor's own affair. */
const SEVERAL = /\b(cmps|enter|fn?save|fn?stenv|frstor|fldenv|fxsave|fxrstor|v?p?maskmov|vp?gather|popa|pusha)/;

/** Flags of what they convert are in MXCSR already when the host's store of the result faults (an erratum of many of Intel's processors). */
const FLAGS_FIRST = /\bvcvtps2ph\b.* PTR /;
/** Ten bytes are stored in two pieces; the host's first stays when the second faults (SDM volume 3, 9.1.1 allows it). */
const TWO_STORES = /\b(fstp +TBYTE|fbstp)/;

/** `got` with what `want` has in the 16 bytes below the page that the end of a store found missing. */
function withTornStore(got: Uint8Array, want: Uint8Array, code: Code, page: number): Uint8Array {
  const out = got.slice();
  const places = [[code.at, L.R_CODE, L.CODE_SIZE] as const, [code.at2, L.R_CODE2, L.CODE2_SIZE] as const];
  let at = L.R_DATA;
  const windows = L.WINDOWS.map(([address, size]) => [address, (at += size) - size, size] as const);
  for (const [address, offset, size] of [...places, ...windows])
    for (let k = 0; k < 16; k++) {
      const i = ((page - 16) >>> 0) + k - address;
      if (i >= 0 && i < size) out[offset + i] = want[offset + i]!;
    }
  return out;
}

/**
 * Empty when they agree. `host`: `want` is from the host's processor, which keeps other pointers of the last x87 instruction, and says of addresses
 * of its kernel that something is there.
 */
export function differences(ours: Uint8Array, want: Uint8Array, code: Code, host: boolean): string[] {
  if (Buffer.compare(ours, want) === 0) return [];
  const ended = host ? instructionAt(want, code) : '';
  const page = Number(new DataView(want.buffer, want.byteOffset).getBigUint64(L.R_CR2, true) & 0xffffffffn);
  const torn = TWO_STORES.test(ended) && (page & 0xfff) === 0;
  const got = torn ? withTornStore(ours, want, code, page) : ours;
  const a = new DataView(got.buffer, got.byteOffset, L.RECORD_SIZE);
  const b = new DataView(want.buffer, want.byteOffset, L.RECORD_SIZE);
  const out: string[] = [];
  const check = (name: string, x: number | bigint, y: number | bigint): void => {
    if (x !== y) out.push(`${name}: ${hex(x)}, not ${hex(y)}`);
  };
  const long = code.roles.bits === 64;
  const u32 = (v: DataView, at: number): number => v.getUint32(at, true);
  const vector = u32(b, L.R_VECTOR);
  let errorMask = 0xffffffff;
  // The guest's system is in the first 2 MiB; the host's says of its own addresses that something is there.
  const fault = b.getBigUint64(L.R_CR2, true);
  const memoryFault = (v: number): boolean => v >= 12 && v <= 14;
  const other = u32(a, L.R_VECTOR);
  // So is whether what begins below the end of the canonical addresses faults in its first page.
  const [at1, at2] = [fault, a.getBigUint64(L.R_CR2, true)];
  const atEnd = [at1, at2].some((v) => v >= 0x7fffffffffc0n && v < 0x800000000000n);
  const anyOrder = host && memoryFault(vector) && memoryFault(other) && (atEnd || SEVERAL.test(ended));
  if (host && vector === 14 && (fault < 0x200000n || fault >= 0x7ffffffff000n)) errorMask = ~1;
  if (!anyOrder) check('vector', u32(a, L.R_VECTOR), vector);
  if (!anyOrder) check('error code', (u32(a, L.R_ERROR) & errorMask) >>> 0, (u32(b, L.R_ERROR) & errorMask) >>> 0);
  if (!anyOrder) check('cr2', a.getBigUint64(L.R_CR2, true), b.getBigUint64(L.R_CR2, true));
  check('code mode', u32(a, L.R_MODE), u32(b, L.R_MODE));
  const rip = b.getBigUint64(L.R_RIP, true);
  check('rip', a.getBigUint64(L.R_RIP, true), rip);
  const unknown = unknownAt(code, Number(rip));
  // Processors set RF when a single step ends between two elements of a repeated string instruction (SDM volume 3, 18.3.1.1); ours does not.
  const mask = FLAGS & ~(unknown & ARITHMETIC) & (host && vector === 1 ? ~0x10000 : -1);
  check('flags', (u32(a, L.R_FLAGS) & mask) >>> 0, (u32(b, L.R_FLAGS) & mask) >>> 0);
  for (let r = 0; r < (long ? 16 : 8); r++) {
    const x = a.getBigUint64(L.R_GPR + r * 8, true);
    const y = b.getBigUint64(L.R_GPR + r * 8, true);
    // A POPA that faults leaves those behind that it had.
    if (anyOrder && /popa/.test(ended)) continue;
    if (long) check(REGISTERS[r]!, x, y);
    else check(REGISTERS[r]!, BigInt.asUintN(32, x), BigInt.asUintN(32, y));
  }
  // Returns from the host's system make 0 of null selectors with other privilege levels.
  const selector = (v: DataView, i: number): number =>
    v.getUint16(L.R_SELECTORS + i, true) < 4 ? 0 : v.getUint16(L.R_SELECTORS + i, true);
  for (const [i, name] of ['ds', 'es', 'fs', 'gs', 'ss'].entries()) check(name, selector(a, 2 * i), selector(b, 2 * i));
  check('fs base', a.getBigUint64(L.R_FS, true), b.getBigUint64(L.R_FS, true));
  check('gs base', a.getBigUint64(L.R_GS, true), b.getBigUint64(L.R_GS, true));
  const fx = (v: DataView, at: number): number => v.getUint16(L.R_FX + at, true);
  check('fcw', fx(a, L.FX_CONTROL), fx(b, L.FX_CONTROL));
  const codes = ~(unknown >>> 16);
  check('fsw', fx(a, L.FX_STATUS) & codes, fx(b, L.FX_STATUS) & codes);
  check('tags', got[L.R_FX + L.FX_TAG]!, want[L.R_FX + L.FX_TAG]!);
  if (!host) {
    check('fop', fx(a, L.FX_OPCODE), fx(b, L.FX_OPCODE));
    check('fip', a.getBigUint64(L.R_FX + L.FX_IP, true), b.getBigUint64(L.R_FX + L.FX_IP, true));
    check('fdp', a.getBigUint64(L.R_FX + L.FX_DP, true), b.getBigUint64(L.R_FX + L.FX_DP, true));
  }
  if (!memoryFault(vector) || !FLAGS_FIRST.test(ended)) check('mxcsr', u32(a, L.R_FX + L.FX_MXCSR), u32(b, L.R_FX + L.FX_MXCSR));
  for (let i = 0; i < 8; i++) words(out, `st${i}`, a, b, L.R_FX + L.FX_ST + i * 16, 16);
  const vectors = long ? 16 : 8;
  for (let i = 0; i < vectors; i++) words(out, `xmm${i}`, a, b, L.R_FX + L.FX_XMM + i * 16, 16);
  for (let i = 0; i < vectors; i++) words(out, `ymm${i} high`, a, b, L.R_YMMH + i * 16, 16);
  words(out, 'code', a, b, L.R_CODE, L.CODE_SIZE);
  words(out, 'function', a, b, L.R_CODE2, L.CODE2_SIZE);
  let at = L.R_DATA;
  for (const [address, size] of L.WINDOWS) {
    words(out, `[${hex(address)}]`, a, b, at, size);
    at += size;
  }
  if (!torn) check('written elsewhere', a.getBigUint64(L.R_STRAY, true), b.getBigUint64(L.R_STRAY, true));
  // Where the second piece is beyond the segment, the host's first stays too.
  const tornByLimit = host && (vector === 12 || vector === 13) && TWO_STORES.test(ended) && out.length <= 2;
  return tornByLimit && out.every((line) => line.startsWith('[')) ? [] : out;
}
