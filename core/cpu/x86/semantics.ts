/**
 * What each core instruction does, as AssemblyScript text for one case of the dispatch switch. A body ends in `break` to go on with the next
 * record, or hands `rec` a branch target. Helpers named here live in core/cpu/interp/wasm: operand.ts (e32, g32, m32, ...), alu.ts, shift.ts...
 *
 * 64-bit mode has bodies of its own: memory is reached by linear address (recLin: offset, plus the base of FS or GS), stack and branches are
 * 64 bits wide. Operands of 64 bits are u64, all smaller ones u32.
 *
 * No body may change architectural state before its last possible fault: memory destinations are read with write intent first.
 */
import { CONDITIONS, type Instruction } from './table.ts';

export interface Form {
  /** Operand width in bits. */
  size: 8 | 16 | 32 | 64;
  /** For 64-bit mode. */
  long: boolean;
  /** The E operand is in memory. */
  memory: boolean;
  /** Flat mode (generate.ts), or 64-bit mode without segment base: how the address is made. */
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

/** Text that reads the memory operand. */
function load(form: Form, width: number): string {
  return form.long ? `linRead${width}(recLin(rec))` : `m${width}(rec)`;
}

/** Text that writes `value` to the memory operand. */
function store(form: Form, value: string): string {
  return form.long ? `linWrite${form.size}(recLin(rec), ${value});` : `setM${form.size}(rec, ${value});`;
}

/** Text of a read-modify-write of the memory operand: `v` is the old value. Nothing is written before `between`. */
function update(form: Form, value: string, between = ''): string {
  const s = form.size;
  return form.long
    ? `const lin = recLin(rec); const v = linReadW${s}(lin); ${between}linWrite${s}(lin, ${value});`
    : `const seg = recSeg(rec); const off = <u64>recOff32(rec); const v = memReadW${s}(seg, off); ${between}memWrite${s}(seg, off, ${value});`;
}

/** Text of a shift count: always u32. */
function count(operand: string): string {
  return operand === 'c' ? 'cl()' : 'imm(rec)';
}

/** Text that reads an operand. */
function read(operand: string, form: Form): string {
  const s = form.size;
  switch (operand[0]) {
    case 'E':
    case 'M': {
      const width = operand[1] === 'b' ? 8 : operand[1] === 'w' ? 16 : operand[1] === 'd' && s !== 16 ? 32 : s;
      return form.memory ? load(form, width) : `e${width}(rec)`;
    }
    case 'O':
      return load(form, s);
    case 'Z':
      return `e${s}(rec)`;
    case 'G':
      return `g${s}(rec)`;
    case 'I':
    case '1':
      // The decoder gives the shifts by 1 an immediate.
      return s === 64 ? 'imm64(rec)' : 'imm(rec)';
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
      return form.memory ? store(form, value) : `setE${s}(rec, ${value});`;
    case 'O':
      return store(form, value);
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
  if (operand[0] === 'E' && form.memory) return update(form, compute('v'));
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
const shift =
  (name: string): Semantics =>
  (i, f) =>
    `${modify(i.operands[0]!, f, (v) => `${name}${f.size}(${v}, ${count(i.operands[1]!)})`)} break;`;
const sized =
  (name: string): Semantics =>
  (i, f) =>
    `${name}${f.size}(${read(i.operands[0]!, f)}); break;`;
/** A string instruction returns false when it stopped early: the run loop then comes back to it after looking at events. */
const string =
  (name: string, widest = 64): Semantics =>
  (_i, f) =>
    `if (!${name}${f.long ? 'Long' : ''}<u${Math.min(f.size, widest)}>(rec)) { stay${f.long ? '64' : ''}(rec); return; } break;`;
const doubleShift =
  (name: string): Semantics =>
  (i, f) =>
    `${modify(i.operands[0]!, f, (v) => `${name}${f.size}(${v}, g${f.size}(rec), ${count(i.operands[2]!)})`)} break;`;
const bits =
  (kind: string): Semantics =>
  (i, f) => {
    const reach = i.operands[1]![0] === 'G';
    const s = f.size;
    if (f.memory && f.long) return `bitLong${s}(${kind}, rec, ${reach ? `<i64>(<i${s}>g${s}(rec))` : '<i64>imm(rec)'}, ${reach}); break;`;
    const index = reach ? `<i32>(<i${s}>g${s}(rec))` : '<i32>imm(rec)';
    if (f.memory) return `bitMem${s}(${kind}, rec, ${index}, ${reach}); break;`;
    const text = s === 64 ? `bitReg64(${kind}, e64(rec), <u32>${index})` : `bitReg(${kind}, e${s}(rec), <u32>${index}, ${s})`;
    // BT leaves the upper half of a 32-bit register alone.
    if (kind === 'BIT_TEST') return `${text}; break;`;
    return `setE${s}(rec, ${text}); break;`;
  };
/** What 32-bit and 64-bit code call different things. */
const SHORT = { suffix: '', next: 'nextEip(rec)', rip: '<u64>nextEip(rec)' };
const LONG = { suffix: '64', next: 'nextRip(rec)', rip: 'nextRip(rec)' };
const dialect = (f: Form): typeof SHORT => (f.long ? LONG : SHORT);

const branchIf = (condition: string, f: Form): string =>
  `if (${condition}) { rec = jump${dialect(f).suffix}(rec); if (!rec) return; continue; } fell(rec); break;`;
/** Control flow that wrote S_RIP itself. */
const leaves = (text: string, f: Form): string => `begin${dialect(f).suffix}(rec); ${text} finish(); return;`;
/** Far transfers take the operand size as 1, 2 or 3 for 16, 32 and 64 bits. */
const farSize = (f: Form): number => (f.size === 64 ? 3 : f.size >> 4);
/** Ports are at most 32 bits wide. */
const portForm = (f: Form): Form => (f.size === 64 ? { ...f, size: 32 } : f);
/** Stack helpers of 64-bit mode that work on 16 bits. */
const stack = (name: string, f: Form): string => `${name}${f.size}${f.long && f.size === 16 ? 'Long' : ''}`;

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
  rol: shift('rol'),
  ror: shift('ror'),
  rcl: shift('rcl'),
  rcr: shift('rcr'),
  shl: shift('shl'),
  shr: shift('shr'),
  sar: shift('sar'),
  shld: doubleShift('shld'),
  shrd: doubleShift('shrd'),
  bt: bits('BIT_TEST'),
  bts: bits('BIT_SET'),
  btr: bits('BIT_RESET'),
  btc: bits('BIT_COMPLEMENT'),
  bsf: (i, f) =>
    `const v = ${read(i.operands[1]!, f)}; if (v) setG${f.size}(rec, ${f.size === 64 ? '<u64>scanFlags(<u32>ctz<u64>(v))' : 'scanFlags(ctz<u32>(v))'}); else scanZero(); break;`,
  bsr: (i, f) =>
    `const v = ${read(i.operands[1]!, f)}; if (v) setG${f.size}(rec, ${f.size === 64 ? '<u64>scanFlags(63 - <u32>clz<u64>(v))' : 'scanFlags(31 - clz<u32>(v))'}); else scanZero(); break;`,
  popcnt: (i, f) => `setG${f.size}(rec, popcount${f.size === 64 ? '64' : ''}(${read(i.operands[1]!, f)})); break;`,
  mov: (i, f) => `${write(i.operands[0]!, f, read(i.operands[1]!, f))} break;`,
  xchg: (i, f) => {
    const other = i.operands[1]!;
    if (f.memory) return `${update(f, `g${f.size}(rec)`)} setG${f.size}(rec, v); break;`;
    return `const v = e${f.size}(rec); ${write(i.operands[0]!, f, read(other, f))} ${write(other, f, 'v')} break;`;
  },
  movzx: (i, f) => `${write('G', f, `${f.size === 64 ? '<u64>' : ''}${read(i.operands[1]!, f)}`)} break;`,
  movsx: (i, f) => {
    const narrow = `<i${i.operands[1]![1] === 'b' ? 8 : 16}>${read(i.operands[1]!, f)}`;
    return `${write('G', f, f.size === 64 ? `<u64>(<i64>(${narrow}))` : `<u32>(<i32>(${narrow}))`)} break;`;
  },
  // Without REX.W it is a plain move.
  movsxd: (i, f) => `${write('G', f, f.size === 64 ? `<u64>(<i64>(<i32>${read(i.operands[1]!, f)}))` : read(i.operands[1]!, f))} break;`,
  lea: (_i, f) => `setG${f.size}(rec, ${f.long ? `${f.size === 64 ? '' : '<u32>'}recOff64(rec)` : 'recOff32(rec)'}); break;`,
  push: (i, f) => `${stack('push', f)}(${read(i.operands[0]!, f)}); break;`,
  pop: (i, f) => {
    if (i.operands[0]![0] === 'E' && f.memory) return `${stack('popMem', f)}(rec); break;`;
    return `setE${f.size}(rec, ${stack('pop', f)}()); break;`;
  },
  pusha: (_i, f) => `pusha${f.size}(); break;`,
  popa: (_i, f) => `popa${f.size}(); break;`,
  pushf: (_i, f) => `${stack('pushf', f)}(); break;`,
  popf: (_i, f) => leaves(`${stack('popf', f)}(); setRip${dialect(f).suffix}(${dialect(f).next});`, f),
  enter: (_i, f) => `${stack('enter', f)}(imm(rec)); break;`,
  leave: (_i, f) => `${stack('leave', f)}(); break;`,
  bound: (_i, f) => `bound${f.size}(rec); break;`,
  nop: call(''),
  cbw: (_i, f) =>
    f.size === 16
      ? 'setA16(<u32>(<i32>(<i8>a8()))); break;'
      : f.size === 32
        ? 'setA32(<u32>(<i32>(<i16>a16()))); break;'
        : 'setA64(<u64>(<i64>(<i32>a32()))); break;',
  cwd: (_i, f) =>
    f.size === 16
      ? 'setGpr16(2, <u32>(<i32>(<i16>a16()) >> 15)); break;'
      : f.size === 32
        ? 'setGpr32(2, <u32>(<i32>a32() >> 31)); break;'
        : 'setGpr64(2, <u64>(<i64>a64() >> 63)); break;',
  mul: sized('mul'),
  imul: (i, f) => {
    if (i.operands.length === 1) return `imul${f.size}(${read(i.operands[0]!, f)}); break;`;
    const b = i.operands.length === 3 ? read('I', f) : `g${f.size}(rec)`;
    return `setG${f.size}(rec, imulTrunc${f.size}(${read(i.operands[1]!, f)}, ${b})); break;`;
  },
  div: sized('div'),
  idiv: sized('idiv'),
  cmpxchg: (_i, f) => {
    const s = f.size;
    // Memory is written in both cases (SDM volume 2, CMPXCHG); processors leave the upper half of a 32-bit register alone when it differs.
    if (f.memory) return `${update(f, `v == a ? g${s}(rec) : v`, `const a = a${s}(); `)} sub${s}(a, v); if (v != a) setA${s}(v); break;`;
    return `const v = e${s}(rec); const a = a${s}(); sub${s}(a, v); if (v == a) setE${s}(rec, g${s}(rec)); else setA${s}(v); break;`;
  },
  xadd: (_i, f) => {
    const s = f.size;
    if (f.memory) return `${update(f, `add${s}(v, g${s}(rec))`)} setG${s}(rec, v); break;`;
    return `const v = e${s}(rec); const sum = add${s}(v, g${s}(rec)); setG${s}(rec, v); setE${s}(rec, sum); break;`;
  },
  cmpxchg8b: (_i, f) => `cmpxchg${f.size === 64 ? '16b' : f.long ? '8bLong' : '8b'}(rec); break;`,
  // A 16-bit BSWAP is undefined; P6 cores clear the register.
  bswap: (_i, f) => (f.size === 16 ? 'setE16(rec, 0); break;' : `setE${f.size}(rec, bswap<u${f.size}>(e${f.size}(rec))); break;`),
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
  xlat: (_i, f) => `setA8(xlat${f.long ? 'Long' : ''}(rec)); break;`,
  movs: string('movs'),
  cmps: string('cmps'),
  stos: string('stos'),
  lods: string('lods'),
  scas: string('scas'),
  ins: string('ins', 32),
  outs: string('outs', 32),
  in: (i, form) => {
    const f = portForm(form);
    const port = `${read(i.operands[1]!, f)} & ${i.operands[1] === 'Iu' ? '0xff' : '0xffff'}`;
    return `${write('a', f, `portIn(${port}, ${f.size / 8})`)} break;`;
  },
  out: (i, form) => {
    const f = portForm(form);
    const { suffix, next } = dialect(form);
    const write = `portOut(${read(i.operands[0]!, f)} & ${i.operands[0] === 'Iu' ? '0xff' : '0xffff'}, ${read('a', f)}, ${f.size / 8});`;
    // It may have moved the memory that this code lies in (A20 gate, shadow RAM): the next instruction is looked up anew then.
    return `${write} if (attention()) { ${leaves(`setRip${suffix}(${next});`, form)} } break;`;
  },
  jmp: (i, f) => {
    const { suffix } = dialect(f);
    return i.operands[0]![0] === 'J'
      ? `rec = jump${suffix}(rec); if (!rec) return; continue;`
      : `rec = jumpTo${suffix}(rec, ${read(i.operands[0]!, f)}); if (!rec) return; continue;`;
  },
  call: (i, f) => {
    const { suffix, next } = dialect(f);
    if (i.operands[0]![0] === 'J')
      return `checkJump${suffix}(rec); push${f.size}(${next}); rec = jump${suffix}(rec); if (!rec) return; continue;`;
    return `const target = ${read(i.operands[0]!, f)}; checkTarget${suffix}(target); push${f.size}(${next}); rec = jumpTo${suffix}(rec, target); if (!rec) return; continue;`;
  },
  ret: (i, f) => `rec = ret${f.size}(rec${i.operands.length ? ', imm(rec) & 0xffff' : ', 0'}); if (!rec) return; continue;`,
  loop: (_i, f) => branchIf(`countLoop${dialect(f).suffix}(rec)`, f),
  loopz: (_i, f) => branchIf(`countLoop${dialect(f).suffix}(rec) && getZF()`, f),
  loopnz: (_i, f) => branchIf(`countLoop${dialect(f).suffix}(rec) && !getZF()`, f),
  jcxz: (_i, f) => branchIf(`!loopCount${dialect(f).suffix}(rec)`, f),
  callf: (i, f) =>
    leaves(
      i.operands[0] === 'A'
        ? `farCall(<u32>(load<u64>(rec, REC_IMM) >>> 32), <u64>imm(rec), ${farSize(f)}, ${dialect(f).rip});`
        : `farCallMem${dialect(f).suffix}(rec, ${farSize(f)}, ${dialect(f).next});`,
      f,
    ),
  jmpf: (i, f) =>
    leaves(
      i.operands[0] === 'A'
        ? `farJump(<u32>(load<u64>(rec, REC_IMM) >>> 32), <u64>imm(rec), ${farSize(f)}, ${dialect(f).rip});`
        : `farJumpMem${dialect(f).suffix}(rec, ${farSize(f)}, ${dialect(f).next});`,
      f,
    ),
  retf: (i, f) => leaves(`farRet(${farSize(f)}, ${i.operands.length ? 'imm(rec) & 0xffff' : '0'});`, f),
  iret: (_i, f) => leaves(`setIretLength(load<u8>(rec, REC_LENGTH)); iret(${farSize(f)});`, f),
  int3: (_i, f) => leaves(`int3(${dialect(f).rip});`, f),
  int: (_i, f) => leaves(`softInterrupt(imm(rec) & 0xff, ${dialect(f).rip});`, f),
  into: (_i, f) => leaves('if (getOF()) into(<u64>nextEip(rec)); else setRip(nextEip(rec));', f),
  ud2: call('raiseFault(VEC_UD)'),
  ud1: call('raiseFault(VEC_UD)'),
};

CONDITIONS.forEach((name, i) => {
  SEMANTICS[`j${name}`] = (_i, f) => branchIf(CONDITION_TEST[i]!, f);
  SEMANTICS[`set${name}`] = (_i, f) => `${write('Eb', f, `${CONDITION_TEST[i]} ? 1 : 0`)} break;`;
  // The source is read, and may fault, whatever the condition; a 32-bit destination is zero-extended even when the condition is false.
  SEMANTICS[`cmov${name}`] = (_i, f) =>
    f.long && f.size === 32
      ? `const v = ${read('E', f)}; setG32(rec, ${CONDITION_TEST[i]} ? v : g32(rec)); break;`
      : `const v = ${read('E', f)}; if (${CONDITION_TEST[i]}) setG${f.size}(rec, v); break;`;
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
      return leaves(`sysExec(rec, ${dialect(form).rip});`, form);
    case 'x87':
      // The x87 instruction pointer is saved from S_RIP.
      return form.long ? 'setRip64(thisRip(rec)); x87Exec(rec); break;' : 'setRip(thisEip(rec)); x87Exec(rec); break;';
    case 'simd':
      return 'simdExec(rec); break;';
  }
  const semantics = SEMANTICS[instruction.mnemonic];
  if (!semantics) throw new Error(`the instruction table names ${instruction.mnemonic}, which has no semantics`);
  const body = semantics(instruction, form);
  if (!form.flat || form.size === 16 || !FLAT.test(instruction.mnemonic)) return body;
  return form.long ? body.replace(/\brec(Lin|Off64)\(/g, `${form.flat}Lin(`) : flatBody(body, form.flat);
}

/** Instructions frequent enough to have flat forms. */
const FLAT = /^(mov|movzx|movsx|movsxd|lea|add|or|adc|sbb|and|sub|xor|cmp|test|inc|dec|push|pop|call|ret|jmp|leave)$/;

/**
 * Instructions and forms too rare to be in the main switch of 64-bit mode, which has room for 1024: they cost a call more. Hot memory forms
 * without a segment base are the flat ones.
 */
export function isCold(instruction: Instruction, form: Form): boolean {
  if (!form.long) return false;
  if (instruction.executor === 'simd' || instruction.executor === 'x87') return false;
  if (instruction.executor === 'sys') return true;
  const { mnemonic } = instruction;
  if (form.size === 16) return !(mnemonic === 'mov' || (mnemonic === 'cmp' && !form.memory));
  if (COLD.test(mnemonic)) return true;
  if (form.memory && (!form.flat || !FLAT.test(mnemonic))) return !SEGMENT_HOT.test(mnemonic);
  return false;
}

const COLD =
  /^(in|out|ins|outs|xlat|enter|lahf|sahf|cmc|std|int|int3|iret|callf|jmpf|retf|popf|ud1|ud2|rcl|rcr|shld|shrd|pushf|cmps|scas|lods|loopz|loopnz|loop|jcxz|seto|setno|setp|setnp|cmovo|cmovno|cmovp|cmovnp|jo|jno|btc)$/;
/** With FS or GS: per-processor data of kernels and thread-local storage. */
const SEGMENT_HOT = /^(mov|movzx|cmp|add|sub|cmpxchg|xadd|xchg|bt|bts|btr|cmov.*|imul|inc|dec)$/;

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
