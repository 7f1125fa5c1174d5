import type { Decoded } from './disassembleprefix.ts';
import { addressSize, operandSize, useOperandSize, wideSize } from './disassemblesize.ts';

const CONDITION_NAMES: { readonly [name: string]: string } = { nb: 'ae', z: 'e', nz: 'ne', nbe: 'a', nl: 'ge', nle: 'g' };
const PREDICATES = [
  'eq',
  'lt',
  'le',
  'unord',
  'neq',
  'nlt',
  'nle',
  'ord',
  'eq_uq',
  'nge',
  'ngt',
  'false',
  'neq_oq',
  'ge',
  'gt',
  'true',
  'eq_os',
  'lt_oq',
  'le_oq',
  'unord_s',
  'neq_us',
  'nlt_uq',
  'nle_uq',
  'ord_s',
  'eq_us',
  'nge_uq',
  'ngt_uq',
  'false_os',
  'neq_os',
  'ge_oq',
  'gt_oq',
  'true_us',
];
const CARRYLESS: { readonly [immediate: number]: string } = { 0: 'lqlq', 1: 'hqlq', 16: 'lqhq', 17: 'hqhq' };
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/** The mnemonic as it is shown; undefined when the bytes mean nothing after all. */
export function finishName(decoded: Decoded): string | undefined {
  const { name } = decoded.syntax;
  const { prefixes, bits } = decoded;
  const condition = /^(j|set|cmov)(nbe|nb|nz|z|nle|nl)$/.exec(name);
  if (condition) return `${condition[1]}${CONDITION_NAMES[condition[2]!]}`;
  if (/^(push|pop)_/.test(name)) return name.slice(0, name.indexOf('_')) + stackSuffix(decoded);
  if (/^mov_(from|to)_/.test(name)) return 'mov';
  switch (name) {
    case 'nop':
      return nopName(decoded);
    case 'xchg':
      return name;
    case 'loopnz':
      return 'loopne';
    case 'loopz':
      return 'loope';
    case 'jcxz':
      decoded.used = { ...decoded.used, addressSize: true };
      return ['jcxz', 'jecxz', 'jrcxz'][addressSize(decoded) >> 2]!.replace('undefined', '');
    case 'callf':
      return 'call';
    case 'jmpf':
      return 'jmp';
    case 'icebp':
      return 'int1';
    case 'wait':
      return 'fwait';
    case 'ud1':
      return 'ud1';
    case 'cbw':
      return ['', '', 'cbw', '', 'cwde', '', '', '', 'cdqe'][useOperandSize(decoded)];
    case 'cwd':
      return ['', '', 'cwd', '', 'cdq', '', '', '', 'cqo'][useOperandSize(decoded)];
    case 'mov':
      return isWideMove(decoded) ? 'movabs' : 'mov';
    case 'pusha':
    case 'popa':
    case 'pushf':
    case 'popf':
    case 'enter':
    case 'leave':
    case 'ret':
    case 'retf':
    case 'iret':
      return `${name}${sizeSuffix(decoded)}`;
    case 'call':
    case 'jmp':
      return `${name}${decoded.syntax.operands[0] === 'Jz' && bits !== 64 ? sizeSuffix(decoded) : ''}`;
    case 'sysret':
      return `sysret${wideSize(decoded) === 8 ? useWide(decoded, 'q') : 'd'}`.replace(/d$/, 'd');
    case 'sysexit':
      return `sysexit${wideSize(decoded) === 8 ? useWide(decoded, 'q') : 'd'}`.replace(/d$/, bits === 64 ? 'd' : '');
    case 'sgdtd':
    case 'sidtd':
    case 'lgdtd':
    case 'lidtd':
      return descriptorTable(decoded);
    case 'cmpxchg8w':
      return wideSize(decoded) === 8 ? useWide(decoded, 'cmpxchg16b') : 'cmpxchg8b';
    case 'vzero':
      return prefixes.vex?.long ? 'vzeroall' : 'vzeroupper';
    case 'movdq':
    case 'vmovdq':
    case 'pextrdq':
    case 'vpextrdq':
    case 'pinsrdq':
    case 'vpinsrdq':
      return `${name.slice(0, -2)}${wideSize(decoded) === 8 ? useWide(decoded, 'q') : 'd'}`;
    case 'endbr':
      return name;
  }
  if (/^(fx(save|rstor)|xsave\w*|xrstor\w*)w$/.test(name))
    return `${name.slice(0, -1)}${wideSize(decoded) === 8 ? useWide(decoded, '64') : ''}`;
  if (/^f(ldenv|nstenv|rstor|nsave)w$/.test(name)) return `${name.slice(0, -1)}${environmentSuffix(decoded)}`;
  if (/^v?cmp[ps][sd]$/.test(name)) return compareName(decoded, name);
  if (/^v?pclmulqdq$/.test(name)) return carrylessName(decoded, name);
  if (/^vf.*[ps]$/.test(name) || /^vgather[dq]p$/.test(name)) return `${name}${prefixes.vex?.wide ? 'd' : 's'}`;
  if (/^(vpsrlv|vpsllv|vpmaskmov|vpgatherd|vpgatherq)$/.test(name)) return `${name}${prefixes.vex?.wide ? 'q' : 'd'}`;
  return name;
}

