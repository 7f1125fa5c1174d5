/**
 * Turns the instruction table into AssemblyScript: decoder tables (byte strings, laid out below) and the dispatch switches, one for 16- and
 * 32-bit code, one for 64-bit code. Identical case bodies share one handler number.
 *
 * Decoder tables, a set for either switch (names end in 64 for the second):
 *   OPCODES   u16 [7 maps x 256]       entry number; 0 = undefined. Maps: one byte, 0F, 0F38, 0F3A, then VEX 0F, 0F38, 0F3A
 *   ENTRY     4 bytes an entry         u16 flags ENT_*, u8 immediate kind IMM_*, u8 bit number in SY_FEATURES + 1, 0 = always there
 *   HANDLERS  u16 [entry x 32]         handler by form: bits 0..1 = operand size (0 = 16, 1 = 32, 2 = 64), bits 2..4 = FORM_*
 *
 * The flat forms serve 32-bit code whose DS, ES and SS all span the whole linear space, which is nearly all 32-bit code there is: no segment
 * checks, and simpler address arithmetic. Where a form would not differ it shares the handler of the general one. In 64-bit code they serve
 * 64-bit addresses without FS or GS.
 *
 * Handlers are numbered from the hottest kind: instructions, then pairs, then the cold ones of 64-bit code, which live in a switch of their own.
 *   FUSED     u16 [handler x 16]       handler of the pair with a following Jcc, by condition; 0 = none
 *   CLASSES   u8 [handler]             class of the handler in PAIRS, 0 = none
 *   PAIRS     u16 [16 x 16 classes]    handler of two neighbours; 0 = none
 *
 * An entry with ENT_GROUP is followed by eight entries, one for each modrm.reg. The HANDLERS of an entry with ENT_PREFIX are entry numbers
 * instead, by mandatory prefix (none, 66, F3, F2), then the one that stands in for a row whose feature is missing.
 */
import { featureBit } from './features.ts';
import { fusedBody, PAIR_CLASSES, pairBodies, pairClass } from './fuse.ts';
import { importsFor } from './imports.ts';
import { caseBody, type Form, isCold } from './semantics.ts';
import { CONDITIONS, INSTRUCTIONS, type Instruction } from './table.ts';

export const ENT_MODRM = 1;
export const ENT_GROUP = 2;
export const ENT_LOCK = 4;
export const ENT_END = 8;
/** Register fields hold plain numbers (sysExec, x87Exec, simdExec). */
export const ENT_PLAIN = 16;
/** reg and rm are byte registers. */
export const ENT_BYTE_REG = 32;
export const ENT_BYTE_RM = 64;
/** modrm.mod is ignored (register operand), or, without ENT_MODRM, rm comes from the opcode. */
export const ENT_REG_ONLY = 128;
/** Several rows, told apart by the mandatory prefix. */
export const ENT_PREFIX = 0x100;
export const ENT_VSIB = 0x200;
/** Operand size in 64-bit mode. */
export const ENT_DEFAULT64 = 0x400;
export const ENT_FORCED64 = 0x800;
/** VEX fields that must be 1111b or 0. */
export const ENT_NO_VVVV = 0x1000;
export const ENT_LENGTH0 = 0x2000;
export const ENT_WIDE0 = 0x4000;

export const IMM_NONE = 0;
/** Sign-extended byte. */
export const IMM_BYTE = 1;
export const IMM_WORD = 2;
/** 2 or 4 bytes by operand size, sign-extended. */
export const IMM_SIZED = 3;
/** Address-sized displacement of a direct memory operand. */
export const IMM_MOFFS = 4;
export const IMM_FAR = 5;
export const IMM_ENTER = 6;
/** The operand is implied: DS:[(E)BX + AL] of XLAT. */
export const IMM_NONE_MEMORY = 7;

export const FORM_REGISTER = 0;
export const FORM_MEMORY = 1;
/** Register operands in flat mode: stack instructions. */
export const FORM_FLAT_REGISTER = 2;
/** Base + displacement. */
export const FORM_FLAT_BASE = 3;
/** Base + scaled index + displacement. */
export const FORM_FLAT_INDEX = 4;

