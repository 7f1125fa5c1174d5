import { SYNTAX_ROWS } from './syntaxrows.ts';
import { INSTRUCTIONS, type Instruction } from './table.ts';

/** One way to read an opcode. */
export interface Syntax {
  vex: boolean;
  map: 0 | 1 | 2 | 3;
  prefix: 'any' | 'np' | '66' | 'f3' | 'f2';
  opcode: number;
  /** modrm.reg, -1 for any. */
  extension: number;
  /** Memory or register form only. */
  form: '' | 'm' | 'r';
  /** The whole modrm byte. */
  exact: number | undefined;
  name: string;
  operands: readonly string[];
  modrm: boolean;
  mode: Instruction['mode'];
  size64: Instruction['size64'];
  /** VEX.W must be this. */
  wide: boolean | undefined;
  /** VEX.L must be 1. */
  long: boolean;
  /** The first operand of the VEX form is an XMM register whatever VEX.L. */
  narrow: boolean;
  /** LOCK makes sense. */
  lock: boolean;
}

/** Rows of the table that only say who executes the opcode. */
const PLACEHOLDERS = new Set(['simd', 'x87', 'group6', 'group7', 'group15', 'prefetch']);

const ROW = /^(np|66|f3|f2)?(0f38|0f3a|0f)?([0-9a-f]{2})(?:\/(\d))?([mr])?(?::([0-9a-f]{2}))?$/;
const MAPS = { '': 0, '0f': 1, '0f38': 2, '0f3a': 3 } as const;
/** Operands that need a modrm byte. */
const MODRM = /^[EGMRVWUPQNSCD]|^sti$/;

/** Operands of table rows that are written otherwise. */
const TABLE_OPERANDS: { readonly [mnemonic: string]: readonly string[] } = {
  mov_from_sreg: ['Esl', 'Sw'],
  mov_to_sreg: ['Sw', 'Esr'],
  mov_from_cr: ['Rn', 'Cn'],
  mov_to_cr: ['Cn', 'Rn'],
  mov_from_dr: ['Rn', 'Dn'],
  mov_to_dr: ['Dn', 'Rn'],
  push_es: ['es'],
  push_cs: ['cs'],
  push_ss: ['ss'],
  push_ds: ['ds'],
  push_fs: ['fs'],
  push_gs: ['gs'],
  pop_es: ['es'],
  pop_ss: ['ss'],
  pop_ds: ['ds'],
  pop_fs: ['fs'],
  pop_gs: ['gs'],
  arpl: ['Ew', 'Gw'],
  lar: ['Gv', 'Esr'],
  lsl: ['Gv', 'Esr'],
  ud1: ['Gv', 'Ev'],
  bound: ['Gv', 'Mbound'],
  lea: ['Gv', 'Mn'],
  invpcid: ['Gptr', 'Mn'],
  callf: ['far'],
  jmpf: ['far'],
  les: ['Gv', 'Mf'],
  lds: ['Gv', 'Mf'],
  lss: ['Gv', 'Mf'],
  lfs: ['Gv', 'Mf'],
  lgs: ['Gv', 'Mf'],
  rdrand: ['Rv'],
  rdseed: ['Rv'],
  rdfsbase: ['Ry'],
  rdgsbase: ['Ry'],
  wrfsbase: ['Ry'],
  wrgsbase: ['Ry'],
  xchg: [],
};

function fromTable(row: Instruction): Syntax[] {
  if (PLACEHOLDERS.has(row.mnemonic)) return [];
  let { operands } = row;
  const special = TABLE_OPERANDS[row.mnemonic];
  if (row.mnemonic === 'callf' || row.mnemonic === 'jmpf') operands = [row.operands[0] === 'A' ? 'A' : 'Mf'];
  else if (special?.length) operands = [...special];
  // Strings name their width alone; cbw and the like too.
  if (/^(ins|outs|movs|cmps|stos|lods|scas)$/.test(row.mnemonic)) operands = STRINGS[row.mnemonic]!(row.operands[0]!);
  else if (operands.length === 1 && /^[bv]$/.test(operands[0]!)) operands = [];
  return [
    {
      vex: row.vex,
      map: row.map,
      prefix: row.prefix,
      opcode: row.opcode,
      extension: row.extension,
      form: row.mnemonic === 'movbe' ? 'm' : '',
      exact: undefined,
      name: row.mnemonic,
      operands,
      modrm: row.extension >= 0 || operands.some((operand) => MODRM.test(operand)),
      mode: row.mode,
      size64: row.size64,
      wide: undefined,
      long: false,
      narrow: false,
      lock: row.lock,
    },
  ];
}

