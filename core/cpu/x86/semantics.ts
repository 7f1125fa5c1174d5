/**
 * What each core instruction does, as AssemblyScript text for one case of the dispatch switch. A body ends in `break` to go on with the next
 * record, or hands `rec` a branch target. Helpers named here live in core/cpu/interp/wasm: operand.ts (e32, g32, m32, ...), alu.ts, shift.ts...
 *
 * No body may change architectural state before its last possible fault: memory destinations are read with write intent first.
 */
import { CONDITIONS, type Instruction } from './table.ts';

export interface Form {
  /** Operand width in bits. */
  size: 8 | 16 | 32;
  /** The E operand is in memory. */
  memory: boolean;
  /** Flat mode (generate.ts): how the address is made. */
  flat?: 'base' | 'index';
}

const CONDITION_TEST = [
  'getOF()',
  '!getOF()',
  'getCF()',
  '!getCF()',
  'getZF()',
  '!getZF()',
  '(getCF() | getZF())',
  '!(getCF() | getZF())',
  'getSF()',
  '!getSF()',
  'getPF()',
  '!getPF()',
  'getLess()',
  '!getLess()',
  '(getLess() | getZF())',
  '!(getLess() | getZF())',
];

/** Text that reads an operand. */
function read(operand: string, form: Form): string {
  const s = form.size;
  switch (operand[0]) {
    case 'E':
    case 'M': {
      const width = operand[1] === 'b' ? 8 : operand[1] === 'w' ? 16 : s;
      return form.memory ? `m${width}(rec)` : `e${width}(rec)`;
    }
    case 'O':
      return `m${s}(rec)`;
    case 'Z':
      return `e${s}(rec)`;
    case 'G':
      return `g${s}(rec)`;
    case 'I':
    case '1':
      // The decoder gives the shifts by 1 an immediate.
      return 'imm(rec)';
    case 'a':
      return `a${s}()`;
    case 'c':
      return 'cl()';
    case 'd':
      return 'dx()';
  }
  throw new Error(`no way to read operand ${operand}`);
}

/** Text that writes `value` to an operand that was not read before. */
function write(operand: string, form: Form, value: string): string {
  const s = form.size;
  switch (operand[0]) {
    case 'E':
      return form.memory ? `setM${s}(rec, ${value});` : `setE${s}(rec, ${value});`;
    case 'O':
      return `setM${s}(rec, ${value});`;
    case 'Z':
      return `setE${s}(rec, ${value});`;
    case 'G':
      return `setG${s}(rec, ${value});`;
    case 'a':
      return `setA${s}(${value});`;
  }
  throw new Error(`no way to write operand ${operand}`);
}

/** Read, compute with the value as `${v}`, write back. */
function modify(operand: string, form: Form, compute: (v: string) => string): string {
  const s = form.size;
  if (operand[0] === 'E' && form.memory)
    return `const seg = recSeg(rec); const off = <u64>recOff32(rec); const v = memReadW${s}(seg, off); memWrite${s}(seg, off, ${compute('v')});`;
  return write(operand, form, compute(read(operand, form)));
}

type Semantics = (i: Instruction, f: Form) => string;

const binary =
  (name: string): Semantics =>
  (i, f) =>
    `${modify(i.operands[0]!, f, (v) => `${name}${f.size}(${v}, ${read(i.operands[1]!, f)})`)} break;`;
const unary =
  (name: string): Semantics =>
  (i, f) =>
    `${modify(i.operands[0]!, f, (v) => `${name}${f.size}(${v})`)} break;`;
const call =
  (text: string): Semantics =>
  () =>
    `${text}; break;`;
const sized =
  (name: string): Semantics =>
  (i, f) =>
    `${name}${f.size}(${read(i.operands[0]!, f)}); break;`;
/** A string instruction returns false when it stopped early: the run loop then comes back to it after looking at events. */
const string =
  (name: string): Semantics =>
  (_i, f) =>
    `if (!${name}<u${f.size}>(rec)) { stay(rec); return; } break;`;
const doubleShift =
  (name: string): Semantics =>
  (i, f) =>
    `${modify(i.operands[0]!, f, (v) => `${name}${f.size}(${v}, g${f.size}(rec), ${read(i.operands[2]!, f)})`)} break;`;