/** The immediate 1, not encoded: shifts D0 and D1. */
export const IMM_ONE = 8;
/** 2, 4 or 8 bytes by operand size. */
export const IMM_FULL = 9;

/** Columns of HANDLERS. */
const HANDLER_COLUMNS = 32;
const MAPS = 7;

/**
 * Binaryen makes a switch a br_table only up to this many cases; beyond, it stays a chain of compares and the interpreter is twenty times
 * slower.
 */
const MAX_HANDLERS = 1024;

/** Handlers below are not instructions; the run loop and decoder know them by number. */
export const HANDLER_STALE = 0;
export const HANDLER_CONTINUE = 1;
export const HANDLER_LEAVE = 2;
export const HANDLER_UD = 3;
export const HANDLER_GP = 4;
export const HANDLER_JIT = 5;

const special = (suffix: string): string[] => [
  `resume${suffix}(rec); return;`,
  `rec = follow${suffix}(rec); if (!rec) return; continue;`,
  `resume${suffix}(rec); return;`,
  'raiseFault(VEC_UD); break;',
  'raiseFaultErr(VEC_GP, 0); break;',
  `rec = enterJit${suffix}(rec); if (!rec) return; continue;`,
];

interface Entry {
  flags: number;
  immediate: number;
  /** Indexed by operand size code + 4 * FORM_*. */
  handlers: number[];
  /** Bit number in SY_FEATURES + 1. */
  feature: number;
}

export interface Generated {
  tables: string;
  dispatch: string;
  handlerCount: number;
  dispatch64: string;
  handlerCount64: number;
}

/** Everything that one dispatch needs. */
interface Mode {
  entries: Entry[];
  opcodes: number[];
  /** Number of handlers that are one instruction each and in the main switch. */
  singles: number;
  fused: number[];
  classes: number[];
  pairs: number[];
  bodies: string[];
  labels: string[];
  /** First handler of the second switch. */
  cold: number;
}

function immediateOf(instruction: Instruction): number {
  for (const operand of instruction.operands)
    switch (operand) {
      case 'Ib':
      case 'Iu':
      case 'Is':
      case 'Jb':
        return IMM_BYTE;
      case 'Iw':
        return IMM_WORD;
      case 'Iv':
        return IMM_FULL;
      case 'Iz':
      case 'Jz':
        return IMM_SIZED;
      case 'Ob':
      case 'Ov':
        return instruction.mnemonic === 'xlat' ? IMM_NONE_MEMORY : IMM_MOFFS;
      case 'A':
        return IMM_FAR;
      case 'Ienter':
        return IMM_ENTER;
      case '1':
        return IMM_ONE;
    }
  return IMM_NONE;
}

/** A handler before it has its number. */
interface Handler {
  body: string;
  label: string;
  cold: boolean;
}

/** Handlers by body, hot ones first in the order they were asked for. */
class HandlerSet {
  readonly list: Handler[] = [];
  private readonly known = new Map<string, number>();

  constructor(special: string[]) {
    // Equal texts among the special ones keep their own numbers.
    ['stale', 'continue', 'leave page', 'undefined', 'too long', 'region'].forEach((label, i) => {
      this.known.set(special[i]!, i);
      this.list.push({ body: special[i]!, label, cold: false });
    });
  }

  add(instruction: Instruction, form: Form): number {
    const body = caseBody(instruction, form);
    const cold = isCold(instruction, form);
    const known = this.known.get(body);
    if (known !== undefined) {
      // Hot for one is hot for all.
      if (!cold) this.list[known]!.cold = false;
      return known;
    }
    const { mnemonic, operands } = instruction;
    const kind = `${form.memory ? ' memory' : ''}${form.flat ? ` flat ${form.flat}` : ''}`;
    this.known.set(body, this.list.length);
    this.list.push({ body, label: `${mnemonic} ${operands.join(',')} ${form.size}${kind}`, cold });
    return this.list.length - 1;
  }
}

