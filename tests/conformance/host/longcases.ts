/**
 * Random 64-bit code out of the instruction table: single instructions with every kind of operand, and straight runs of them whose flags and
 * registers feed each other. Everything stays in one page of data, and nothing means something undefined by the manual without saying so.
 */
import type { Feature } from '../../../core/cpu/x86/features.ts';
import { INSTRUCTIONS, type Instruction } from '../../../core/cpu/x86/table.ts';
import { AF, ARITHMETIC, DF, flagBits, isShift, undefinedFlags } from '../flags.ts';
import { INTEGERS } from '../integers.ts';

export const DATA = 0x208000;
export const CODE = 0x210000;
export const GS_BASE = 0x206000;
/** Memory ends here: the page above faults. */
export const EDGE = 0x400000;
export const CODE_SIZE = 96;
/** Half of the bytes of data that start out random and are compared. */
export const WINDOW = 256;

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RSI = 6;
const RDI = 7;

export interface LongCase {
  what: string;
  code: number[];
  /** Offsets in `code` behind which it ends: where it may leave. */
  ends: number[];
  gpr: bigint[];
  flags: number;
  /** First address of `data`. */
  window: number;
  data: Uint8Array;
  /** Flags that mean nothing at the end. */
  undefinedFlags: number;
  /** The result itself is undefined. */
  undefinedResult: boolean;
}

export type Next = () => number;

export function random(seed: number): Next {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    let x = Math.imul(state ^ (state >>> 16), 0x45d9f3b) >>> 0;
    x ^= x >>> 15;
    return x >>> 0;
  };
}

function value(next: Next): bigint {
  if (next() & 1) return INTEGERS[next() % INTEGERS.length]!;
  const wide = (BigInt(next()) << 32n) | BigInt(next());
  return next() & 1 ? wide : wide >> BigInt(next() % 64);
}

const bytesOf = (v: bigint, count: number): number[] => Array.from({ length: count }, (_, i) => Number((v >> BigInt(8 * i)) & 255n));

const OTHERS =
  /^(call|ret|jmp|j|loop|in$|out$|ins$|outs$|int|iret|retf|ud|nop$|enter|leave|popf|pushf|push|pop|xlat|std|cld|callf|jmpf)|^(movs|cmps|stos|lods|scas)$/;

/** Rows that plain cases are made of. */
export function plainRows(has: (feature: Feature) => boolean): Instruction[] {
  return INSTRUCTIONS.filter(
    (i) =>
      i.executor === 'core' &&
      i.mode !== 'not64' &&
      !i.vex &&
      (i.feature === undefined || i.feature === 'lahf64' || has(i.feature)) &&
      !OTHERS.test(i.mnemonic) &&
      !i.operands.includes('A'),
  );
}

interface Encoded {
  code: number[];
  /** Registers that must hold something for the operand to lie in the window. */
  fixed: Map<number, bigint>;
  size: 8 | 16 | 32 | 64;
  /** modrm.reg, and modrm.rm when it is a register, else -1. */
  reg: number;
  rm: number;
  memory: boolean;
  immediate: bigint;
  prefixes: number[];
}

/** Registers that the row reads or writes without naming them. */
function implicit(row: Instruction): number[] {
  if (/^(mul|imul|div|idiv)$/.test(row.mnemonic) && row.operands.length === 1) return [RAX, RDX];
  if (row.mnemonic === 'cmpxchg8b') return [RAX, RDX, RBX, RCX];
  if (/^(cmpxchg|cwd|cbw|lahf|sahf)$/.test(row.mnemonic)) return [RAX, RDX];
  if (row.operands.includes('c')) return [RCX];
  return row.operands.some((o) => o[0] === 'a') ? [RAX] : [];
}

/**
 * Encodes `row`. Registers in `reserved` are neither operands nor parts of an address, except that an address may be made of `base` alone when
 * it is given.
 */
