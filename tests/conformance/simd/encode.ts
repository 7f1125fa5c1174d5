/**
 * Instructions under test in one line each, and how their bytes and start states are drawn.
 *
 *   name | encoding | operands | data and options
 *
 *  encoding  prefix (np 66 f3 f2), map (0f 0f38 0f3a), opcode, /n; VEX: `v` before the prefix and w0, w1, wig, L0, L1 or Lig (128 and 256 bits)
 *  operands  V/H/W vector register in modrm.reg, VEX.vvvv, modrm.rm or memory (then its bytes, 0 = 16 or 32 by VEX.L; `a` = must be aligned);
 *            U vector register in rm; G/B/E general register in reg, vvvv, rm or memory; R general register in rm; P/Q MMX register in reg, rm
 *            or memory; N MMX register in rm; M memory only; X memory with a vector index; I immediate byte; L vector register in immediate bits
 *            4..7. Operands of general registers are 32 bits wide, 64 with `w1`, `gb` bytes, `gv` also 16 bits.
 *  data      int f32 f64 f16: what vectors hold; options: flags=hex (undefined ones), relative, ud (also draw VEX fields that are wrong), bare (no ModRM byte)
 */
import type { Random } from '../fp/record.ts';

export interface Case {
  name: string;
  prefix: string;
  map: 1 | 2 | 3;
  opcode: number;
  extension: number;
  vex: boolean;
  w: '0' | '1' | 'ig';
  l: '0' | '1' | 'ig';
  operands: string[];
  data: 'int' | 'f32' | 'f64' | 'f16';
  options: string[];
  undefinedFlags: number;
}

export function parse(line: string): Case {
  const [name = '', encoding = '', operands = '', rest = ''] = line.split('|').map((s) => s.trim());
  const words = encoding.split(/\s+/);
  const match = /^(v?)(np|66|f3|f2)$/.exec(words[0] ?? '');
  const code = /^([0-9a-f]{2})(?:\/(\d))?$/.exec(words[2] ?? '');
  if (!match || !code) throw new Error(`bad test line: ${line}`);
  const options = rest.split(/\s+/).filter((s) => s !== '');
  const data = options.find((o): o is Case['data'] => /^(int|f32|f64|f16)$/.test(o));
  const flags = options.find((o) => o.startsWith('flags='));
  return {
    name,
    prefix: match[2]!,
    map: words[1] === '0f3a' ? 3 : words[1] === '0f38' ? 2 : 1,
    opcode: Number.parseInt(code[1]!, 16),
    extension: code[2] ? Number(code[2]) : -1,
    vex: match[1] === 'v',
    w: words.includes('w1') ? '1' : words.includes('wig') ? 'ig' : '0',
    l: words.includes('L1') ? '1' : words.includes('Lig') ? 'ig' : '0',
    operands: operands.split(',').filter((o) => o !== ''),
    data: data ?? 'int',
    options,
    undefinedFlags: flags ? Number.parseInt(flags.slice(6), 16) : 0,
  };
}

export interface Encoded {
  bytes: number[];
  /** VEX.L as encoded. */
  wide: boolean;
}

/** rsi, rdi and r14 point at memory; rsp is the host's stack. */
const POINTERS = [6, 7];