const STRINGS: { readonly [name: string]: (width: string) => string[] } = {
  ins: (w) => [`Y${w === 'v' ? 'z' : w}`, 'dx'],
  outs: (w) => ['dx', `X${w === 'v' ? 'z' : w}`],
  movs: (w) => [`Y${w}`, `X${w}`],
  cmps: (w) => [`X${w}`, `Y${w}`],
  stos: (w) => [`Y${w}`, `a${w}`],
  lods: (w) => [`a${w}`, `X${w}`],
  scas: (w) => [`a${w}`, `Y${w}`],
};

function fromText(line: string): Syntax[] {
  const [code = '', name = '', list = '', attributes = ''] = line.trim().split(/[ \t]+/);
  const rest = line
    .trim()
    .split(/[ \t]+/)
    .slice(3);
  const match = ROW.exec(code);
  if (!match) throw new Error(`bad row for the disassembler: ${line}`);
  const operands = list === '-' ? [] : list.split(',');
  const kind = rest.find((word) => /^[vmahy]+$/.test(word)) ?? '';
  const plain: Syntax = {
    vex: false,
    map: MAPS[(match[2] ?? '') as keyof typeof MAPS],
    prefix: (match[1] ?? 'any') as Syntax['prefix'],
    opcode: Number.parseInt(match[3]!, 16),
    extension: match[4] ? Number(match[4]) : -1,
    form: (match[5] ?? '') as Syntax['form'],
    exact: match[6] ? Number.parseInt(match[6], 16) : undefined,
    name: name.replaceAll('\u00a0', ' '),
    operands,
    modrm: match[4] !== undefined || match[6] !== undefined || operands.some((operand) => MODRM.test(operand)),
    mode: attributes.includes('o64') ? 'only64' : 'any',
    size64: 'normal',
    wide: rest.includes('w0') ? false : rest.includes('w1') ? true : undefined,
    long: rest.includes('l1'),
    narrow: kind.includes('y'),
    lock: false,
  };
  if (kind.includes('a')) return [{ ...plain, vex: true, prefix: plain.prefix === 'any' ? 'np' : plain.prefix }];
  const out = [plain];
  const vexName = `v${name}`;
  if (kind.includes('v')) {
    // VEX.vvvv stands after the first operand, as wide as the register it takes the rest from.
    const width = operands[0]!.slice(1);
    out.push({ ...plain, vex: true, name: vexName, operands: [operands[0]!, `H${width}`, ...operands.slice(1)] });
  } else if (kind.includes('h')) out.push({ ...plain, vex: true, name: vexName, operands: [`H${operands[0]!.slice(1)}`, ...operands] });
  else if (kind.includes('m')) out.push({ ...plain, vex: true, name: vexName });
  return out;
}

const byOpcode = new Map<number, Syntax[]>();

const keyOf = (vex: boolean, map: number, opcode: number) => (vex ? 0x1000 : 0) | (map << 8) | opcode;

function add(row: Syntax): void {
  const key = keyOf(row.vex, row.map, row.opcode);
  byOpcode.set(key, [...(byOpcode.get(key) ?? []), row]);
}

for (const line of SYNTAX_ROWS.split('\n')) if (line.trim()) fromText(line).forEach(add);
/** Opcodes that the text describes, and names there. */
const described = new Set([...byOpcode].flatMap(([key, rows]) => rows.map(({ name }) => `${key} ${name}`)));
for (const row of INSTRUCTIONS) if (!described.has(`${keyOf(row.vex, row.map, row.opcode)} ${row.mnemonic}`)) fromTable(row).forEach(add);

/** Every reading of an opcode. */
export function candidates(vex: boolean, map: number, opcode: number): readonly Syntax[] {
  return byOpcode.get(keyOf(vex, map, opcode)) ?? [];
}

/** All of them, for the tests. */
export function allSyntax(): Syntax[] {
  return [...byOpcode.values()].flat();
}