function encode(row: Instruction, next: Next, reserved: number[], base?: number, center = DATA): Encoded | undefined {
  const operands = row.operands;
  const byte = operands.some((o) => /^(Eb|Gb|ab|Ob|Zb|b)$/.test(o)) && !/^mov[zs]x$/.test(row.mnemonic);
  const wide = (next() & 3) < 2 || row.mnemonic === 'movsxd';
  const narrow = (next() & 7) === 0 && row.mnemonic !== 'bswap' && row.mnemonic !== 'cmpxchg8b';
  const size = byte ? 8 : wide ? 64 : narrow ? 16 : 32;
  const prefixes: number[] = [];
  // Linux punishes locked accesses across cache lines by sleeping; CMPXCHG16B must be aligned.
  const locked = row.lock && (next() & 7) === 0;
  const align = row.mnemonic === 'cmpxchg8b' ? 16 : row.mnemonic === 'xchg' || locked ? 8 : 1;
  const tail: number[] = [];
  const fixed = new Map<number, bigint>();
  let rex = wide ? 8 : 0;
  let reg = -1;
  let rm = -1;
  let memory = false;
  const needRex = { value: (next() & 7) === 0 };
  const forbidden = [RSP, ...reserved];
  /** A register operand: `bytes` of width, whether it may be one of AH..BH. */
  const pick = (ofByte: boolean): number => {
    for (;;) {
      const r = next() & 15;
      if (ofByte && r >= 4 && r <= 7) {
        // Without REX it is the second byte of RAX..RBX.
        if (forbidden.includes(rex || needRex.value ? r : r - 4)) continue;
        return r;
      }
      if (!forbidden.includes(r)) return r;
    }
  };
  if (narrow) prefixes.push(0x66);
  if (operands.some((o) => /^[EGM]/.test(o))) {
    const regByte = operands.includes('Gb');
    const rmByte = operands.includes('Eb');
    reg = row.extension >= 0 ? row.extension : pick(regByte);
    if (operands.some((o) => o[0] === 'M') || next() & 1) {
      memory = true;
      const busy = [...implicit(row), ...forbidden, ...(row.extension < 0 && !regByte ? [reg] : []), ...(regByte ? [reg, reg & 3] : [])];
      const free = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14].filter((r) => !busy.includes(r));
      const segment = (next() & 7) === 0;
      const origin = BigInt(segment ? center - GS_BASE : center);
      if (segment) prefixes.push(0x65);
      const shortAddress = (next() & 15) === 0;
      if (shortAddress) prefixes.push(0x67);
      const junk = shortAddress ? BigInt(next() & 3) << 32n : 0n;
      // Aligned for CMPXCHG16B.
      const spot = ((BigInt(next()) & 31n) * BigInt(align)) % (center === DATA ? 96n : 16n);
      const kind = base === undefined ? next() % 6 : 0;
      if (locked) prefixes.push(0xf0);
      const field = (reg & 7) << 3;
      rex |= (reg & 8) >> 1;
      const b = base ?? free[next() % free.length]!;
      if (kind === 3 && !(rex & 1)) {
        // [rip + disp32] is patched when the length is known; with prefix 67 it is cut to 32 bits, which changes nothing here.
        if (segment) return undefined;
        tail.push(field | 5, ...bytesOf(spot, 4));
        fixed.set(-1, spot);
      } else if (kind === 4) {
        tail.push(field | 4, 0x25, ...bytesOf(origin + spot, 4));
      } else {
        rex |= b >> 3;
        const indexed = kind === 2 || kind === 5;
        const index = free[next() % free.length]!;
        const scale = next() & 3;
        const steps = BigInt(next() & 3);
        if (indexed && (index === b || index === RSP)) return undefined;
        const displacement = kind === 5 || kind === 1 ? 4 : 1;
        const disp = BigInt((next() & 63) - 32) & -BigInt(align);
        const mod = displacement === 4 ? 0x80 : 0x40;
        if (indexed) {
          tail.push(mod | field | 4, (scale << 6) | ((index & 7) << 3) | (b & 7));
          rex |= (index >> 3) << 1;
          if (align > 1 << scale && align !== 16) return undefined;
          if (align === 16 && scale < 3) return undefined;
          fixed.set(index, (align === 16 ? steps & 2n : steps) + junk);
        } else {
          tail.push(mod | field | ((b & 7) === 4 ? 4 : b & 7));
          if ((b & 7) === 4) tail.push(0x24);
        }
        tail.push(...bytesOf(BigInt.asUintN(64, disp), displacement));
        if (base === undefined) fixed.set(b, origin + spot - disp + junk);
        else if (segment || shortAddress) return undefined;
      }
    } else {
      rm = pick(rmByte);
      rex |= (reg & 8) >> 1;
      rex |= rm >> 3;
      tail.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
    }
  } else if (operands.some((o) => o[0] === 'Z')) {
    rm = row.opcode & 7;
    if (next() & 1) {
      rm |= 8;
      rex |= 1;
    }
    const ofByte = operands.includes('Zb');
    if (forbidden.includes(ofByte && rm >= 4 && rm < 8 && !rex && !needRex.value ? rm - 4 : rm)) return undefined;
  }
  if (needRex.value) rex |= 0x40;
  // AH..BH cannot be named together with REX; a byte register was chosen without knowing of it.
  const highByte = (r: number, is: boolean): boolean => is && r >= 4 && r <= 7;
  if (
    rex &&
    (highByte(reg, operands.includes('Gb') && row.extension < 0) ||
      highByte(
        rm,
        operands.some((o) => /^[EZ]b$/.test(o)),
      ))
  ) {
    const named = [reg, rm].filter((r) => r >= 4 && r <= 7);
    if (named.some((r) => forbidden.includes(r))) return undefined;
  }
  let immediate = 0n;
  for (const operand of operands) {
    let bytes = 0;
    if (/^I[bus]$/.test(operand)) bytes = 1;
    else if (operand === 'Iw') bytes = 2;
    else if (operand === 'Iz') bytes = size === 16 ? 2 : 4;
    else if (operand === 'Iv') bytes = size / 8;
    else if (/^O/.test(operand)) {
      memory = true;
      tail.push(...bytesOf(BigInt(center + (next() & (center === DATA ? 63 : 15))), 8));
    }
    if (bytes) {
      immediate = value(next);
      tail.push(...bytesOf(immediate, bytes));
    }
  }
  if (row.prefix === 'f3' || row.prefix === 'f2') prefixes.push(Number.parseInt(row.prefix, 16));
  const code = [...prefixes, ...(rex ? [0x40 | rex] : []), ...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!, row.opcode, ...tail];
  return { code, fixed, size, reg, rm, memory, immediate, prefixes };
}

