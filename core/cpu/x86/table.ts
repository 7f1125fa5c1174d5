/**
 * The instruction table: every opcode the processor knows, of all modes and extensions (SDM volume 2, appendix A). Decoder tables, interpreter
 * dispatch and tests are generated from it.
 *
 * A row: opcode, mnemonic, operands, attributes.
 *  opcode    [v][np|66|f3|f2][0f|0f38|0f3a]hex[/n][+r]
 *              v             VEX-encoded: VEX.mmmmm is the map, VEX.pp the mandatory prefix
 *              np 66 f3 f2   mandatory prefix; none named: whatever prefix no other row of the opcode claims
 *              /n            modrm.reg extension;  +r  register in the low three bits of the opcode
 *  operands  SDM notation: E modrm operand, G modrm.reg, M memory only, R register only, I immediate, J relative target, O moffs,
 *            A far pointer, Z register in the opcode, B register VEX.vvvv, a accumulator, c CL, 1 the constant; then the width b byte,
 *            w word, d doubleword, v operand size, z immediate of at most 32 bits, s byte sign-extended to the operand size, y 32 or 64 bits
 *            (never 16), p far pointer in memory, q quadword, x other
 *  attributes
 *    core (default), sys, x87, simd   who executes it
 *    w:… r:…   flags written and read, as letters o s z a p c d i; undefined results count as written
 *    lock      LOCK is allowed with a memory destination
 *    end       leaves straight-line code: the decoder stops after it
 *    regmod    modrm.mod is ignored, the operand is a register (MOV CR/DR)
 *    i64 o64   invalid in 64-bit mode (#UD); exists in 64-bit mode only
 *    d64 f64   in 64-bit mode the operand size is 64 without REX.W (66 makes it 16); is 64 whatever the prefixes
 *    vsib      the index of the address is a vector register
 *    nov l0 w0 VEX.vvvv must be 1111b, VEX.L 0, VEX.W 0, else #UD
 *    p6 sse …  first processor, or the feature it depends on (FEATURES): 386 when absent
 *
 * Adding rows for executor simd needs nothing else: simdExec() gets the record (record.ts) with the prefixes, VEX bits and VEX.vvvv in it. A row
 * whose feature the CPU model lacks is #UD, or what the opcode means without the mandatory prefix when the table says that (LZCNT is BSR then).
 * Several rows may share an opcode when their mandatory prefix, extension or mode differs. Executor core also needs semantics.ts.
 */
import { EXTENSION_ROWS } from './extensionrows.ts';
import { FEATURES, type Feature } from './features.ts';

export type Executor = 'core' | 'sys' | 'x87' | 'simd';
export type MandatoryPrefix = 'any' | 'np' | '66' | 'f3' | 'f2';

export interface Instruction {
  /** 0 = one-byte opcodes, 1 = after 0F, 2 = after 0F 38, 3 = after 0F 3A. */
  map: 0 | 1 | 2 | 3;
  vex: boolean;
  prefix: MandatoryPrefix;
  opcode: number;
  /** modrm.reg extension, -1 when the whole opcode means one instruction. */
  extension: number;
  mnemonic: string;
  operands: string[];
  executor: Executor;
  flagsWritten: string;
  flagsRead: string;
  lock: boolean;
  end: boolean;
  registerMod: boolean;
  /** Where it exists. */
  mode: 'any' | 'not64' | 'only64';
  /** Operand size in 64-bit mode: 32 unless prefixed, 64 by default, or always 64. */
  size64: 'normal' | 'default64' | 'forced64';
  vsib: boolean;
  noVvvv: boolean;
  length0: boolean;
  wide0: boolean;
  cpu: '386' | '486' | 'p5' | 'p6' | 'mmx' | 'sse' | 'sse2';
  /** CPU feature without which it does not exist. */
  feature: Feature | undefined;
}

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
const CONDITIONS = ['o', 'no', 'b', 'nb', 'z', 'nz', 'be', 'nbe', 's', 'ns', 'p', 'np', 'l', 'nl', 'le', 'nle'];
const CONDITION_FLAGS = ['o', 'o', 'c', 'c', 'z', 'z', 'cz', 'cz', 's', 's', 'p', 'p', 'so', 'so', 'soz', 'soz'];
const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'shl', 'sar'];

const hex = (n: number): string => n.toString(16).padStart(2, '0');

