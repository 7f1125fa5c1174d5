/**
 * Names of guest addresses, from a Linux System.map or the symbol table of an ELF file (System V ABI, "Symbol Table"). Files are the
 * user's, yet any bytes are survived: what is out of range is left out.
 */
import { readFile } from 'node:fs/promises';
import { HypervueError } from '../util/errors.ts';

export interface SymbolTable {
  /** `name` or `name+0x12` of the symbol at or before the address, undefined when none is near. */
  at(address: bigint): string | undefined;
  readonly size: number;
}

interface GuestSymbol {
  address: bigint;
  name: string;
}

/** Farther than this from its symbol an address has no name. */
const MAX_DISTANCE = 1n << 20n;
const SHT_SYMTAB = 2;
const STT_FUNC = 2;
const STT_NOTYPE = 0;

export async function loadSymbols(file: string): Promise<SymbolTable> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await readFile(file));
  } catch (cause) {
    throw new HypervueError('not-found', `${file} can't be read`, { path: file, operation: 'load symbols' }, undefined, cause);
  }
  const symbols = bytes[0] === 0x7f && bytes[1] === 0x45 ? elfSymbols(bytes) : mapSymbols(new TextDecoder('latin1').decode(bytes));
  if (!symbols.length)
    throw new HypervueError(
      'invalid-argument',
      `${file} has no symbols`,
      { path: file, operation: 'load symbols' },
      'Give a System.map or an ELF file that was not stripped.',
    );
  return symbolTable(symbols);
}

export function symbolTable(symbols: GuestSymbol[]): SymbolTable {
  const sorted = [...symbols].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return {
    size: sorted.length,
    at(address) {
      let low = 0;
      let high = sorted.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle]!.address <= address) low = middle + 1;
        else high = middle;
      }
      const found = sorted[low - 1];
      if (!found || address - found.address > MAX_DISTANCE) return undefined;
      return address === found.address ? found.name : `${found.name}+0x${(address - found.address).toString(16)}`;
    },
  };
}

/** `ffffffff81000000 T _text`: the code symbols of it. */
export function mapSymbols(text: string): GuestSymbol[] {
  const symbols: GuestSymbol[] = [];
  for (const [, address, name] of text.matchAll(/^([0-9a-f]{8,16}) [tTwW] (\S+)/gm))
    symbols.push({ address: BigInt(`0x${address}`), name: name! });
  return symbols;
}

export function elfSymbols(bytes: Uint8Array): GuestSymbol[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const wide = bytes[4] === 2;
  if (bytes.length < (wide ? 64 : 52) || bytes[5] !== 1) return [];
  const word = (at: number) => (at + 4 <= bytes.length ? view.getUint32(at, true) : 0);
  const half = (at: number) => (at + 2 <= bytes.length ? view.getUint16(at, true) : 0);
  const address = (at: number): bigint => (wide ? (at + 8 <= bytes.length ? view.getBigUint64(at, true) : 0n) : BigInt(word(at)));
  const sections = Number(address(wide ? 0x28 : 0x20));
  const size = half(wide ? 0x3a : 0x2e);
  const count = half(wide ? 0x3c : 0x30);
  const section = (n: number) => {
    const at = sections + n * size;
    return wide
      ? { type: word(at + 4), offset: Number(address(at + 0x18)), size: Number(address(at + 0x20)), link: word(at + 0x28) }
      : { type: word(at + 4), offset: word(at + 0x10), size: word(at + 0x14), link: word(at + 0x18) };
  };
  const symbols: GuestSymbol[] = [];
  for (let n = 0; n < count; n++) {
    const table = section(n);
    if (table.type !== SHT_SYMTAB || table.link >= count) continue;
    const strings = section(table.link);
    const entry = wide ? 24 : 16;
    for (let at = table.offset; at + entry <= Math.min(table.offset + table.size, bytes.length); at += entry) {
      const kind = bytes[at + (wide ? 4 : 12)]! & 15;
      const defined = half(at + (wide ? 6 : 14)) !== 0;
      if (!defined || (kind !== STT_FUNC && kind !== STT_NOTYPE)) continue;
      const name = stringAt(bytes, strings.offset + word(at), strings.offset + strings.size);
      if (name) symbols.push({ address: address(at + (wide ? 8 : 4)), name });
    }
  }
  return symbols;
}

function stringAt(bytes: Uint8Array, at: number, limit: number): string {
  const last = Math.min(limit, bytes.length, at + 256);
  let text = '';
  for (let i = at; i < last && bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
