/** One random encoding of one row of the instruction table, with the prefixes and operands that processors see and those they should refuse. */
import type { CodeBits } from '../../../core/cpu/x86/disassemble.ts';
import { candidates, type Syntax } from '../../../core/cpu/x86/syntax.ts';
import { INSTRUCTIONS, type Instruction } from '../../../core/cpu/x86/table.ts';
import type { Random } from '../fp/record.ts';
import { ARITHMETIC, DF, flagBits, isShift, undefinedFlags } from '../flags.ts';
import { WINDOWS } from './layout.ts';
import { isTranscendental, readsCodes, readsFlags, undefinedCodes, X87_CODES } from './undefined.ts';

/** What registers hold at the start, so that memory operands hit memory. */
export interface Roles {
  bits: CodeBits;
  /** Point into windows; the first one is aligned to 64 bytes. */
  pointers: readonly number[];
  /** Holds a small number. */
  index: number;
  /** Registers that nothing needs. */
  free: readonly number[];
}

export interface Item {
  bytes: number[];
  name: string;
  /** Flags (undefined.ts) that it reads, sets to something defined, and leaves undefined. */
  reads: number;
  settles: number;
  leaves: number;
  /** Why the host is no reference for it. */
  hostless?: string;
  /** A displacement to fill in when the place is known: relative to the end of the instruction, or absolute. */
  fix?: { at: number; size: 1 | 4; label: number; relative: boolean };
  /** The same with an address in memory. */
  target?: { at: number; address: number };
  /** A page that it gives another entry in the page table. */
  remaps?: number;
}

const RSP = 4;

/** Rows that jump, call and return: code.ts makes them, with somewhere to go. */
export const FLOW = /^(j.*|loop.*|call|ret|jmp|callf|jmpf|retf|iret|int|syscall|sysenter|sysexit|sysret|rsm)$/;
/** Rows whose results nothing can be compared with. */
const RANDOM = /^rd(rand|seed)$/;
/** Instructions whose result is the machine's own, or undefined. */
const HOSTLESS: readonly (readonly [RegExp, string])[] = [
  [/^(cpuid|rdtsc|rdrand|rdseed|rdpmc|group6|group7|rdpid|xgetbv|lsl|lar)$/, 'tells of the machine'],
  [/^(bsf|bsr)$/, 'undefined when the source is zero'],
  [/^(group15|prefetch)$/, 'state components'],
  [/^(mov_from_sreg|push_.s|mov_to_sreg|pop_.s|l[defgs]s)$/, 'upper halves of selectors'],
];
/** Map 1 opcodes that an F2 or F3 turns into something else. */
const REPEAT_MATTERS = new Set([0x01, 0x09, 0x0d, 0x18, 0x1c, 0x1e, 0xae, 0xb8, 0xbc, 0xbd, 0xc7]);
const SEGMENT_PREFIXES: readonly number[] = [0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
const PREFIX = { np: 0, '66': 0x66, f3: 0xf3, f2: 0xf2, any: 0 } as const;

const le = (value: number, size: number): number[] => Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 255);
export const edgeBytes = (random: Random, size: number): number[] => {
  if (random.chance(50)) return Array.from({ length: size }, () => random.next() & 255);
  const small = random.pick([0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255]);
  const negative = random.chance(30);
  return Array.from({ length: size }, (_, i) => (i ? (negative ? 255 : 0) : small));
};

/** An address in a window. */
export function windowAddress(random: Random): number {
  const [address, size] = random.chance(40) ? WINDOWS[1]! : random.pick(WINDOWS);
  return address + random.below(size);
}

interface Memory {
  /** modrm without reg, SIB and displacement. */
  bytes: number[];
  rex: number;
  short: boolean;
  target?: { at: number; address: number };
}

/** modrm.rm of each register that addresses alone in 16 bits. */
const ALONE: { readonly [register: number]: number } = { 3: 7, 5: 6, 6: 4, 7: 5 };

/** With an address of 16 bits: a pointer, two of them, or a displacement. */
function memoryOperand16(random: Random, roles: Roles, step: number, short: boolean): Memory {
  const kind = random.below(100);
  if (kind < 10) return { bytes: [6, ...le(windowAddress(random) & 0xffff, 2)], rex: 0, short };
  const rm = kind < 22 ? random.below(4) : ALONE[random.pick(roles.pointers)]!;
  const disp = random.chance(30) ? 0 : (random.below(9) - 4) * step;
  if (disp === 0 && rm !== 6) return { bytes: [rm], rex: 0, short };
  return random.chance(75) ? { bytes: [0x40 | rm, disp & 255], rex: 0, short } : { bytes: [0x80 | rm, ...le(disp, 2)], rex: 0, short };
}