function buildMode(instructions: readonly Instruction[], long: boolean): Mode {
  const set = new HandlerSet(special(long ? '64' : ''));
  const handler = (instruction: Instruction, form: Form): number => set.add(instruction, form);

  const undefinedEntry = (flags: number): Entry => ({
    flags,
    immediate: IMM_NONE,
    handlers: new Array(HANDLER_COLUMNS).fill(HANDLER_UD),
    feature: 0,
  });
  const makeEntry = (instruction: Instruction): Entry => {
    const operands = instruction.operands;
    const modrm = operands.some((o) => /^[EGMR]/.test(o)) || (instruction.vex && operands.length > 0);
    const direct = operands.some((o) => o[0] === 'O');
    const byte = operands.some((o) => /^(Eb|Gb|ab|Ob|Zb|b)$/.test(o)) && !/^mov[zs]x$/.test(instruction.mnemonic);
    const memoryOnly = operands.some((o) => o[0] === 'M');
    // Others that name a register are refused with a memory operand by who executes them.
    const registerOnly = instruction.registerMod;
    let flags = 0;
    if (modrm) flags |= ENT_MODRM;
    if (instruction.lock) flags |= ENT_LOCK;
    if (instruction.end) flags |= ENT_END;
    if (instruction.executor !== 'core') flags |= ENT_PLAIN;
    if (operands.includes('Gb')) flags |= ENT_BYTE_REG;
    if (operands.includes('Eb') || operands.includes('Zb')) flags |= ENT_BYTE_RM;
    if (registerOnly || operands.some((o) => o[0] === 'Z')) flags |= ENT_REG_ONLY;
    if (instruction.vsib) flags |= ENT_VSIB;
    if (instruction.size64 === 'default64') flags |= ENT_DEFAULT64;
    if (instruction.size64 === 'forced64') flags |= ENT_FORCED64;
    if (instruction.noVvvv) flags |= ENT_NO_VVVV;
    if (instruction.length0) flags |= ENT_LENGTH0;
    if (instruction.wide0) flags |= ENT_WIDE0;
    const handlers: number[] = new Array(HANDLER_COLUMNS).fill(HANDLER_UD);
    for (const memory of [false, true]) {
      if (modrm && !memory && memoryOnly) continue;
      if (memory && registerOnly) continue;
      for (const wide of long ? [0, 1, 2] : [0, 1]) {
        if (long && wide !== 2 && instruction.size64 !== 'normal' && (wide === 1 || instruction.size64 === 'forced64')) continue;
        const form: Form = { size: byte ? 8 : ([16, 32, 64] as const)[wide]!, memory: modrm ? memory : direct, long };
        if (memory) {
          handlers[FORM_MEMORY * 4 + wide] = handler(instruction, form);
          handlers[FORM_FLAT_BASE * 4 + wide] = handler(instruction, { ...form, flat: 'base' });
          handlers[FORM_FLAT_INDEX * 4 + wide] = handler(instruction, { ...form, flat: 'index' });
        } else {
          handlers[FORM_REGISTER * 4 + wide] = handler(instruction, form);
          // A direct memory operand (moffs) has no base: the zero register stands in.
          handlers[FORM_FLAT_REGISTER * 4 + wide] = handler(instruction, { ...form, flat: 'base' });
        }
      }
    }
    return { flags, immediate: immediateOf(instruction), handlers, feature: instruction.feature ? featureBit(instruction.feature) + 1 : 0 };
  };

  const entries: Entry[] = [undefinedEntry(0)];
  /** Enters rows that differ in modrm.reg at most; gives the entry number. */
  const addGroup = (rows: Instruction[]): number => {
    const number = entries.length;
    if (rows[0]!.extension < 0) {
      if (rows.length > 1) throw new Error(`${rows[0]!.mnemonic} and ${rows[1]!.mnemonic} claim the same opcode`);
      entries.push(makeEntry(rows[0]!));
      return number;
    }
    entries.push(undefinedEntry(ENT_MODRM | ENT_GROUP));
    for (let reg = 0; reg < 8; reg++) {
      const [row, other] = rows.filter((i) => i.extension === reg);
      if (other) throw new Error(`${row!.mnemonic} and ${other.mnemonic} claim the same opcode`);
      entries.push(row ? makeEntry(row) : undefinedEntry(ENT_MODRM));
    }
    return number;
  };
  const opcodes: number[] = new Array(MAPS * 256).fill(0);
  for (let slot = 0; slot < MAPS * 256; slot++) {
    const rows = instructions.filter((i) => i.mode !== (long ? 'not64' : 'only64') && (i.map + (i.vex ? 3 : 0)) * 256 + i.opcode === slot);
    if (rows.length === 0) continue;
    if (rows.every((i) => i.prefix === 'any')) {
      opcodes[slot] = addGroup(rows);
      continue;
    }
    const selector = undefinedEntry(ENT_PREFIX);
    opcodes[slot] = entries.length;
    entries.push(selector);
    // Extensions that no row of this prefix names keep the meaning they have without it.
    const of = (prefix: string): number => {
      const own = rows.filter((i) => i.prefix === prefix);
      const rest = rows.filter((i) => i.prefix === 'any' && !own.some((o) => o.extension === i.extension || o.extension < 0));
      return own.length + rest.length ? addGroup([...own, ...rest]) : 0;
    };
    const any = of('any');
    ['np', '66', 'f3', 'f2'].forEach((prefix, i) => {
      selector.handlers[i] = rows.some((row) => row.prefix === prefix) ? of(prefix) : any;
    });
    selector.handlers[4] = any;
  }

  // Numbers: hot handlers, then pairs, then cold handlers.
  const hot = set.list.filter((h) => !h.cold);
  const bodies = hot.map((h) => h.body);
  const labels = hot.map((h) => h.label);
  const singles = bodies.length;
  const fused: number[] = new Array(singles * 16).fill(0);
  for (let number = 0; number < singles; number++)
    for (let condition = 0; condition < 16; condition++) {
      const body = fusedBody(bodies[number]!, condition, long);
      if (body === undefined) continue;
      fused[number * 16 + condition] = bodies.length;
      labels.push(`${labels[number]} + j${CONDITIONS[condition]}`);
      bodies.push(body);
    }

  const classes = bodies.slice(0, singles).map((body) => pairClass(body, long));
  const pairs: number[] = new Array(PAIR_CLASSES * PAIR_CLASSES).fill(0);
  for (const { first, second, name, body } of pairBodies(long)) {
    if (!classes.includes(first) || !classes.includes(second)) throw new Error(`no handler is a half of the pair ${name}`);
    pairs[first * PAIR_CLASSES + second] = bodies.length;
    labels.push(name);
    bodies.push(body);
  }
  const cold = bodies.length;
  const coldHandlers = set.list.filter((h) => h.cold);
  for (const count of [cold, coldHandlers.length])
    if (count > MAX_HANDLERS) throw new Error(`${count} handlers are more than one br_table takes (${MAX_HANDLERS})`);
  const number = new Map([...hot, ...coldHandlers].map((h, i) => [set.list.indexOf(h), i < singles ? i : cold + i - singles]));
  for (const h of coldHandlers) {
    bodies.push(h.body);
    labels.push(h.label);
  }
  for (const entry of entries) if (!(entry.flags & ENT_PREFIX)) entry.handlers = entry.handlers.map((n) => number.get(n)!);
  return { entries, opcodes, singles, fused, classes, pairs, bodies, labels, cold };
}