function aluRows(): string {
  let text = '';
  ALU.forEach((name, i) => {
    const attributes = `w:oszapc${name === 'adc' || name === 'sbb' ? ' r:c' : ''}`;
    const lock = name === 'cmp' ? '' : ' lock';
    const op = i * 8;
    text += `${hex(op)} ${name} Eb,Gb ${attributes}${lock}\n${hex(op + 1)} ${name} Ev,Gv ${attributes}${lock}\n`;
    text += `${hex(op + 2)} ${name} Gb,Eb ${attributes}\n${hex(op + 3)} ${name} Gv,Ev ${attributes}\n`;
    text += `${hex(op + 4)} ${name} ab,Ib ${attributes}\n${hex(op + 5)} ${name} av,Iz ${attributes}\n`;
    text += `80/${i} ${name} Eb,Ib ${attributes}${lock}\n81/${i} ${name} Ev,Iz ${attributes}${lock}\n`;
    text += `82/${i} ${name} Eb,Ib ${attributes}${lock} i64\n83/${i} ${name} Ev,Is ${attributes}${lock}\n`;
  });
  return text;
}

function conditionRows(): string {
  let text = '';
  CONDITIONS.forEach((name, i) => {
    const reads = `r:${CONDITION_FLAGS[i]}`;
    text += `${hex(0x70 + i)} j${name} Jb ${reads} f64\n0f${hex(0x80 + i)} j${name} Jz ${reads} f64\n`;
    text += `0f${hex(0x90 + i)} set${name} Eb ${reads}\n0f${hex(0x40 + i)} cmov${name} Gv,Ev ${reads} p6\n`;
  });
  return text;
}

function shiftRows(): string {
  let text = '';
  SHIFTS.forEach((name, i) => {
    const attributes = i < 4 ? `w:oc${i === 2 || i === 3 ? ' r:c' : ''}` : 'w:oszapc';
    text += `c0/${i} ${name} Eb,Ib ${attributes}\nc1/${i} ${name} Ev,Ib ${attributes}\n`;
    text += `d0/${i} ${name} Eb,1 ${attributes}\nd1/${i} ${name} Ev,1 ${attributes}\n`;
    text += `d2/${i} ${name} Eb,c ${attributes}\nd3/${i} ${name} Ev,c ${attributes}\n`;
  });
  return text;
}

function range(first: number, last: number, row: string): string {
  let text = '';
  for (let op = first; op <= last; op++) text += `0f${hex(op)} ${row}\n`;
  return text;
}