/** RIP-relative displacements, known only where the instruction lies. */
function place(e: Encoded, row: Instruction, offset: number, center = DATA): void {
  const spot = e.fixed.get(-1);
  if (spot === undefined) return;
  e.fixed.delete(-1);
  const modrm = e.code.length - 5 - immediateBytes(row, e.size);
  const displacement = BigInt(center) + spot - BigInt(CODE + offset + e.code.length);
  bytesOf(BigInt.asUintN(32, displacement), 4).forEach((b, i) => {
    e.code[modrm + 1 + i] = b;
  });
}

const immediateBytes = (row: Instruction, size: number): number =>
  row.operands.reduce((sum, o) => sum + (/^I[bus]$/.test(o) ? 1 : o === 'Iz' ? (size === 16 ? 2 : 4) : o === 'Iv' ? size / 8 : 0), 0);

/** The shift count: an immediate, 1, or CL. */
function shiftCount(row: Instruction, e: Encoded, rcx: bigint | undefined): number | undefined {
  if (!isShift(row.mnemonic)) return undefined;
  if (row.operands.includes('c')) return rcx === undefined ? undefined : Number(rcx & 255n);
  return row.operands.includes('1') ? 1 : Number(e.immediate & 255n);
}

function randomData(next: Next): Uint8Array {
  return Uint8Array.from({ length: 2 * WINDOW }, () => (next() & 1 ? next() & 255 : [0, 255, 128, 127][next() & 3]!));
}