/** `mode` 64 also draws registers 8..15. */
export function encode(random: Random, c: Case, mode: 32 | 64): Encoded {
  const many = mode === 64 ? 16 : 8;
  const vector = (): number => random.below(many);
  const general = (): number => {
    const r = random.below(many);
    return r === 4 ? 2 : r;
  };
  const bad = c.options.includes('ud') && random.chance(8);
  let l = c.l === 'ig' ? random.below(2) : Number(c.l);
  let w = c.w === 'ig' ? random.below(2) : Number(c.w);
  const gpr = c.operands.some((o) => /^[GBER]/.test(o));
  // A 64-bit general register needs 64-bit mode; a wide legacy form a REX prefix.
  if (mode === 32 && (!c.vex || gpr)) w = 0;
  if (mode === 64 && c.vex && gpr && c.options.includes('gy')) w = random.below(2);
  if (mode === 64 && !c.vex && /gy|gv/.test(c.options.join()) && random.chance(50)) w = 1;
  let reg = c.extension >= 0 ? c.extension : 0;
  let rm = 0;
  let vvvv = 0;
  let memory = false;
  let vsib = false;
  let size = 0;
  let aligned = false;
  let imm: number | undefined;
  for (const o of c.operands) {
    switch (o[0]) {
      case 'V':
        reg = vector();
        break;
      case 'P':
        reg = random.below(8);
        break;
      case 'G':
        reg = general();
        break;
      case 'H':
        vvvv = vector();
        break;
      case 'B':
        vvvv = general();
        break;
      case 'L':
        imm = (imm ?? random.below(16)) & 15;
        imm |= vector() << 4;
        break;
      case 'I':
        imm = random.chance(60) ? random.below(64) : random.below(256);
        break;
      case 'X':
        vsib = true;
        memory = true;
        break;
      default:
        // rm operands
        size = Number(/\d+/.exec(o)?.[0] ?? 0);
        aligned = o.endsWith('a');
        memory = o[0] === 'M' || (/^[WEQ]/.test(o) && random.chance(50));
        rm = /^[WU]/.test(o) ? vector() : /^[QN]/.test(o) ? random.below(8) : general();
    }
  }
  if (bad) {
    const kind = random.below(3);
    if (kind === 0 && !c.operands.some((o) => /^[HB]/.test(o))) vvvv = 1 + random.below(7);
    else if (kind === 1 && c.l !== 'ig') l ^= 1;
    else if (kind === 2 && c.w !== 'ig' && !c.options.includes('gy')) w ^= 1;
  }
  const bytes: number[] = [];
  let base = 0;
  let index = 0;
  let modrm: number[];
  if (vsib) {
    // [rdi + index * scale + disp8]
    base = 7;
    // Even registers hold indices that stay inside the memory (harness.ts).
    index = vector() & ~1;
    modrm = [0x44 | ((reg & 7) << 3), (random.below(4) << 6) | ((index & 7) << 3) | base, 0];
  } else if (memory) {
    base = mode === 64 && random.chance(30) ? 14 : POINTERS[random.below(2)]!;
    const want = size || (l ? 32 : 16);
    const step = aligned && random.chance(92) ? size || (l ? 32 : 16) : 1;
    const offset = random.below(Math.floor((127 - want) / step)) * step;
    modrm = [0x40 | ((reg & 7) << 3) | (base & 7), offset & 0x7f];
  } else modrm = [0xc0 | ((reg & 7) << 3) | (rm & 7)];
  const r = reg >> 3;
  const x = vsib ? index >> 3 : 0;
  const b = memory ? base >> 3 : rm >> 3;
  if (c.vex) {
    const pp = ['np', '66', 'f3', 'f2'].indexOf(c.prefix);
    const last = (w << 7) | ((vvvv ^ 15) << 3) | (l << 2) | pp;
    if (c.map === 1 && !w && !x && !b && random.chance(50)) bytes.push(0xc5, ((r ^ 1) << 7) | (last & 0x7f));
    else bytes.push(0xc4, ((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | c.map, last);
  } else {
    if (c.options.includes('gv') && !w && random.chance(30)) bytes.push(0x66);
    if (c.prefix !== 'np') bytes.push(Number.parseInt(c.prefix, 16));
    const rex = (w << 3) | (r << 2) | (x << 1) | b;
    if (rex || (mode === 64 && random.chance(10))) bytes.push(0x40 | rex);
    bytes.push(0x0f);
    if (c.map === 2) bytes.push(0x38);
    else if (c.map === 3) bytes.push(0x3a);
  }
  bytes.push(c.opcode);
  if (!c.options.includes('bare')) bytes.push(...modrm);
  if (imm !== undefined) bytes.push(imm);
  return { bytes, wide: l === 1 };
}