const ROWS = `
${aluRows()}${conditionRows()}${shiftRows()}
06 push_es - sys end i64
07 pop_es - sys end i64
0e push_cs - sys end i64
16 push_ss - sys end i64
17 pop_ss - sys end i64
1e push_ds - sys end i64
1f pop_ds - sys end i64
27 daa - w:oszapc r:ac i64
2f das - w:oszapc r:ac i64
37 aaa - w:oszapc r:a i64
3f aas - w:oszapc r:a i64
40+r inc Zv w:oszap i64
48+r dec Zv w:oszap i64
50+r push Zv d64
58+r pop Zv d64
60 pusha - i64
61 popa - i64
62 bound Gv,Mx i64
63 movsxd Gv,Ed o64
63 arpl Ew,Gw sys end w:z i64
68 push Iz d64
69 imul Gv,Ev,Iz w:oszapc
6a push Is d64
6b imul Gv,Ev,Is w:oszapc
6c ins b
6d ins v
6e outs b
6f outs v
84 test Eb,Gb w:oszapc
85 test Ev,Gv w:oszapc
86 xchg Eb,Gb lock
87 xchg Ev,Gv lock
88 mov Eb,Gb
89 mov Ev,Gv
8a mov Gb,Eb
8b mov Gv,Ev
8c mov_from_sreg Ev sys end
8d lea Gv,Mx
8e mov_to_sreg Ew sys end
8f/0 pop Ev d64
90 nop -
91+r xchg Zv,av
98 cbw v
99 cwd v
9a callf A end i64
9b wait - x87
9c pushf v r:oszapcdi d64
9d popf v end w:oszapcdi d64
9e sahf - i64 w:szapc
9f lahf - i64 r:szapc
9e sahf - o64 w:szapc lahf64
9f lahf - o64 r:szapc lahf64
a0 mov ab,Ob
a1 mov av,Ov
a2 mov Ob,ab
a3 mov Ov,av
a4 movs b r:d
a5 movs v r:d
a6 cmps b r:d w:oszapc
a7 cmps v r:d w:oszapc
a8 test ab,Ib w:oszapc
a9 test av,Iz w:oszapc
aa stos b r:d
ab stos v r:d
ac lods b r:d
ad lods v r:d
ae scas b r:d w:oszapc
af scas v r:d w:oszapc
b0+r mov Zb,Ib
b8+r mov Zv,Iv
c2 ret Iw end f64
c3 ret - end f64
c4 les Gv,Mp sys end i64
c5 lds Gv,Mp sys end i64
c6/0 mov Eb,Ib
c7/0 mov Ev,Iz
c8 enter Ienter d64
c9 leave v d64
ca retf Iw end
cb retf - end
cc int3 - end
cd int Iu end
ce into - end r:o i64
cf iret v end w:oszapcdi
d4 aam Iu w:oszapc i64
d5 aad Iu w:oszapc i64
d6 salc - r:c i64
d7 xlat Ob
e0 loopnz Jb r:z f64
e1 loopz Jb r:z f64
e2 loop Jb f64
e3 jcxz Jb f64
e4 in ab,Iu
e5 in av,Iu
e6 out Iu,ab
e7 out Iu,av
e8 call Jz end f64
e9 jmp Jz end f64
ea jmpf A end i64
eb jmp Jb end f64
ec in ab,dx
ed in av,dx
ee out dx,ab
ef out dx,av
f1 icebp - sys end
f4 hlt - sys end
f5 cmc - w:c r:c
f6/0 test Eb,Ib w:oszapc
f6/1 test Eb,Ib w:oszapc
f6/2 not Eb lock
f6/3 neg Eb w:oszapc lock
f6/4 mul Eb w:oszapc
f6/5 imul Eb w:oszapc
f6/6 div Eb w:oszapc
f6/7 idiv Eb w:oszapc
f7/0 test Ev,Iz w:oszapc
f7/1 test Ev,Iz w:oszapc
f7/2 not Ev lock
f7/3 neg Ev w:oszapc lock
f7/4 mul Ev w:oszapc
f7/5 imul Ev w:oszapc
f7/6 div Ev w:oszapc
f7/7 idiv Ev w:oszapc
f8 clc - w:c
f9 stc - w:c
fa cli - sys end w:i
fb sti - sys end w:i
fc cld - w:d
fd std - w:d
fe/0 inc Eb w:oszap lock
fe/1 dec Eb w:oszap lock
ff/0 inc Ev w:oszap lock
ff/1 dec Ev w:oszap lock
ff/2 call Ev end f64
ff/3 callf Mp end
ff/4 jmp Ev end f64
ff/5 jmpf Mp end
ff/6 push Ev d64
0f00 group6 Ew sys end
0f01 group7 Ex sys end
0f02 lar Gv,Ew sys end w:z
0f03 lsl Gv,Ew sys end w:z
0f05 syscall - sys end
0f06 clts - sys end
0f07 sysret - sys end
0f08 invd - sys end 486
0f09 wbinvd - sys end 486
0f0b ud2 - end
0f0d nop Ev p6
0f18 prefetch Ex simd sse
0f20 mov_from_cr R sys end regmod f64
0f21 mov_from_dr R sys end regmod f64
0f22 mov_to_cr R sys end regmod f64
0f23 mov_to_dr R sys end regmod f64
0f30 wrmsr - sys end p5
0f31 rdtsc - sys end p5
0f32 rdmsr - sys end p5
0f33 rdpmc - sys end p6
0f34 sysenter - sys end p6
0f35 sysexit - sys end p6
0fa0 push_fs - sys end d64
0fa1 pop_fs - sys end d64
0fa2 cpuid - sys end 486
0fa3 bt Ev,Gv w:c
0fa4 shld Ev,Gv,Ib w:oszapc
0fa5 shld Ev,Gv,c w:oszapc
0fa8 push_gs - sys end d64
0fa9 pop_gs - sys end d64
0faa rsm - sys end
0fab bts Ev,Gv w:c lock
0fac shrd Ev,Gv,Ib w:oszapc
0fad shrd Ev,Gv,c w:oszapc
0fae group15 Ex simd sse
f30fae/0 rdfsbase R sys end o64 fsgsbase
f30fae/1 rdgsbase R sys end o64 fsgsbase
f30fae/2 wrfsbase R sys end o64 fsgsbase
f30fae/3 wrgsbase R sys end o64 fsgsbase
0faf imul Gv,Ev w:oszapc
0fb0 cmpxchg Eb,Gb w:oszapc lock 486
0fb1 cmpxchg Ev,Gv w:oszapc lock 486
0fb2 lss Gv,Mp sys end
0fb3 btr Ev,Gv w:c lock
0fb4 lfs Gv,Mp sys end
0fb5 lgs Gv,Mp sys end
0fb6 movzx Gv,Eb
0fb7 movzx Gv,Ew
f30fb8 popcnt Gv,Ev w:oszapc popcnt
0fb9 ud1 Ex end
0fba/4 bt Ev,Ib w:c
0fba/5 bts Ev,Ib w:c lock
0fba/6 btr Ev,Ib w:c lock
0fba/7 btc Ev,Ib w:c lock
0fbb btc Ev,Gv w:c lock
0fbc bsf Gv,Ev w:oszapc
0fbd bsr Gv,Ev w:oszapc
0fbe movsx Gv,Eb
0fbf movsx Gv,Ew
0fc0 xadd Eb,Gb w:oszapc lock 486
0fc1 xadd Ev,Gv w:oszapc lock 486
0fc7/1 cmpxchg8b Mq w:z lock p5
0fc7/6 rdrand R sys end w:oszapc rdrand
0fc7/7 rdseed R sys end w:oszapc
0fc8+r bswap Zv 486
660f3882 invpcid Gy,Mx sys end invpcid
${range(0x19, 0x1f, 'nop Ev p6')}
${range(0x10, 0x17, 'simd Ex simd sse')}
${range(0x28, 0x2d, 'simd Ex simd sse')}
${range(0x2e, 0x2f, 'simd Ex simd sse w:oszapc')}
${range(0x50, 0x6f, 'simd Ex simd mmx')}
${range(0x70, 0x73, 'simd Ex,Ib simd mmx')}
${range(0x74, 0x76, 'simd Ex simd mmx')}
0f77 emms - simd mmx
${range(0x7e, 0x7f, 'simd Ex simd mmx')}
0fc2 simd Ex,Ib simd sse
0fc3 movnti Ex simd sse2
0fc4 simd Ex,Ib simd sse
0fc5 simd Ex,Ib simd sse
0fc6 simd Ex,Ib simd sse
${range(0xd1, 0xef, 'simd Ex simd mmx')}
${range(0xf1, 0xfe, 'simd Ex simd mmx')}
d8 x87 Ex x87
d9 x87 Ex x87
da x87 Ex x87
db x87 Ex x87 w:zpc
dc x87 Ex x87
dd x87 Ex x87
de x87 Ex x87
df x87 Ex x87 w:zpc
${EXTENSION_ROWS}`;