/** One instruction; `edge`: with a memory operand where memory ends. */
export function singleCase(rows: readonly Instruction[], next: Next, edge = false): LongCase | undefined {
  const row = rows[next() % rows.length]!;
  const center = edge ? EDGE - 16 : DATA;
  const e = encode(row, next, [], undefined, center);
  if (!e || (edge && !e.memory)) return undefined;
  place(e, row, 0, center);
  const gpr = Array.from({ length: 16 }, () => value(next));
  gpr[RSP] = BigInt(DATA + 0x40);
  // Let some divisions succeed, and some bit offsets hit.
  if (/^(div|idiv)$/.test(row.mnemonic) && next() & 1) gpr[RDX] = BigInt(next() & 3) - (row.mnemonic === 'idiv' ? 1n : 0n);
  gpr[RDX] = BigInt.asUintN(64, gpr[RDX]!);
  if (/^bt/.test(row.mnemonic) && row.operands[1]![0] === 'G' && e.memory) {
    if ([...e.fixed.keys()].includes(e.reg)) return undefined;
    const bits = BigInt((next() % 1024) - 512);
    // Above the operand size there may be anything.
    gpr[e.reg] = BigInt.asUintN(64, e.size === 64 ? bits : (value(next) << BigInt(e.size)) | BigInt.asUintN(e.size, bits));
  }
  for (const [r, v] of e.fixed) gpr[r] = BigInt.asUintN(64, v);
  const count = shiftCount(row, e, gpr[RCX]!);
  const masked = (count ?? 0) & 31;
  const scansZero = /^bs[fr]$/.test(row.mnemonic);
  return {
    what: `${row.mnemonic} ${row.operands}`,
    code: e.code,
    ends: [e.code.length],
    gpr,
    flags: 0x202 | (next() & ARITHMETIC),
    window: edge ? EDGE - 2 * WINDOW : DATA - WINDOW,
    data: randomData(next),
    undefinedFlags: undefinedFlags(row, e.size, count),
    undefinedResult: (/^sh[lr]d$/.test(row.mnemonic) && e.size === 16 && masked > 16) || (scansZero && e.size === 32),
  };
}

const JUMPS = INSTRUCTIONS.filter((i) => i.map === 0 && i.opcode >= 0x70 && i.opcode <= 0x7f);
/** Register that addresses the data in runs of instructions. */
const BASE = 15;

/** A run of instructions, as straight as can be: what one leaves the next may read, flags too, ending in a conditional jump now and then. */
export function runCase(rows: readonly Instruction[], next: Next): LongCase {
  const code: number[] = [];
  const names: string[] = [];
  let unknown = 0;
  const length = 2 + (next() % 8);
  for (let tries = 0; names.length < length && tries < 200; tries++) {
    const row = rows[next() % rows.length]!;
    // No faults, no undefined results.
    if (/^(div|idiv|cmpxchg8b|bsf|bsr|shld|shrd)$/.test(row.mnemonic)) continue;
    if (/^bt/.test(row.mnemonic) && row.operands[1]![0] === 'G') continue;
    if (row.operands.some((o) => o[0] === 'M')) continue;
    if (flagBits(row.flagsRead) & unknown) continue;
    const e = encode(row, next, [BASE], BASE);
    if (!e || code.length + e.code.length > CODE_SIZE - 20) continue;
    place(e, row, code.length);
    if (e.fixed.size) continue;
    code.push(...e.code);
    names.push(`${row.mnemonic} ${row.operands}`);
    // A shift by CL, or by 0, may leave the flags as they were: then they stay unknown.
    const count = shiftCount(row, e, undefined);
    const moves = isShift(row.mnemonic) ? count !== undefined && (count & (e.size === 64 ? 63 : 31)) !== 0 : true;
    const settled = moves ? flagBits(row.flagsWritten) : 0;
    unknown = ((unknown & ~settled) | undefinedFlags(row, e.size, count)) & ARITHMETIC;
  }
  const ends: number[] = [];
  if (next() & 1) {
    // Jump over 7 bytes, which hold the jump to the first end.
    const readable = JUMPS.filter((i) => !(flagBits(i.flagsRead) & unknown));
    const jump = readable[next() % Math.max(1, readable.length)];
    if (jump) {
      names.push(jump.mnemonic);
      code.push(jump.opcode, 7);
      ends.push(code.length, code.length + 7);
    }
  }
  if (!ends.length) ends.push(code.length);
  const gpr = Array.from({ length: 16 }, () => value(next));
  gpr[RSP] = BigInt(DATA + 0x40);
  gpr[BASE] = BigInt(DATA);
  return {
    what: names.join('; '),
    code,
    ends,
    gpr,
    flags: 0x202 | (next() & ARITHMETIC),
    window: DATA - WINDOW,
    data: randomData(next),
    undefinedFlags: unknown,
    undefinedResult: false,
  };
}