const bits =
  (kind: string): Semantics =>
  (i, f) => {
    const reach = i.operands[1]![0] === 'G';
    const index = reach ? `<i32>(<i${f.size}>g${f.size}(rec))` : '<i32>imm(rec)';
    if (f.memory) return `bitMem${f.size}(${kind}, rec, ${index}, ${reach}); break;`;
    if (kind === 'BIT_TEST') return `bitReg(BIT_TEST, e${f.size}(rec), <u32>${index}, ${f.size}); break;`;
    return `setE${f.size}(rec, bitReg(${kind}, e${f.size}(rec), <u32>${index}, ${f.size})); break;`;
  };
const branchIf = (condition: string): string => `if (${condition}) { rec = jump(rec); if (!rec) return; continue; } break;`;
/** Control flow that wrote S_RIP itself. */
const leaves = (text: string): string => `begin(rec); ${text} finish(); return;`;

const SEMANTICS: Record<string, Semantics> = {
  add: binary('add'),
  or: binary('or'),
  adc: binary('adc'),
  sbb: binary('sbb'),
  and: binary('and'),
  sub: binary('sub'),
  xor: binary('xor'),
  cmp: (i, f) => `sub${f.size}(${read(i.operands[0]!, f)}, ${read(i.operands[1]!, f)}); break;`,
  test: (i, f) => `logic${f.size}(${read(i.operands[0]!, f)} & ${read(i.operands[1]!, f)}); break;`,
  inc: unary('inc'),
  dec: unary('dec'),
  neg: unary('neg'),
  not: (i, f) => `${modify(i.operands[0]!, f, (v) => `~${v}`)} break;`,
  rol: binary('rol'),
  ror: binary('ror'),
  rcl: binary('rcl'),
  rcr: binary('rcr'),
  shl: binary('shl'),
  shr: binary('shr'),
  sar: binary('sar'),
  shld: doubleShift('shld'),
  shrd: doubleShift('shrd'),
  bt: bits('BIT_TEST'),
  bts: bits('BIT_SET'),
  btr: bits('BIT_RESET'),
  btc: bits('BIT_COMPLEMENT'),
  bsf: (i, f) => `const v = ${read(i.operands[1]!, f)}; if (v) setG${f.size}(rec, scanFlags(ctz<u32>(v))); else scanZero(); break;`,
  bsr: (i, f) => `const v = ${read(i.operands[1]!, f)}; if (v) setG${f.size}(rec, scanFlags(31 - clz<u32>(v))); else scanZero(); break;`,
  popcnt: (i, f) => `setG${f.size}(rec, popcount(${read(i.operands[1]!, f)})); break;`,
  mov: (i, f) => `${write(i.operands[0]!, f, read(i.operands[1]!, f))} break;`,
  xchg: (i, f) => {
    const other = i.operands[1]!;
    if (f.memory)
      return `const seg = recSeg(rec); const off = <u64>recOff32(rec); const v = memReadW${f.size}(seg, off); memWrite${f.size}(seg, off, g${f.size}(rec)); setG${f.size}(rec, v); break;`;
    return `const v = e${f.size}(rec); ${write(i.operands[0]!, f, read(other, f))} ${write(other, f, 'v')} break;`;
  },
  movzx: (i, f) => `${write('G', f, read(i.operands[1]!, f))} break;`,
  movsx: (i, f) => `${write('G', f, `<u32>(<i32>(<i${i.operands[1]![1] === 'b' ? 8 : 16}>${read(i.operands[1]!, f)}))`)} break;`,
  lea: (_i, f) => `setG${f.size}(rec, recOff32(rec)); break;`,
  push: (i, f) => `push${f.size}(${read(i.operands[0]!, f)}); break;`,
  pop: (i, f) => {
    if (i.operands[0]![0] === 'E' && f.memory) return `popMem${f.size}(rec); break;`;
    return `setE${f.size}(rec, pop${f.size}()); break;`;
  },
  pusha: (_i, f) => `pusha${f.size}(); break;`,
  popa: (_i, f) => `popa${f.size}(); break;`,
  pushf: (_i, f) => `pushf${f.size}(); break;`,
  popf: (_i, f) => leaves(`popf${f.size}(); setRip(nextEip(rec));`),
  enter: (_i, f) => `enter${f.size}(imm(rec)); break;`,
  leave: (_i, f) => `leave${f.size}(); break;`,
  bound: (_i, f) => `bound${f.size}(rec); break;`,
  nop: call(''),
  cbw: (_i, f) => (f.size === 16 ? 'setA16(<u32>(<i32>(<i8>a8()))); break;' : 'setA32(<u32>(<i32>(<i16>a16()))); break;'),
  cwd: (_i, f) => (f.size === 16 ? 'setGpr16(2, <u32>(<i32>(<i16>a16()) >> 15)); break;' : 'setGpr32(2, <u32>(<i32>a32() >> 31)); break;'),
  mul: sized('mul'),
  imul: (i, f) => {
    if (i.operands.length === 1) return `imul${f.size}(${read(i.operands[0]!, f)}); break;`;
    const b = i.operands.length === 3 ? 'imm(rec)' : `g${f.size}(rec)`;
    return `setG${f.size}(rec, imulTrunc${f.size}(${read(i.operands[1]!, f)}, ${b})); break;`;
  },
  div: sized('div'),
  idiv: sized('idiv'),
  cmpxchg: (_i, f) => {
    const s = f.size;
    // The destination is written in both cases (SDM volume 2, CMPXCHG).
    if (f.memory)
      return `const seg = recSeg(rec); const off = <u64>recOff32(rec); const v = memReadW${s}(seg, off); const a = a${s}(); memWrite${s}(seg, off, v == a ? g${s}(rec) : v); sub${s}(a, v); if (v != a) setA${s}(v); break;`;
    return `const v = e${s}(rec); const a = a${s}(); sub${s}(a, v); if (v == a) setE${s}(rec, g${s}(rec)); else setA${s}(v); break;`;
  },
  xadd: (_i, f) => {
    const s = f.size;
    if (f.memory)
      return `const seg = recSeg(rec); const off = <u64>recOff32(rec); const v = memReadW${s}(seg, off); memWrite${s}(seg, off, add${s}(v, g${s}(rec))); setG${s}(rec, v); break;`;
    return `const v = e${s}(rec); const sum = add${s}(v, g${s}(rec)); setG${s}(rec, v); setE${s}(rec, sum); break;`;
  },
  cmpxchg8b: call('cmpxchg8b(rec)'),
  // A 16-bit BSWAP is undefined; P6 cores clear the register.
  bswap: (_i, f) => (f.size === 16 ? 'setE16(rec, 0); break;' : 'setE32(rec, bswap<u32>(e32(rec))); break;'),
  daa: call('daa()'),
  das: call('das()'),
  aaa: call('aaa()'),
  aas: call('aas()'),
  aam: call('aam(imm(rec))'),
  aad: call('aad(imm(rec))'),
  salc: call('salc()'),
  lahf: call('lahf()'),
  sahf: call('sahf()'),
  cmc: call('setCF(getCF() ^ 1)'),
  clc: call('setCF(0)'),
  stc: call('setCF(1)'),
  cld: call('setRawEflags(rawEflags() & ~F_DF)'),
  std: call('setRawEflags(rawEflags() | F_DF)'),
  xlat: call('setA8(xlat(rec))'),
  movs: string('movs'),
  cmps: string('cmps'),
  stos: string('stos'),
  lods: string('lods'),
  scas: string('scas'),
  ins: string('ins'),
  outs: string('outs'),
  in: (i, f) =>
    `${write('a', f, `portIn(${read(i.operands[1]!, f)} & ${i.operands[1] === 'Iu' ? '0xff' : '0xffff'}, ${f.size / 8})`)} break;`,
  out: (i, f) =>
    `portOut(${read(i.operands[0]!, f)} & ${i.operands[0] === 'Iu' ? '0xff' : '0xffff'}, ${read('a', f)}, ${f.size / 8}); break;`,
  jmp: (i, f) =>
    i.operands[0]![0] === 'J'
      ? 'rec = jump(rec); if (!rec) return; continue;'
      : `rec = jumpTo(rec, ${read(i.operands[0]!, f)}); if (!rec) return; continue;`,
  call: (i, f) => {
    if (i.operands[0]![0] === 'J') return `checkJump(rec); push${f.size}(nextEip(rec)); rec = jump(rec); if (!rec) return; continue;`;
    return `const target = ${read(i.operands[0]!, f)}; checkTarget(target); push${f.size}(nextEip(rec)); rec = jumpTo(rec, target); if (!rec) return; continue;`;
  },
  ret: (i, f) => `rec = ret${f.size}(rec${i.operands.length ? ', imm(rec) & 0xffff' : ', 0'}); if (!rec) return; continue;`,
  loop: () => branchIf('countLoop(rec)'),
  loopz: () => branchIf('countLoop(rec) && getZF()'),
  loopnz: () => branchIf('countLoop(rec) && !getZF()'),
  jcxz: () => branchIf('!loopCount(rec)'),
  callf: (i, f) =>
    leaves(
      i.operands[0] === 'A'
        ? `farCall(<u32>(load<u64>(rec, REC_IMM) >>> 32), <u64>imm(rec), ${f.size >> 4}, <u64>nextEip(rec));`
        : `farCallMem(rec, ${f.size >> 4}, nextEip(rec));`,
    ),
  jmpf: (i, f) =>
    leaves(
      i.operands[0] === 'A'
        ? `farJump(<u32>(load<u64>(rec, REC_IMM) >>> 32), <u64>imm(rec), ${f.size >> 4}, <u64>nextEip(rec));`
        : `farJumpMem(rec, ${f.size >> 4}, nextEip(rec));`,
    ),
  retf: (i, f) => leaves(`farRet(${f.size >> 4}, ${i.operands.length ? 'imm(rec) & 0xffff' : '0'});`),
  iret: (_i, f) => leaves(`setIretLength(load<u8>(rec, REC_LENGTH)); iret(${f.size >> 4});`),
  int3: () => leaves('int3(<u64>nextEip(rec));'),
  int: () => leaves('softInterrupt(imm(rec) & 0xff, <u64>nextEip(rec));'),
  into: () => leaves('if (getOF()) into(<u64>nextEip(rec)); else setRip(nextEip(rec));'),
  ud2: call('raiseFault(VEC_UD)'),
  ud1: call('raiseFault(VEC_UD)'),
};

