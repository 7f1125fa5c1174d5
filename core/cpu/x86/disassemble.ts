/**
 * Disassembler for 16-, 32- and 64-bit code from the instruction table (table.ts) and the names of what the table leaves to executors
 * (syntaxrows.ts). Intel syntax as `objdump -M intel` writes it, which the tests compare with. SDM volume 2 chapter 2 (formats).
 */
import { hex, operandText, readModrm } from './disassembleoperand.ts';
import { type Decoded, decodePrefixes, type Prefixes, Reader } from './disassembleprefix.ts';
import { candidates, type Syntax } from './syntax.ts';
import { finishName, prefixText } from './disassemblename.ts';

export type CodeBits = 16 | 32 | 64;

export interface Disassembled {
  /** Bytes of the instruction; 1 for a byte that begins none. */
  length: number;
  /** `mov    eax,0x1`, or `(bad)`. */
  text: string;
  /** Where a direct branch or call goes, or what a RIP-relative operand names. */
  target?: bigint;
}

/** Most bytes of one instruction. */
export const MAX_INSTRUCTION = 15;
const BAD = '(bad)';

/** The instruction at the start of `bytes`, whose first byte is at `address` (linear, or the offset that is to be shown). */
export function disassemble(bytes: Uint8Array, address: bigint, bits: CodeBits): Disassembled {
  const reader = new Reader(bytes);
  const prefixes = decodePrefixes(reader, bits);
  if (!prefixes) return { length: 1, text: BAD };
  const decoded = decodeOpcode(reader, prefixes, address, bits);
  const syntax = decoded && select(decoded);
  if (!syntax) return { length: 1, text: BAD };
  decoded.syntax = syntax;
  // VEX.vvvv must be 1111b, which is register 0 in its inverted form, where no operand is in it.
  if (prefixes.vex && prefixes.vex.vvvv !== 0 && !syntax.operands.some((operand) => /^[HB]/.test(operand))) return { length: 1, text: BAD };
  if (syntax.prefix !== 'any' && syntax.prefix !== 'np') consume(prefixes, syntax);
  if (syntax.modrm) readModrm(decoded);
  const name = finishName(decoded);
  const operands = decoded.syntax.operands.map((operand, place) => operandText(decoded, operand, place)).filter((text) => text !== '');
  if (name === undefined || reader.overrun || operands.some((text) => text.includes(BAD))) return { length: 1, text: BAD };
  const length = reader.at;
  if (decoded.relative !== undefined) decoded.target = BigInt.asUintN(64, address + BigInt(length) + decoded.relative);
  const comment = decoded.relative === undefined ? '' : `        # ${hex(decoded.target!)}`;
  const before = prefixText(decoded);
  const text = operands.length ? `${before}${before ? name : name.padEnd(6)} ${operands.join(',')}${comment}` : `${before}${name}`;
  return { length, text, ...(decoded.target === undefined ? {} : { target: decoded.target }) };
}

/** Up to `count` instructions, as lines of address, bytes and text. */
export function listing(bytes: Uint8Array, address: bigint, bits: CodeBits, count = Number.POSITIVE_INFINITY): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length && lines.length < count; ) {
    const window = bytes.subarray(at, at + MAX_INSTRUCTION);
    const { length, text } = disassemble(window, address + BigInt(at), bits);
    // The end of the bytes cuts an instruction off: no reason to call it bad.
    if (text === BAD && window.length < MAX_INSTRUCTION && lines.length > 0) break;
    const code = Array.from(window.subarray(0, length), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    lines.push(`${(address + BigInt(at)).toString(16).padStart(8, '0')}  ${code.padEnd(24)} ${text}`);
    at += length;
  }
  return lines;
}

function decodeOpcode(reader: Reader, prefixes: Prefixes, address: bigint, bits: CodeBits): Decoded | undefined {
  let map: 0 | 1 | 2 | 3 = 0;
  let opcode = prefixes.vex ? reader.u8() : prefixes.opcode;
  if (prefixes.vex) map = prefixes.vex.map;
  else if (opcode === 0x0f) {
    map = 1;
    opcode = reader.u8();
    if (opcode === 0x38 || opcode === 0x3a) {
      map = opcode === 0x38 ? 2 : 3;
      opcode = reader.u8();
    }
  }
  const rows = candidates(prefixes.vex !== undefined, map, opcode);
  if (!rows.length) return undefined;
  // F2 and F3 go over 66.
  const mandatory: Syntax['prefix'] = prefixes.vex
    ? (['np', '66', 'f3', 'f2'] as const)[prefixes.vex.pp]!
    : prefixes.repeat
      ? prefixes.repeat === 0xf3
        ? 'f3'
        : 'f2'
      : prefixes.operandSize
        ? '66'
        : 'np';
  const modrm = rows.some((row) => row.modrm) ? reader.peek() : undefined;
  return { reader, prefixes, bits, address, map, opcode, rows, mandatory, modrmByte: modrm, syntax: rows[0]! };
}

/** The row that the prefixes, the modrm byte and the mode choose. */
function select(decoded: Decoded): Syntax | undefined {
  const { rows, bits, prefixes, modrmByte, mandatory } = decoded;
  const fits = (row: Syntax) => {
    if (row.mode === (bits === 64 ? 'not64' : 'only64')) return false;
    if (row.wide !== undefined && prefixes.vex && row.wide !== prefixes.vex.wide) return false;
    if (row.long && !prefixes.vex?.long) return false;
    if (row.exact !== undefined) return modrmByte === row.exact;
    if (modrmByte === undefined) return true;
    if (row.extension >= 0 && ((modrmByte >> 3) & 7) !== row.extension) return false;
    const register = modrmByte >= 0xc0;
    return row.form === '' || row.form === (register ? 'r' : 'm');
  };
  const possible = rows.filter(fits).sort((a, b) => Number(b.exact !== undefined) - Number(a.exact !== undefined));
  return possible.find((row) => row.prefix === mandatory) ?? possible.find((row) => row.prefix === 'any');
}

/** A mandatory prefix is part of the opcode: it is neither shown nor does it change sizes. */
function consume(prefixes: Prefixes, { prefix, name }: Syntax): void {
  if (prefixes.vex) return;
  // MOVBE's has both meanings.
  if (prefix === '66' && name === 'movbe') return;
  if (prefix === '66') prefixes.operandSize = false;
  else prefixes.repeat = 0;
}