function listText(numbersToPrint: number[]): string {
  let text = '';
  for (let at = 0; at < numbersToPrint.length; at += 24) text += `  ${numbersToPrint.slice(at, at + 24).join(', ')},\n`;
  return text;
}

function tablesText(mode: Mode, suffix: string): string {
  return `
export const OPCODES${suffix}: usize = memory.data<u16>([
${listText(mode.opcodes)}]);
export const ENTRY${suffix}: usize = memory.data<u8>([
${listText(mode.entries.flatMap((e) => [e.flags & 0xff, e.flags >> 8, e.immediate, e.feature]))}]);
export const HANDLERS${suffix}: usize = memory.data<u16>([
${listText(mode.entries.flatMap((e) => e.handlers))}]);
/** Handlers from here on are no first halves of pairs. */
export const SINGLES${suffix}: u32 = ${mode.singles};
export const FUSED${suffix}: usize = memory.data<u16>([
${listText(mode.fused)}]);
export const CLASSES${suffix}: usize = memory.data<u8>([
${listText(mode.classes)}]);
export const PAIRS${suffix}: usize = memory.data<u16>([
${listText(mode.pairs)}]);
`;
}

const HEADER = '// Generated by core/cpu/x86/generate.ts from table.ts. Do not edit.\n';

function caseText(mode: Mode, first: number, end: number, change: (body: string) => string): string {
  let text = '';
  for (let i = first; i < end; i++) text += `      case ${i}: { // ${mode.labels[i]}\n        ${change(mode.bodies[i]!)}\n      }\n`;
  return text;
}

