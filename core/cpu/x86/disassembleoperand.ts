import type { Decoded } from './disassembleprefix.ts';
import { addressSize, operandSize, useOperandSize, wideSize } from './disassemblesize.ts';

const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const BYTES = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const REX_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', '?', '?'];
const SIZE_NAMES: { readonly [bytes: number]: string } = {
  1: 'BYTE PTR ',
  2: 'WORD PTR ',
  4: 'DWORD PTR ',
  6: 'FWORD PTR ',
  8: 'QWORD PTR ',
  10: 'TBYTE PTR ',
  16: 'XMMWORD PTR ',
  32: 'YMMWORD PTR ',
};
/** Operands that are what they say. */
const LITERAL = new Set(['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'dx', 'ax', 'st']);
const PAIRS_16 = ['bx+si', 'bx+di', 'bp+si', 'bp+di', 'si', 'di', 'bp', 'bx'];
const BAD = '(bad)';

export function generalRegister(number: number, size: number, rex: boolean): string {
  if (size === 1) return number >= 8 ? `r${number}b` : (rex ? REX_BYTES : BYTES)[number]!;
  if (number >= 8) return `r${number}${size === 8 ? '' : size === 4 ? 'd' : 'w'}`;
  return size === 2 ? WORDS[number]! : `${size === 8 ? 'r' : 'e'}${WORDS[number]!}`;
}

export function hex(value: bigint, bits = 64): string {
  return `0x${BigInt.asUintN(bits, value).toString(16)}`;
}

const signedHex = (value: bigint) => (value < 0n ? `-0x${(-value).toString(16)}` : `+0x${value.toString(16)}`);

/** Reads the modrm byte and what belongs to it. */
export function readModrm(decoded: Decoded): void {
  const { reader, prefixes } = decoded;
  const byte = reader.u8();
  const always = /^[CD]/.test(decoded.syntax.operands[0] ?? '') || /^[CD]/.test(decoded.syntax.operands[1] ?? '');
  if (byte >= 0xc0 || always) decoded.rm = { register: (byte & 7) | (prefixes.rex & 1 ? 8 : 0) };
  else decoded.rm = { memory: addressSize(decoded) === 2 ? address16(decoded, byte) : address32(decoded, byte) };
}

/** `fs:` and the like before a memory operand, where the processor heeds it. */
function segmentPrefix(decoded: Decoded): string {
  const { segment } = decoded.prefixes;
  // In 64-bit mode only FS and GS have a base; the others are shown before the instruction.
  if (segment < 0 || (decoded.bits === 64 && segment < 4)) return '';
  decoded.used = { ...decoded.used, segment: true };
  return `${SEGMENTS[segment]}:`;
}

function absolute(decoded: Decoded, value: bigint, size: number): string {
  return `${segmentPrefix(decoded) || 'ds:'}${hex(value, size * 8)}`;
}

/** SDM volume 2 table 2-1. */
function address16(decoded: Decoded, modrm: number): string {
  if (decoded.syntax.operands.includes('Mvsib')) return BAD;
  const { reader } = decoded;
  const mod = modrm >> 6;
  const rm = modrm & 7;
  decoded.used = { ...decoded.used, addressSize: true };
  if (mod === 0 && rm === 6) return absolute(decoded, reader.unsigned(2), 2);
  const displacement = mod === 0 ? '' : signedHex(reader.signed(mod === 1 ? 1 : 2));
  return `${segmentPrefix(decoded)}[${PAIRS_16[rm]}${displacement}]`;
}

/** SDM volume 2 tables 2-2 and 2-3, section 2.2.1. */
function address32(decoded: Decoded, modrm: number): string {
  const { reader, prefixes } = decoded;
  const size = addressSize(decoded);
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (rm !== 4 && decoded.syntax.operands.includes('Mvsib')) return BAD;
  const register = (n: number) => generalRegister(n, size, true);
  let base: string | undefined;
  let index: string | undefined;
  if (rm === 4) {
    const sib = reader.u8();
    const number = ((sib >> 3) & 7) | (prefixes.rex & 2 ? 8 : 0);
    const scale = 1 << (sib >> 6);
    const none = (sib & 7) === 5 && mod === 0;
    if (!none) base = register((sib & 7) | (prefixes.rex & 1 ? 8 : 0));
    const vector = decoded.syntax.operands.includes('Mvsib');
    if (vector) index = `${vectorIndex(decoded)}${number}*${scale}`;
    else if (number !== 4) index = `${register(number)}*${scale}`;
    // No index: shown where the plain form could not have said the same.
    else if (scale !== 1 || (none ? decoded.bits === 32 || (decoded.bits === 64 && size === 4) : (sib & 7) !== 4))
      index = `${size === 8 ? 'riz' : 'eiz'}*${scale}`;
    if (none) return withoutBase(decoded, index, reader.signed(4), size);
  } else if (mod === 0 && rm === 5) {
    const displacement = reader.signed(4);
    if (decoded.bits !== 64) return absolute(decoded, displacement, 4);
    decoded.used = { ...decoded.used, addressSize: true };
    // The address counts from the end of the instruction, which is known when its immediates were read.
    decoded.relative = displacement;
    return `${segmentPrefix(decoded)}[${size === 8 ? 'rip' : 'eip'}+${hex(displacement)}]`;
  } else base = register(rm | (prefixes.rex & 1 ? 8 : 0));
  decoded.used = { ...decoded.used, addressSize: true };
  const displacement = mod === 0 ? '' : signedHex(reader.signed(mod === 1 ? 1 : 4));
  return `${segmentPrefix(decoded)}[${base}${index ? `+${index}` : ''}${displacement}]`;
}

function withoutBase(decoded: Decoded, index: string | undefined, displacement: bigint, size: number): string {
  if (!index) return absolute(decoded, displacement, size);
  decoded.used = { ...decoded.used, addressSize: true };
  // Without any register the displacement is an address, an unsigned one.
  const text = decoded.bits === 64 && index.startsWith('eiz') ? `+${hex(displacement, 32)}` : signedHex(displacement);
  return `${segmentPrefix(decoded)}[${index}${text}]`;
}

/** Which vector registers index a gather. */
function vectorIndex(decoded: Decoded): 'xmm' | 'ymm' {
  const { vex } = decoded.prefixes;
  if (!vex?.long) return 'xmm';
  // Doubleword indices of quadword elements need half as many bytes.
  return vex.wide && (decoded.opcode === 0x90 || decoded.opcode === 0x92) ? 'xmm' : 'ymm';
}

/** Bytes that a width letter stands for. */
function widthBytes(decoded: Decoded, width: string): number {
  const vector = decoded.prefixes.vex?.long ? 32 : 16;
  switch (width[0]) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return 8;
    case 't':
      return 10;
    case 'o':
      return 16;
    case 'x':
      return vector;
    case 'h':
      return vector / 2;
    case 'e':
      return vector / 4;
    case 'k':
      return vector / 8;
    case 'y':
      return wideSize(decoded);
    case 's':
      return decoded.prefixes.vex?.wide ? 8 : 4;
    case 'v':
      return useOperandSize(decoded);
    case 'z':
      return Math.min(4, useOperandSize(decoded));
    default:
      return 0;
  }
}

function registerOfRm(decoded: Decoded, width: string): string {
  const rm = decoded.rm as { register: number };
  const size = width === 'n' ? (decoded.bits === 64 ? 8 : 4) : widthBytes(decoded, width);
  return generalRegister(rm.register, size, decoded.prefixes.rex !== 0);
}

function vectorRegister(decoded: Decoded, number: number, width: string): string {
  // Quadword indices of doubleword elements: half as many elements.
  if ((decoded.opcode === 0x91 || decoded.opcode === 0x93) && !decoded.prefixes.vex?.wide && decoded.syntax.operands.includes('Mvsib'))
    return `xmm${number}`;
  return `${width[0] === 'x' && decoded.prefixes.vex?.long && !/xmm/.test(width) ? 'ymm' : 'xmm'}${number}`;
}

function memory(decoded: Decoded, bytes: number): string {
  const { rm } = decoded;
  if (!rm || !('memory' in rm)) return BAD;
  return `${SIZE_NAMES[bytes] ?? ''}${rm.memory}`;
}

const regField = ({ modrmByte, prefixes }: Decoded) => (((modrmByte ?? 0) >> 3) & 7) | (prefixes.rex & 4 ? 8 : 0);

/** The text of one operand, '' for none. */
export function operandText(decoded: Decoded, operand: string, place: number): string {
  if (LITERAL.has(operand)) return operand;
  const width = operand.slice(1);
  const { prefixes, reader, rm } = decoded;
  const inRegister = rm !== undefined && 'register' in rm;
  switch (operand[0]) {
    case 'E':
      return inRegister ? registerOfRm(decoded, rmWidth(width)) : memory(decoded, memoryBytes(decoded, width));
    case 'R':
      return inRegister ? registerOfRm(decoded, width === '' ? 'v' : width) : BAD;
    case 'M':
      return memory(decoded, farBytes(decoded, width));
    case 'G':
      return width === 'ptr'
        ? generalRegister(regField(decoded), decoded.bits === 64 ? 8 : 4, true)
        : generalRegister(regField(decoded), widthBytes(decoded, width), prefixes.rex !== 0);
    case 'Z':
      return generalRegister((decoded.opcode & 7) | (prefixes.rex & 1 ? 8 : 0), widthBytes(decoded, width), prefixes.rex !== 0);
    case 'B':
      return generalRegister(prefixes.vex?.vvvv ?? 0, widthBytes(decoded, width), true);
    case 'a':
      return generalRegister(
        0,
        operand === 'av' && /^(in|out)$/.test(decoded.syntax.name) ? Math.min(4, useOperandSize(decoded)) : widthBytes(decoded, width),
        true,
      );
    case 'c':
      return 'cl';
    case '1':
      return '1';
    case 'I':
      return immediate(decoded, width);
    case 'J':
      return branchTarget(decoded, width);
    case 'O':
      return offset(decoded);
    case 'A':
      return farPointer(decoded);
    case 'X':
    case 'Y':
      return stringOperand(decoded, operand[0], width);
    case 'S':
      return SEGMENTS[regField(decoded) & 7] === '?' ? BAD : SEGMENTS[regField(decoded) & 7]!;
    case 'C':
      return `cr${regField(decoded)}`;
    case 'D':
      return `dr${regField(decoded)}`;
    case 'V':
      return vectorRegister(decoded, regField(decoded), decoded.syntax.narrow && place === 0 && prefixes.vex ? 'o' : width);
    case 'H':
      return vectorRegister(decoded, prefixes.vex?.vvvv ?? 0, width);
    case 'W':
      return inRegister
        ? vectorRegister(decoded, (rm as { register: number }).register, vectorWidth(width))
        : memory(decoded, vectorBytes(decoded, width));
    case 'U':
      return inRegister ? vectorRegister(decoded, (rm as { register: number }).register, width) : BAD;
    case 'L': {
      const number = reader.u8() >> 4;
      return vectorRegister(decoded, decoded.bits === 64 ? number : number & 7, width);
    }
    case 'P':
      return `mm${regField(decoded) & 7}`;
    case 'Q':
      return inRegister ? `mm${(rm as { register: number }).register & 7}` : memory(decoded, widthBytes(decoded, width));
    case 'N':
      return inRegister ? `mm${(rm as { register: number }).register & 7}` : BAD;
  }
  return special(decoded, operand);
}

function special(decoded: Decoded, operand: string): string {
  switch (operand) {
    case 'sti':
      return `st(${(decoded.modrmByte ?? 0) & 7})`;
    case 'xmm0':
      return 'xmm0';
    case 'mon':
      return `${generalRegister(0, addressSize(decoded), true)},ecx,edx`;
    case 'mwa':
      return 'eax,ecx';
  }
  return '';
}

const rmWidth = (width: string) =>
  width === 'sl' || width === 'sr' || width === 'x' ? 'v' : width === 'db' || width === 'dw' ? 'd' : width;

function memoryBytes(decoded: Decoded, width: string): number {
  if (width === 'sl' || width === 'sr' || width === 'dw') return 2;
  if (width === 'db') return 1;
  return widthBytes(decoded, width);
}

function farBytes(decoded: Decoded, width: string): number {
  if (width === 'f' || width === 'p') {
    const size = useOperandSize(decoded);
    return size === 2 ? 4 : size === 4 ? 6 : 10;
  }
  if (width === 'bound') return useOperandSize(decoded) * 2;
  if (width === 'cx') return wideSize(decoded) * 2;
  if (width === 'vsib') return decoded.prefixes.vex?.wide ? 8 : 4;
  return width === 'n' ? 0 : widthBytes(decoded, width);
}

/** The register behind W is as wide as its memory, except that halves and less sit in XMM registers. */
const vectorWidth = (width: string) => (width === 'dup' ? 'x' : width);

function vectorBytes(decoded: Decoded, width: string): number {
  if (width === 'dup') return decoded.prefixes.vex?.long ? 32 : 8;
  return widthBytes(decoded, width);
}

function immediate(decoded: Decoded, width: string): string {
  const { reader } = decoded;
  switch (width) {
    case 'b':
    case 'u':
      return hex(reader.unsigned(1), 8);
    case 's':
      return hex(reader.signed(1), useOperandSize(decoded) * 8);
    case 'w':
      return hex(reader.unsigned(2), 16);
    case 'enter': {
      const size = reader.unsigned(2);
      return `${hex(size, 16)},${hex(reader.unsigned(1), 8)}`;
    }
  }
  const size = useOperandSize(decoded);
  // MOV to a register takes all eight bytes.
  if (size === 8 && decoded.map === 0 && decoded.opcode >= 0xb8 && decoded.opcode <= 0xbf) return hex(reader.unsigned(8));
  return hex(reader.signed(Math.min(4, size)), size * 8);
}

function branchTarget(decoded: Decoded, width: string): string {
  const { reader, bits } = decoded;
  const size = bits === 64 ? 8 : operandSize(decoded);
  if (bits !== 64 && width !== 'b') decoded.used = { ...decoded.used, operandSize: true };
  const distance = reader.signed(width === 'b' ? 1 : size === 2 ? 2 : 4);
  const target = BigInt.asUintN(size === 2 ? 16 : size * 8, decoded.address + BigInt(reader.at) + distance);
  decoded.target = target;
  return hex(target);
}

function offset(decoded: Decoded): string {
  if (decoded.syntax.name === 'xlat') {
    decoded.used = { ...decoded.used, addressSize: true };
    const segment = segmentPrefix(decoded) || 'ds:';
    return `BYTE PTR ${segment}[${generalRegister(3, addressSize(decoded), true)}]`;
  }
  const size = addressSize(decoded);
  return absolute(decoded, decoded.reader.unsigned(size), size);
}

function farPointer(decoded: Decoded): string {
  const to = decoded.reader.unsigned(Math.min(4, useOperandSize(decoded)));
  return `${hex(decoded.reader.unsigned(2))}:${hex(to)}`;
}

function stringOperand(decoded: Decoded, which: string, width: string): string {
  const size = addressSize(decoded);
  decoded.used = { ...decoded.used, addressSize: true };
  const bytes = widthBytes(decoded, width);
  const register = generalRegister(which === 'X' ? 6 : 7, size, true);
  const segment = which === 'Y' ? 'es:' : segmentPrefix(decoded) || 'ds:';
  return `${SIZE_NAMES[bytes]}${segment}[${register}]`;
}