function memoryOperand(random: Random, roles: Roles, step: number, locked: boolean, vsib: boolean): Memory {
  const long = roles.bits === 64;
  if (roles.bits === 16) {
    if (!vsib && !locked && random.chance(75)) return memoryOperand16(random, roles, step, false);
    const wide = memoryOperand(random, { ...roles, bits: 32 }, step, locked, vsib);
    return { ...wide, short: !wide.short };
  }
  const kind = random.below(100);
  if (!vsib && !locked && kind < 2 && !long)
    // 16-bit addressing.
    return random.chance(50)
      ? { bytes: [0x40 | random.below(8), random.next() & 255], rex: 0, short: true }
      : { bytes: [6, ...le(random.next() & 0xffff, 2)], rex: 0, short: true };
  if (!vsib && kind < 10) {
    let address = windowAddress(random);
    if (locked) address &= ~15;
    if (address >= 0x80000000 && long) address = 0x201400;
    if (!long) return { bytes: [0x05, ...le(address, 4)], rex: 0, short: false };
    if (random.chance(50)) return { bytes: [0x04, 0x25, ...le(address, 4)], rex: 0, short: false };
    return { bytes: [0x05, 0, 0, 0, 0], rex: 0, short: false, target: { at: 1, address } };
  }
  let base = random.pick(roles.pointers);
  if (locked) base = roles.pointers[0]!;
  else if (kind < 15) base = RSP;
  else if (kind < 19) base = random.below(long ? 16 : 8);
  let index = -1;
  if (vsib) index = random.below(long ? 16 : 8);
  else if (!locked && random.chance(20)) index = random.chance(85) ? roles.index : random.below(long ? 16 : 8);
  if (!vsib && index === RSP) index = -1;
  const scale = random.below(4);
  let disp = locked ? random.below(6) * 8 : (random.below(9) - 4) * step;
  if (!locked && random.chance(8)) disp = random.below(512) - 256;
  if (!locked && random.chance(30)) disp = 0;
  const mode = disp === 0 && (base & 7) !== 5 ? 0 : disp >= -128 && disp < 128 && random.chance(90) ? 1 : 2;
  const bytes: number[] = [];
  const rex = (base >> 3) | (index > 0 ? (index >> 3) << 1 : 0);
  if (index >= 0 || (base & 7) === 4 || random.chance(2))
    bytes.push((mode << 6) | 4, (scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | (base & 7));
  else bytes.push((mode << 6) | (base & 7));
  if (mode === 1) bytes.push(disp & 255);
  else if (mode === 2) bytes.push(...le(disp, 4));
  return { bytes, rex, short: long && !locked && random.chance(3) };
}

/** A register operand: one that may be written, mostly. */
function register(random: Random, roles: Roles, ofByte: boolean, rex: boolean): number {
  if (random.chance(8)) return random.below(roles.bits === 64 && (rex || !ofByte) ? 16 : 8);
  const r = random.pick(roles.free);
  // Without REX, 4 to 7 are the second bytes of 0 to 3.
  if (ofByte && !rex && r >= 4) return random.pick(roles.free.filter((x) => x < 4)) + (random.chance(50) ? 4 : 0);
  return r;
}

function pickSyntax(random: Random, row: Instruction): Syntax | undefined {
  const fits = candidates(row.vex, row.map, row.opcode).filter(
    (s) =>
      (row.extension < 0 || s.extension < 0 || s.extension === row.extension) &&
      (row.prefix === 'any' || s.prefix === 'any' || s.prefix === row.prefix),
  );
  return fits.length ? random.pick(fits) : undefined;
}

/** `row` in random clothes; undefined when this roll makes no sense. */
export function encodeRow(row: Instruction, random: Random, roles: Roles): Item | undefined {
  const long = roles.bits === 64;
  if (row.mode === (long ? 'not64' : 'only64') && !random.chance(3)) return undefined;
  const { operands, mnemonic } = row;
  // In 64-bit code they are REX prefixes, which are drawn with the instructions that they belong to.
  if (long && row.mode === 'not64' && /^(inc|dec)$/.test(mnemonic)) return undefined;
  const group = row.executor === 'simd' || row.executor === 'x87' || /^group/.test(mnemonic);
  const wild = random.chance(4);
  const syntax = group && !wild ? pickSyntax(random, row) : undefined;
  if (group && !wild && !syntax) return undefined;
  const prefix = syntax && syntax.prefix !== 'any' ? syntax.prefix : row.prefix;
  const prefixes: number[] = [];
  let mandatory: number = PREFIX[prefix];
  if (prefix === 'any' && (group || wild) && row.executor !== 'x87' && row.map > 0 && random.chance(30))
    mandatory = random.pick([0x66, 0xf3, 0xf2]);
  if (mandatory && !row.vex) prefixes.push(mandatory);
  const ofByte = operands.some((o) => /^(Eb|Gb|ab|Ob|Zb|b)$/.test(o)) && !/^mov[zs]x$/.test(mnemonic);
  let narrow = mandatory === 0x66;
  if (
    !narrow &&
    !mandatory &&
    row.map < 2 &&
    !row.vex &&
    row.prefix === 'any' &&
    row.executor !== 'simd' &&
    random.chance(roles.bits === 16 ? 30 : 12)
  ) {
    narrow = true;
    prefixes.push(0x66);
  }
  // In 16-bit code it is the prefix that makes 32.
  const sized = narrow;
  if (roles.bits === 16 && row.executor === 'core' && mandatory !== 0x66) narrow = !sized;
  const string = /^(movs|cmps|stos|lods|scas|ins|outs)$/.test(mnemonic);
  if (string) {
    if (random.chance(60)) prefixes.push(random.pick([0xf3, 0xf2]));
  } else if (row.map < 2 && !mandatory && !row.vex && row.executor === 'core' && !REPEAT_MATTERS.has(row.opcode) && random.chance(2))
    prefixes.push(random.pick([0xf2, 0xf3]));
  if (random.chance(5)) prefixes.push(random.pick([...SEGMENT_PREFIXES, 0x64, 0x65]));
  const widen = long && !row.vex && (random.chance(45) || row.wide0);
  let rex = widen ? 8 : 0;
  const forced = long && !row.vex && random.chance(6);
  const fields = syntax?.extension ?? row.extension;
  const modrm = operands.some((o) => /^[EGMRVWUPQN]/.test(o)) || row.extension >= 0;
  let reg = 0;
  let rm = -1;
  let memory: Memory | undefined;
  let locked = false;
  // REX.W wins over 66.
  const size = ofByte ? 8 : widen ? 64 : narrow ? 16 : long && row.size64 !== 'normal' ? 64 : 32;
  if (modrm) {
    const hasRex = rex !== 0 || forced;
    const vector = row.executor === 'simd' || row.executor === 'x87';
    reg =
      fields >= 0
        ? fields
        : vector && !/^(movbe|crc32|adcx|adox|tzcnt|lzcnt)$/.test(mnemonic) && random.chance(70)
          ? random.below(long ? 16 : 8)
          : register(random, roles, operands.includes('Gb'), hasRex);
    const form = syntax?.form ?? '';
    const memoryOnly = operands.some((o) => o[0] === 'M' || o === 'Ex,M') || form === 'm';
    const registerOnly = form === 'r' || row.registerMod || operands.some((o) => o[0] === 'R' || o[0] === 'U');
    const asMemory = random.chance(3) ? random.chance(50) : memoryOnly || (!registerOnly && random.chance(50));
    if (syntax?.exact !== undefined) {
      reg = (syntax.exact >> 3) & 7;
      rm = syntax.exact & 7;
    } else if (asMemory) {
      locked = row.lock ? random.chance(15) : random.chance(1);
      const careful = locked || mnemonic === 'xchg' || mnemonic === 'cmpxchg8b';
      memory = memoryOperand(random, roles, random.chance(70) && (vector || row.vex) ? 16 : random.pick([1, 4, 8]), careful, row.vsib);
    } else rm = vector && random.chance(70) ? random.below(long ? 16 : 8) : register(random, roles, operands.includes('Eb'), hasRex);
    if (row.executor === 'x87' && syntax?.exact === undefined && rm >= 0) rm &= 7;
  } else if (operands.some((o) => o[0] === 'Z')) rm = register(random, roles, operands.includes('Zb'), rex !== 0 || forced);
  if (locked) prefixes.push(0xf0);
  if (memory?.short || (!modrm && random.chance(roles.bits === 16 ? 10 : 2))) prefixes.push(0x67);
  // In any order.
  if (prefixes.length > 1 && random.chance(50)) prefixes.reverse();
  const bytes = [...(random.chance(4) ? idlePrefixes(random, prefixes, long && !row.vex) : []), ...prefixes];
  const plus = !modrm && rm >= 0;
  const extend = (reg >= 8 ? 4 : 0) | (memory ? memory.rex : rm >= 8 ? 1 : 0);
  if (row.vex) {
    const vvvvUsed = operands.some((o) => o[0] === 'H' || o[0] === 'B');
    const general = operands.some((o) => /^[GB]/.test(o));
    let vvvv = vvvvUsed ? (general ? register(random, roles, false, true) : random.below(long ? 16 : 8)) : 0;
    if (random.chance(2)) vvvv = random.below(16);
    const l = syntax?.long ? 1 : row.length0 ? (random.chance(3) ? 1 : 0) : random.below(2);
    const w = syntax?.wide !== undefined ? (syntax.wide ? 1 : 0) : row.wide0 ? (random.chance(3) ? 1 : 0) : random.below(2);
    const pp = { np: 0, '66': 1, f3: 2, f2: 3, any: 0 }[prefix];
    if (random.chance(1)) bytes.push(random.pick([0x66, 0xf3, 0xf2]));
    if (!long && vvvv > 7) vvvv &= 7;
    const x = extend & 2 && long;
    const b = extend & 1 && long;
    const r = extend & 4 && long;
    if (row.map === 1 && !x && !b && !w && random.chance(60)) bytes.push(0xc5, (r ? 0 : 0x80) | ((~vvvv & 15) << 3) | (l << 2) | pp);
    else bytes.push(0xc4, (r ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | row.map, (w << 7) | ((~vvvv & 15) << 3) | (l << 2) | pp);
  } else {
    rex |= extend;
    if (!long && rex & 7) return undefined;
    if (rex || forced) bytes.push(0x40 | rex);
    bytes.push(...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!);
  }
  bytes.push(plus ? (row.opcode & 0xf8) | (rm & 7) : row.opcode);
  const item: Item = { bytes, name: syntax?.name ?? mnemonic, reads: 0, settles: 0, leaves: 0 };
  if (modrm) {
    const at = bytes.length;
    if (memory) {
      bytes.push(memory.bytes[0]! | ((reg & 7) << 3), ...memory.bytes.slice(1));
      if (memory.target) item.target = { at: at + memory.target.at, address: memory.target.address };
    } else bytes.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
  }
  let immediate: number[] = [];
  for (const operand of operands) {
    let more: number[] = [];
    if (/^I[bus]$/.test(operand)) more = edgeBytes(random, 1);
    else if (operand === 'Iw') more = edgeBytes(random, 2);
    else if (operand === 'Iz') more = edgeBytes(random, narrow && !(rex & 8) ? 2 : 4);
    else if (operand === 'Iv') more = edgeBytes(random, rex & 8 ? 8 : narrow ? 2 : 4);
    else if (operand === 'Ienter') more = [random.below(32), 0, random.chance(80) ? random.below(4) : random.next() & 255];
    else if (operand[0] === 'O' && mnemonic !== 'xlat') {
      const short = prefixes.includes(0x67) !== (roles.bits === 16);
      more = [...le(windowAddress(random), 4), 0, 0, 0, 0].slice(0, long ? (short ? 4 : 8) : short ? 2 : 4);
    }
    if (/^[IO]/.test(operand)) immediate = more;
    bytes.push(...more);
  }
  // Of 15 bytes at the most; more are #GP.
  if (random.chance(1)) while (bytes.length < 15 + random.below(2)) prepend(item, bytes, random.pick(SEGMENT_PREFIXES));
  describe(item, row, { size, modrmByte: memory ? reg << 3 : 0xc0 | (reg << 3) | (rm & 7), immediate, prefixes, memory: !!memory, wild });
  return item;
}

/** Prefixes before those that count: twice the same, a segment too many, F2 where F3 follows, REX in the wrong place. */
function idlePrefixes(random: Random, prefixes: readonly number[], rex: boolean): number[] {
  const idle = prefixes.filter((p) => (p === 0xf2 || p === 0xf3 || SEGMENT_PREFIXES.includes(p)) && random.chance(50));
  const other = idle.map((p) => (p === 0xf2 || p === 0xf3 ? 0xf2 | random.below(2) : random.pick(SEGMENT_PREFIXES)));
  const again = prefixes.filter(() => random.chance(40));
  const some = [...other, ...again];
  if (rex && prefixes.length) some.unshift(0x40 | random.below(16));
  return some;
}

function prepend(item: Item, bytes: number[], prefix: number): void {
  bytes.unshift(prefix);
  if (item.target) item.target.at++;
}

interface Facts {
  size: number;
  modrmByte: number;
  immediate: number[];
  prefixes: number[];
  memory: boolean;
  wild: boolean;
}

/** Flags read, settled and left undefined, and whether the host can be asked. */
function describe(item: Item, row: Instruction, facts: Facts): void {
  const { mnemonic } = row;
  item.hostless = HOSTLESS.find(([names]) => names.test(mnemonic))?.[1];
  item.reads = flagBits(row.flagsRead) | (row.flagsRead.includes('d') ? DF : 0);
  if (/^(pushf)$/.test(mnemonic)) item.reads = ARITHMETIC;
  if (isShift(mnemonic)) {
    const count = row.operands.includes('c') ? undefined : row.operands.includes('1') ? 1 : facts.immediate[0];
    item.leaves = undefinedFlags(row, facts.size, count);
    // A count of zero leaves the flags as they were.
    const moves = count !== undefined && (count & (facts.size === 64 ? 63 : 31)) !== 0;
    item.settles = moves ? flagBits(row.flagsWritten) : 0;
    if (/^sh[lr]d$/.test(mnemonic) && facts.size === 16 && (count === undefined || (count & 31) > 16)) item.hostless = 'undefined result';
    return;
  }
  item.leaves = undefinedFlags(row, facts.size, undefined);
  item.settles = row.executor === 'x87' ? 0 : flagBits(row.flagsWritten);
  if (mnemonic === 'bswap' && facts.size === 16) item.hostless = 'undefined result';
  // Processors differ in whether a fault at the first element, or a count of zero, clears the upper halves.
  if (facts.prefixes.includes(0x67) && /^(movs|cmps|stos|lods|scas)$/.test(mnemonic)) item.hostless = 'upper halves of 32-bit addresses';
  // Repeated comparisons that compare nothing leave the flags alone.
  if (/^(cmps|scas)$/.test(mnemonic) && facts.prefixes.some((p) => p === 0xf2 || p === 0xf3)) item.settles = 0;
  if (row.executor === 'simd' && !row.flagsWritten && !/^(simd|avx)$/.test(mnemonic)) item.settles = 0;
  if (row.executor === 'simd' && facts.wild) item.hostless = 'may be an instruction of newer processors';
  // Which of the bytes a fault names is the processor's own affair.
  if (/maskmov|gather/.test(item.name) || (row.map === 1 && row.opcode === 0xf7)) item.hostless = 'faults at any of its bytes';
  if (/^0f(53|52)$/.test(`0f${row.opcode.toString(16)}`) && row.map === 1) item.hostless = 'approximation';
  if (row.executor === 'x87') {
    const { opcode } = row;
    item.leaves |= undefinedCodes(opcode, facts.modrmByte);
    if (readsCodes(opcode, facts.modrmByte)) item.reads |= X87_CODES;
    item.reads |= readsFlags(opcode, facts.modrmByte);
    const reg = (facts.modrmByte >> 3) & 7;
    if (!facts.memory && (opcode === 0xdb || opcode === 0xdf) && (reg === 5 || reg === 6)) item.settles = ARITHMETIC;
    // What defines the codes settles them.
    item.settles |= X87_CODES & ~item.leaves;
    if (isTranscendental(opcode, facts.modrmByte)) item.hostless = 'approximation';
    if (facts.memory && ((opcode === 0xd9 && reg === 6) || (opcode === 0xdd && reg === 6)))
      item.hostless = 'stores pointers of the last instruction';
  }
}

/** Rows that this processor may meet, with how often each executor should be drawn. */
export function rowsOf(filter: (row: Instruction) => boolean): Instruction[] {
  return INSTRUCTIONS.filter((row) => filter(row) && !FLOW.test(row.mnemonic) && !RANDOM.test(row.mnemonic));
}