const CPUS = ['486', 'p5', 'p6', 'mmx', 'sse', 'sse2'] as const;
const OPCODE = /^(v)?(np|66|f3|f2)?(0f38|0f3a|0f)?([0-9a-f]{2})(?:\/(\d))?(\+r)?$/;
const MAPS = { '': 0, '0f': 1, '0f38': 2, '0f3a': 3 } as const;

export function parseRow(line: string): Instruction[] {
  const [code = '', mnemonic = '', operands = '', ...attributes] = line.trim().split(/\s+/);
  const match = OPCODE.exec(code);
  if (!match) throw new Error(`bad opcode in the instruction table: ${line}`);
  const has = (name: string): boolean => attributes.includes(name);
  const first = Number.parseInt(match[4]!, 16);
  const instruction: Instruction = {
    map: MAPS[(match[3] ?? '') as keyof typeof MAPS],
    vex: match[1] !== undefined,
    prefix: (match[2] ?? 'any') as MandatoryPrefix,
    opcode: first,
    extension: match[5] ? Number(match[5]) : -1,
    mnemonic,
    operands: operands === '-' ? [] : operands.split(','),
    executor: (['sys', 'x87', 'simd'] as const).find(has) ?? 'core',
    flagsWritten: attributes.find((a) => a.startsWith('w:'))?.slice(2) ?? '',
    flagsRead: attributes.find((a) => a.startsWith('r:'))?.slice(2) ?? '',
    lock: has('lock'),
    end: has('end'),
    registerMod: has('regmod'),
    mode: has('i64') ? 'not64' : has('o64') ? 'only64' : 'any',
    size64: has('f64') ? 'forced64' : has('d64') ? 'default64' : 'normal',
    vsib: has('vsib'),
    noVvvv: has('nov'),
    length0: has('l0'),
    wide0: has('w0'),
    cpu: CPUS.find(has) ?? '386',
    feature: FEATURES.find(has),
  };
  if (instruction.vex && instruction.map === 0) throw new Error(`VEX has no one-byte map: ${line}`);
  if (!match[6]) return [instruction];
  const last = (first & 0xf8) + 7;
  return Array.from({ length: last - first + 1 }, (_, i) => ({ ...instruction, opcode: first + i }));
}

export const INSTRUCTIONS: readonly Instruction[] = ROWS.split('\n')
  .filter((line) => line.trim() !== '')
  .flatMap(parseRow);

export { CONDITIONS };