/** Stack instructions, branches and string instructions: what needs memory or targets set up. */
export function specialCase(next: Next, edge = false): LongCase {
  const gpr = Array.from({ length: 16 }, () => value(next));
  // The stack, and the strings, end where memory ends.
  gpr[RSP] = BigInt(edge ? EDGE - 12 + (next() & 31) : DATA + 0x40 + (next() & 15));
  const window = edge ? EDGE - 2 * WINDOW : DATA - WINDOW;
  const data = randomData(next);
  const flags = 0x202 | (next() & ARITHMETIC);
  const done = (what: string, code: number[], ends: number[] = [code.length], set: LongCase | object = {}): LongCase => ({
    what,
    code,
    ends,
    gpr,
    flags,
    window,
    data,
    undefinedFlags: 0,
    undefinedResult: false,
    ...set,
  });
  const narrow = (next() & 3) === 0 ? [0x66] : [];
  const r = next() & 15;
  const rex = [0x40 | (next() & 8) | (r >> 3)];
  const store64 = (at: number, v: bigint): void => data.set(bytesOf(BigInt.asUintN(64, v), 8), at - window);
  const sp = Number(gpr[RSP]);
  const kind = next() % 14;
  // These keep what they need in DATA.
  if (edge && [5, 8, 9, 12].includes(kind)) return specialCase(next, edge);
  switch (kind) {
    case 0:
      return done('push r', [...narrow, ...rex, 0x50 | (r & 7)]);
    case 1:
      return done('pop r', [...narrow, ...rex, 0x58 | (r & 7)]);
    case 2:
      return next() & 1
        ? done('push imm8', [...narrow, 0x6a, next() & 255])
        : done('push imm', [...narrow, 0x68, ...bytesOf(value(next), narrow.length ? 2 : 4)]);
    case 3: {
      // push / pop [rsp + disp8], and through another register
      const disp = next() & 31;
      return next() & 1
        ? done('push [rsp+d]', [...narrow, 0xff, 0x74, 0x24, disp])
        : done('pop [rsp+d]', [...narrow, 0x8f, 0x44, 0x24, disp]);
    }
    case 4:
      return done('pushf', [...narrow, 0x9c]);
    case 5: {
      // POPF: arithmetic flags and DF only.
      const image = (next() & (ARITHMETIC | DF)) | 0x202;
      store64(sp, BigInt(image));
      return done('popf', [...narrow, 0x9d]);
    }
    case 6: {
      gpr[5] = BigInt(edge ? EDGE - 8 + (next() & 31) : DATA + 0x80 + (next() & 31));
      return done('enter', [...narrow, 0xc8, next() & 31, 0, next() % 5]);
    }
    case 7:
      gpr[5] = BigInt(edge ? EDGE - 12 + (next() & 15) : DATA + (next() & 63));
      return done('leave', [...narrow, 0xc9]);
    case 8: {
      // call over the end and back: the return address is used.
      const target = CODE + 40;
      const code = new Array(60).fill(0x90);
      const how = next() % 4;
      const at = BigInt(target);
      let call: number[];
      if (how === 0) call = [0xe8, ...bytesOf(BigInt(40 - 5), 4)];
      else if (how === 1) {
        gpr[RBX] = at;
        call = [0xff, 0xd3];
      } else if (how === 2) {
        gpr[RBX] = BigInt(DATA - 8);
        store64(DATA, at);
        call = [0xff, 0x53, 8];
      } else {
        gpr[11] = at;
        call = [0x41, 0xff, 0xd3];
      }
      code.splice(0, call.length, ...call);
      const drop = next() & 1 ? [0xc2, next() & 31, 0] : [0xc3];
      code.splice(40, 1 + drop.length, 0x50 | (next() & 3), ...[0x48, 0x83, 0xc4, 0x08], ...drop);
      return done(`call and ret ${how}`, code, [call.length, 60]);
    }
    case 9: {
      // Short, near and indirect jumps.
      const code = new Array(60).fill(0x90);
      const how = next() % 4;
      const jump =
        how === 0
          ? [0xeb, 40 - 2]
          : how === 1
            ? [0xe9, ...bytesOf(BigInt(40 - 5), 4)]
            : how === 2
              ? [0xff, 0xe0]
              : [0xff, 0x25, ...bytesOf(BigInt.asUintN(32, BigInt(DATA - (CODE + 6))), 4)];
      gpr[RAX] = BigInt(CODE + 40);
      store64(DATA, BigInt(CODE + 40));
      code.splice(0, jump.length, ...jump);
      return done(`jmp ${how}`, code, [jump.length, 40]);
    }
    case 10: {
      // LOOPNE, LOOPE, LOOP, JRCXZ with and without 67.
      const short = next() & 1 ? [0x67] : [];
      gpr[RCX] = [0n, 1n, 2n, 0x100000000n, 0x100000001n, 0xffffffffn][next() % 6]!;
      return done('loop', [...short, 0xe0 | (next() & 3), 7], [short.length + 2, short.length + 9]);
    }
    case 11: {
      // Jcc of both lengths and its 64-bit compare.
      const condition = next() & 15;
      const compare = [0x48, next() & 1 ? 0x39 : 0x85, 0xc8];
      if (next() & 1) gpr[RAX] = gpr[RCX]!;
      const jump = next() & 1 ? [0x70 | condition, 7] : [0x0f, 0x80 | condition, 7, 0, 0, 0];
      const code = [...compare, ...jump];
      return done(`cmp/test jcc ${condition}`, code, [code.length, code.length + 7], { undefinedFlags: compare[1] === 0x85 ? AF : 0 });
    }
    case 12: {
      gpr[RBX] = BigInt(DATA) - 128n;
      return done('xlat', [...(next() & 1 ? [0x48] : []), 0xd7]);
    }
    default: {
      const opcode = [0xa4, 0xa6, 0xaa, 0xac, 0xae][next() % 5]! | (next() & 1);
      const repeat = next() & 1 ? [next() & 1 ? 0xf3 : 0xf2] : [];
      const short = (next() & 7) === 0 ? [0x67] : [];
      // Processors differ in whether a fault at the first element clears the upper halves.
      const junk = short.length && !edge ? BigInt(next() & 1) << 40n : 0n;
      const segment = (next() & 7) === 0;
      const low = edge ? EDGE - 48 : DATA;
      gpr[RSI] = BigInt(low + (next() & 63)) - (segment ? BigInt(GS_BASE) : 0n) + junk;
      gpr[RDI] = BigInt(low + (next() & 63)) + junk;
      gpr[RCX] = BigInt(next() % 12);
      // Processors differ in whether a count of 0 clears the upper half.
      if (gpr[RCX]) gpr[RCX] = gpr[RCX]! + junk;
      const code = [...repeat, ...narrow, ...short, ...(segment ? [0x65] : []), 0x40 | (next() & 8), opcode];
      if (opcode === 0xac || opcode === 0xad) gpr[RDX] = 0n;
      return done(`string ${opcode.toString(16)}`, code, [code.length], { flags: flags | (next() & 1 ? DF : 0) });
    }
  }
}
