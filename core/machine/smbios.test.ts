import { describe, expect, it } from 'vitest';
import { buildE820 } from './e820.ts';
import { buildSmbios } from './smbios.ts';

const board = { uuid: '00112233-4455-6677-8899-aabbccddeeff', ramBytes: 256 * 2 ** 20 };
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

/** Walks the structures as an operating system does: length of the formatted area, then strings up to a double zero. */
function parse(tables: Uint8Array) {
  const found: { type: number; handle: number; area: Uint8Array; strings: string[] }[] = [];
  for (let at = 0; at < tables.length; ) {
    const length = tables[at + 1]!;
    let end = at + length;
    while (tables[end] !== 0 || tables[end + 1] !== 0) {
      if (end >= tables.length) throw new RangeError(`structure at ${at} has no end`);
      end++;
    }
    found.push({
      type: tables[at]!,
      handle: tables[at + 2]! | (tables[at + 3]! << 8),
      area: tables.subarray(at, at + length),
      strings: String.fromCharCode(...tables.subarray(at + length, end)).split('\0'),
    });
    at = end + 2;
  }
  return found;
}

describe('SMBIOS', () => {
  it('has the structures a system looks for, each of the length that version 2.8 gives it', () => {
    const found = parse(buildSmbios(board).tables);
    expect(found.map(({ type, area }) => [type, area.length])).toEqual([
      [1, 27],
      [3, 22],
      [4, 42],
      [16, 23],
      [17, 40],
      [19, 31],
      [32, 11],
      [127, 4],
    ]);
    expect(new Set(found.map(({ handle }) => handle)).size).toBe(found.length);
  });

  it('every text reference has its text', () => {
    const found = parse(buildSmbios(board).tables);
    const [system, , processor] = found;
    expect(system!.strings).toEqual(['Hypervue', 'Virtual Machine']);
    expect([...system!.area.subarray(4, 8)]).toEqual([1, 2, 0, 0]);
    expect(processor!.strings).toEqual(['CPU 0', 'Hypervue']);
    expect([processor!.area[4], processor!.area[7]]).toEqual([1, 2]);
  });

  it('the UUID has its first three fields little-endian', () => {
    const [system] = parse(buildSmbios(board).tables);
    expect(Buffer.from(system!.area.subarray(8, 24)).toString('hex')).toBe('33221100554477668899aabbccddeeff');
  });

  it('memory is as large as the machine and its array', () => {
    const found = parse(buildSmbios({ ...board, ramBytes: 3072 * 2 ** 20 }).tables);
    const area = (type: number) => {
      const { area } = found.find((structure) => structure.type === type)!;
      return new DataView(area.buffer, area.byteOffset);
    };
    expect(area(16).getUint32(7, true)).toBe(3072 * 1024);
    expect(area(17).getUint16(12, true)).toBe(3072);
    expect(area(17).getUint16(4, true)).toBe(0x1000);
    expect(area(19).getUint32(8, true)).toBe(3072 * 1024 - 1);
    expect(area(19).getUint16(12, true)).toBe(0x1000);
  });

  it('the entry point counts and sums up right', () => {
    const { tables, anchor } = buildSmbios(board);
    const view = new DataView(anchor.buffer);
    const text = String.fromCharCode(...anchor);
    expect([text.slice(0, 4), text.slice(16, 21)]).toEqual(['_SM_', '_DMI_']);
    expect(anchor.length).toBe(31);
    expect(sum(anchor)).toBe(0);
    expect(sum(anchor.subarray(16))).toBe(0);
    expect(view.getUint16(0x16, true)).toBe(tables.length);
    expect(view.getUint16(0x1c, true)).toBe(parse(tables).length);
    const largest = Math.max(...parse(tables).map(({ area, strings }) => area.length + strings.join('\0').length + 2));
    expect(view.getUint16(8, true)).toBe(largest);
  });
});

it('the memory map is one entry of RAM, 64-bit', () => {
  expect(Buffer.from(buildE820(0xc000_0000)).toString('hex')).toBe('0000000000000000000000c00000000001000000');
});