CONDITIONS.forEach((name, i) => {
  SEMANTICS[`j${name}`] = () => branchIf(CONDITION_TEST[i]!);
  SEMANTICS[`set${name}`] = (_i, f) => `${write('Eb', f, `${CONDITION_TEST[i]} ? 1 : 0`)} break;`;
  // The source is read, and may fault, whatever the condition; a 32-bit destination is zero-extended even when the condition is false.
  SEMANTICS[`cmov${name}`] = (_i, f) => `const v = ${read('E', f)}; if (${CONDITION_TEST[i]}) setG${f.size}(rec, v); break;`;
});

/** The accumulator forms with an immediate are the register forms with register 0, which is what the decoder gives without a modrm byte. */
function withoutAccumulator(instruction: Instruction): Instruction {
  const [first = '', second = ''] = instruction.operands;
  if (first[0] !== 'a' || second[0] !== 'I' || instruction.mnemonic === 'in') return instruction;
  return { ...instruction, operands: [`E${first[1]}`, second] };
}

/** Body of the dispatch case of `instruction` in `form`. */
export function caseBody(row: Instruction, form: Form): string {
  const instruction = withoutAccumulator(row);
  switch (instruction.executor) {
    case 'sys':
      return leaves('sysExec(rec, <u64>nextEip(rec));');
    case 'x87':
      // The x87 instruction pointer is saved from S_RIP.
      return 'setRip(thisEip(rec)); x87Exec(rec); break;';
    case 'simd':
      return 'simdExec(rec); break;';
  }
  const semantics = SEMANTICS[instruction.mnemonic];
  if (!semantics) throw new Error(`the instruction table names ${instruction.mnemonic}, which has no semantics`);
  const body = semantics(instruction, form);
  return form.flat && form.size !== 16 && FLAT.test(instruction.mnemonic) ? flatBody(body, form.flat) : body;
}

/** Instructions frequent enough to have flat forms. */
const FLAT = /^(mov|movzx|movsx|lea|add|or|adc|sbb|and|sub|xor|cmp|test|inc|dec|push|pop|call|ret|jmp|leave)$/;

/** The same body with linear accesses and the address arithmetic of `kind`. */
function flatBody(body: string, kind: 'base' | 'index'): string {
  const letter = kind === 'base' ? 'b' : 'x';
  return body
    .replace(/\bm(8|16|32)\(rec\)/g, `${letter}$1(rec)`)
    .replace(/\bsetM(8|32)\(/g, `set${letter.toUpperCase()}$1(`)
    .replace('const seg = recSeg(rec); ', '')
    .replace(/\bmem(ReadW|Write)(8|32)\(seg, /g, 'lin$1$2(')
    .replace(/\brecOff32\(/g, `${kind}Off(`)
    .replace(/\bpush32\(/g, 'pushFlat(')
    .replace(/\bpop32\(/g, 'popFlat(')
    .replace(/\bret32\(/g, 'retFlat(')
    .replace(/\bleave32\(/g, 'leaveFlat(');
}
