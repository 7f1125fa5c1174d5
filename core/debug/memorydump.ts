import { codeBits } from '../cpu/cpustate.ts';
import { listing, MAX_INSTRUCTION } from '../cpu/x86/disassemble.ts';
import type { AddressSpaceName, DebugTarget } from './debugrequest.ts';

export interface DumpFormat {
  count: number;
  letter: 'x' | 'd' | 'u' | 'o' | 'c' | 's' | 'i';
  /** Bytes an element. */
  size: 1 | 2 | 4 | 8;
}

const SIZES = { b: 1, h: 2, w: 4, g: 8 } as const;
const MAX_COUNT = 4096;
const LINE_BYTES = 16;
const MAX_STRING = 4096;

/** `10i`, `4xw`, `s`; undefined when it is none. */
export function parseFormat(text: string): DumpFormat | undefined {
  const match = /^(\d{0,6})([xduocsi]?)([bhwg]?)$/.exec(text) ?? /^(\d{0,6})([bhwg]?)([xduocsi]?)$/.exec(text);
  if (!match) return undefined;
  const words = `${match[2]}${match[3]}`;
  const letter = (/[xduocsi]/.exec(words)?.[0] ?? 'x') as DumpFormat['letter'];
  const size = /[bhwg]/.exec(words)?.[0] as keyof typeof SIZES | undefined;
  return {
    count: Math.min(MAX_COUNT, Math.max(1, Number(match[1] || 1))),
    letter,
    size: size ? SIZES[size] : letter === 'c' || letter === 's' ? 1 : 4,
  };
}

/** Lines of `address: values`; says where memory ends. */
export async function dumpMemory(target: DebugTarget, space: AddressSpaceName, address: bigint, format: DumpFormat): Promise<string> {
  const read = (at: bigint, length: number) => target.request<'read'>({ op: 'read', space, address: at, length });
  if (format.letter === 's') return dumpStrings(read, address, format.count);
  if (format.letter === 'i') {
    const bits = codeBits(await target.request<'state'>({ op: 'state' }));
    const lines = listing(await read(address, format.count * MAX_INSTRUCTION), address, bits, format.count);
    return `${lines.join('\n') || `${label(address)}: no memory there`}\n`;
  }
  const bytes = await read(address, format.count * format.size);
  const perLine = LINE_BYTES / format.size;
  const lines: string[] = [];
  const whole = Math.floor(bytes.length / format.size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let first = 0; first < whole; first += perLine) {
    const values = Array.from({ length: Math.min(perLine, whole - first) }, (_, i) => element(view, (first + i) * format.size, format));
    lines.push(`${label(address + BigInt(first * format.size))}: ${values.join(' ')}`);
  }
  if (whole < format.count) lines.push(`${label(address + BigInt(whole * format.size))}: no memory there`);
  return `${lines.join('\n')}\n`;
}

const label = (address: bigint) => `0x${BigInt.asUintN(64, address).toString(16).padStart(8, '0')}`;

function element(view: DataView, at: number, { size, letter }: DumpFormat): string {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(at + i));
  switch (letter) {
    case 'd':
      return BigInt.asIntN(size * 8, value).toString();
    case 'u':
      return value.toString();
    case 'o':
      return `0${value.toString(8)}`;
    case 'c': {
      const code = Number(value & 0xffn);
      return code >= 0x20 && code < 0x7f ? `'${String.fromCharCode(code)}'` : `'\\x${code.toString(16).padStart(2, '0')}'`;
    }
    default:
      return `0x${value.toString(16).padStart(size * 2, '0')}`;
  }
}

async function dumpStrings(read: (at: bigint, length: number) => Promise<Uint8Array>, address: bigint, count: number): Promise<string> {
  const lines: string[] = [];
  let at = address;
  for (let i = 0; i < count; i++) {
    const bytes = await read(at, MAX_STRING);
    const end = bytes.indexOf(0);
    const text = String.fromCharCode(...(end < 0 ? bytes : bytes.subarray(0, end)));
    lines.push(`${label(at)}: ${JSON.stringify(text)}`);
    if (end < 0) break;
    at += BigInt(end + 1);
  }
  return `${lines.join('\n')}\n`;
}