function dispatchText(mode: Mode, suffix: string): string {
  const cold = mode.cold < mode.bodies.length;
  const main = `/**
 * Executes records from \`first\` until something must be looked at by run(): then S_RIP holds the next instruction and Run.rec is 0.
 * Leaves by the host's throw on a fault, with Run.rec at the faulting record.
 */
export function exec${suffix}(first: usize): void {
  let rec = first;
  while (true) {
    Run.rec = rec;
    switch (<i32>load<u16>(rec)) {
${caseText(mode, 0, mode.cold, (body) => body)}      default:
        ${cold ? 'rec = cold(rec); if (!rec) return; continue;' : 'unreachable();'}
    }
    rec += REC_SIZE;
  }
}
`;
  // The same bodies in a function that gives the next record, 0 to leave. Their memory accesses are calls: less code to compile.
  const rest = cold
    ? `
function cold(first: usize): usize {
  let rec = first;
  switch (<i32>load<u16>(rec) - ${mode.cold}) {
${caseText(
  { ...mode, labels: mode.labels.slice(mode.cold), bodies: mode.bodies.slice(mode.cold) },
  0,
  mode.bodies.length - mode.cold,
  (body) =>
    body
      .replaceAll('return;', 'return 0;')
      .replaceAll('continue;', 'return rec;')
      .replace(/\blin(Read|ReadW|Write)(8|16|32|64)\(/g, 'cold$1$2('),
)}      default:
        unreachable();
  }
  return rec + REC_SIZE;
}
`
    : '';
  const code = main + rest;
  return `${HEADER}${importsFor(code)}\n${code}`;
}

export function generate(instructions: readonly Instruction[] = INSTRUCTIONS): Generated {
  const short = buildMode(instructions, false);
  const long = buildMode(instructions, true);
  const constants = Object.entries({
    ENT_MODRM,
    ENT_GROUP,
    ENT_LOCK,
    ENT_END,
    ENT_PLAIN,
    ENT_BYTE_REG,
    ENT_BYTE_RM,
    ENT_REG_ONLY,
    ENT_PREFIX,
    ENT_VSIB,
    ENT_DEFAULT64,
    ENT_FORCED64,
    ENT_NO_VVVV,
    ENT_LENGTH0,
    ENT_WIDE0,
    IMM_NONE,
    IMM_BYTE,
    IMM_WORD,
    IMM_SIZED,
    IMM_MOFFS,
    IMM_FAR,
    IMM_ENTER,
    IMM_NONE_MEMORY,
    IMM_ONE,
    IMM_FULL,
    FORM_REGISTER,
    FORM_MEMORY,
    FORM_FLAT_REGISTER,
    FORM_FLAT_BASE,
    FORM_FLAT_INDEX,
    HANDLER_STALE,
    HANDLER_CONTINUE,
    HANDLER_LEAVE,
    HANDLER_UD,
    HANDLER_GP,
    HANDLER_JIT,
    PAIR_CLASSES,
  })
    .map(([name, value]) => `export const ${name} = ${value};\n`)
    .join('');
  return {
    tables: `${HEADER}${constants}${tablesText(short, '')}${tablesText(long, '64')}`,
    dispatch: dispatchText(short, ''),
    handlerCount: short.bodies.length,
    dispatch64: dispatchText(long, '64'),
    handlerCount64: long.bodies.length,
  };
}