function useWide(decoded: Decoded, text: string): string {
  decoded.used = { ...decoded.used, wide: true };
  return text;
}

/** The default operand size of the mode for instructions that work on the stack. */
const usual = (decoded: Decoded) => (decoded.bits === 16 ? 2 : decoded.bits === 32 ? 4 : 8);

function sizeSuffix(decoded: Decoded): string {
  const { bits, prefixes, syntax } = decoded;
  const { name } = syntax;
  if (name === 'iret' || name === 'retf') {
    const size = useOperandSize(decoded);
    if (size === 8) return name === 'iret' ? 'q' : 'q';
    return size === (bits === 16 ? 2 : 4) ? '' : size === 2 ? 'w' : 'd';
  }
  if (!prefixes.operandSize) return '';
  const size = useOperandSize(decoded);
  if (size === usual(decoded)) return '';
  return size === 2 ? 'w' : 'd';
}

function stackSuffix(decoded: Decoded): string {
  if (!decoded.prefixes.operandSize) return '';
  const size = useOperandSize(decoded);
  return size === usual(decoded) ? '' : size === 2 ? 'w' : 'd';
}

function environmentSuffix(decoded: Decoded): string {
  if (!decoded.prefixes.operandSize) return '';
  decoded.used = { ...decoded.used, operandSize: true };
  return decoded.bits === 16 ? 'd' : 'w';
}

function descriptorTable(decoded: Decoded): string {
  const name = decoded.syntax.name.slice(0, -1);
  if (decoded.bits === 64) return name;
  decoded.used = { ...decoded.used, operandSize: true };
  return `${name}${operandSize(decoded) === 2 ? 'w' : 'd'}`;
}

function isWideMove(decoded: Decoded): boolean {
  const { opcode, map, bits } = decoded;
  if (bits !== 64 || map !== 0) return false;
  if (opcode >= 0xa0 && opcode <= 0xa3) return addressSize(decoded) === 8;
  return opcode >= 0xb8 && opcode <= 0xbf && operandSize(decoded) === 8;
}

/** 90h alone: NOP, PAUSE, or an exchange with the accumulator when a prefix makes it one. 0F 1E FA: ENDBR. */
function nopName(decoded: Decoded): string | undefined {
  const { prefixes, opcode, map, modrmByte } = decoded;
  if (map === 1) {
    if (opcode === 0x1e && prefixes.repeat === 0xf3 && (modrmByte === 0xfa || modrmByte === 0xfb)) {
      prefixes.repeat = 0;
      decoded.syntax = { ...decoded.syntax, operands: [] };
      return modrmByte === 0xfa ? 'endbr64' : 'endbr32';
    }
    return 'nop';
  }
  if (prefixes.repeat === 0xf3) {
    prefixes.repeat = 0;
    return 'pause';
  }
  if (prefixes.rex & 1 || prefixes.operandSize) {
    decoded.syntax = { ...decoded.syntax, operands: ['Zv', 'av'] };
    return 'xchg';
  }
  return 'nop';
}

/** Comparisons by predicate have names of their own. */
function compareName(decoded: Decoded, name: string): string {
  const immediate = decoded.reader.peek();
  const limit = decoded.prefixes.vex ? 32 : 8;
  if (immediate >= limit) return name;
  decoded.reader.u8();
  decoded.syntax = { ...decoded.syntax, operands: decoded.syntax.operands.slice(0, -1) };
  return `${name.slice(0, -2)}${PREDICATES[immediate]}${name.slice(-2)}`;
}

function carrylessName(decoded: Decoded, name: string): string {
  const kind = CARRYLESS[decoded.reader.peek()];
  if (!kind) return name;
  decoded.reader.u8();
  decoded.syntax = { ...decoded.syntax, operands: decoded.syntax.operands.slice(0, -1) };
  return `${name.replace('qdq', '')}${kind}dq`;
}

const STRING_NAMES = new Set(['movs', 'stos', 'lods', 'ins', 'outs']);
const COMPARING = new Set(['cmps', 'scas']);

/** Prefixes that no operand showed, in the order they stand. Called after the operands. */
export function prefixText(decoded: Decoded): string {
  const { prefixes, bits, used, syntax } = decoded;
  let text = '';
  prefixes.order.forEach((byte, place) => {
    const segment = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].indexOf(byte);
    if (prefixes.order.indexOf(byte, place + 1) >= 0) text += repeated(byte, bits);
    else if (byte === 0x66) {
      if (prefixes.operandSize && (!used?.operandSize || (bits === 64 && prefixes.rex & 8))) text += bits === 16 ? 'data32 ' : 'data16 ';
    } else if (byte === 0x67) {
      if (!used?.addressSize) text += bits === 32 ? 'addr16 ' : 'addr32 ';
    } else if (byte === 0xf0) text += 'lock ';
    else if (byte === 0xf2 || byte === 0xf3) text += repeatText(decoded, byte);
    else if (segment >= 0 && !(used?.segment && segment === prefixes.segment))
      text += segment === 3 && isIndirectBranch(decoded) ? 'notrack ' : `${SEGMENTS[segment]} `;
  });
  if (prefixes.rex & 8 && !prefixes.vex && !used?.wide && !wideMatters(syntax.operands)) text += rexText(prefixes.rex);
  return text;
}

/** A prefix that comes again later: only the last one does anything. */
function repeated(byte: number, bits: number): string {
  if (byte === 0x66) return bits === 16 ? 'data32 ' : 'data16 ';
  if (byte === 0x67) return bits === 32 ? 'addr16 ' : 'addr32 ';
  if (byte === 0xf0) return 'lock ';
  if (byte === 0xf2) return 'repnz ';
  if (byte === 0xf3) return 'repz ';
  return `${SEGMENTS[[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].indexOf(byte)]} `;
}

const isIndirectBranch = ({ map, opcode, modrmByte }: Decoded) =>
  map === 0 && opcode === 0xff && modrmByte !== undefined && (((modrmByte >> 3) & 7) === 2 || ((modrmByte >> 3) & 7) === 4);

const wideMatters = (operands: readonly string[]) => operands.some((operand) => /^[EGRZB]y|^[EGZ]v|^av|^Mcx|^[RCD]n/.test(operand));

const rexText = (rex: number) => `rex.${rex & 8 ? 'W' : ''}${rex & 4 ? 'R' : ''}${rex & 2 ? 'X' : ''}${rex & 1 ? 'B' : ''} `;

function repeatText({ prefixes, syntax, map, opcode, rm }: Decoded, byte: number): string {
  // A mandatory prefix is part of the name.
  if (prefixes.repeat !== byte) return prefixes.lastRepeat === byte ? '' : byte === 0xf3 ? 'repz ' : 'repnz ';
  if (STRING_NAMES.has(syntax.name)) return byte === 0xf3 ? 'rep ' : 'repnz ';
  if (COMPARING.has(syntax.name)) return byte === 0xf3 ? 'repz ' : 'repnz ';
  const store = map === 0 && [0x86, 0x87, 0x88, 0x89, 0xc6, 0xc7].includes(opcode);
  if ((prefixes.lock || (store && (byte === 0xf3 || opcode < 0x88))) && rm && 'memory' in rm)
    return byte === 0xf3 ? 'xrelease ' : 'xacquire ';
  if (byte === 0xf2 && map <= 1 && /^(j|call|ret)/.test(syntax.name) && !/f$/.test(syntax.name) && opcode !== 0xe3) return 'bnd ';
  return byte === 0xf3 ? 'repz ' : 'repnz ';
}
