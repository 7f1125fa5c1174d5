import { describe, expect, it } from 'vitest';
import { buildAcpi } from './acpifiles.ts';
import type { AcpiBoard } from './board.ts';

const board: AcpiBoard = { ramBytes: 256 * 2 ** 20, serialPorts: 2, floppy: true, hpet: true };
const bases: Record<string, number> = { 'etc/acpi/tables': 0x0ffe_0040, 'etc/acpi/rsdp': 0x000f_5a50 };

const text = (bytes: Uint8Array) => String.fromCharCode(...bytes).replace(/\0+$/, '');
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

/** Does what the firmware does with the loader's commands, and gives a way to read memory afterwards. */
function load(definition: AcpiBoard) {
  const built = buildAcpi(definition);
  const files: Record<string, Uint8Array> = { 'etc/acpi/tables': built.tables, 'etc/acpi/rsdp': built.rsdp };
  const allocated = new Map<string, { align: number; zone: number }>();
  expect(built.loader.length % 128).toBe(0);
  for (let at = 0; at < built.loader.length; at += 128) {
    const command = built.loader.subarray(at, at + 128);
    const view = new DataView(command.buffer, command.byteOffset);
    const file = text(command.subarray(4, 60));
    const name2 = text(command.subarray(60, 116));
    switch (view.getUint32(0, true)) {
      case 1:
        expect(allocated.has(file)).toBe(false);
        allocated.set(file, { align: view.getUint32(60, true), zone: view.getUint8(64) });
        break;
      case 2: {
        expect(allocated.has(file) && allocated.has(name2)).toBe(true);
        const target = new DataView(files[file]!.buffer);
        const offset = view.getUint32(116, true);
        const size = view.getUint8(120);
        expect(offset + size).toBeLessThanOrEqual(files[file]!.length);
        if (size === 8) target.setBigUint64(offset, target.getBigUint64(offset, true) + BigInt(bases[name2]!), true);
        else target.setUint32(offset, target.getUint32(offset, true) + bases[name2]!, true);
        break;
      }
      case 3: {
        const [offset, start, length] = [60, 64, 68].map((field) => view.getUint32(field, true));
        expect(files[file]![offset!]).toBe(0);
        files[file]![offset!]! -= sum(files[file]!.subarray(start, start! + length!));
        break;
      }
      default:
        expect.fail(`unknown command ${view.getUint32(0, true)}`);
    }
  }
  const read = (address: number, length: number): Uint8Array => {
    for (const [name, bytes] of Object.entries(files))
      if (address >= bases[name]! && address + length <= bases[name]! + bytes.length)
        return bytes.subarray(address - bases[name]!, address - bases[name]! + length);
    throw new RangeError(`0x${address.toString(16)} is in no file`);
  };
  const word = (address: number) => {
    const bytes = read(address, 4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  };
  const tableAt = (address: number) => read(address, word(address + 4));
  const rsdt = word(bases['etc/acpi/rsdp']! + 16);
  const tables = new Map<string, number>();
  for (let at = rsdt + 36; at < rsdt + word(rsdt + 4); at += 4) tables.set(text(read(word(at), 4)), word(at));
  return { allocated, read, word, tableAt, rsdt, tables, rsdp: built.rsdp };
}

describe('ACPI files', () => {
  it('the root pointer leads to tables whose signatures, lengths and checksums are right', () => {
    const { rsdp, rsdt, tables, tableAt, read, allocated } = load(board);
    expect(text(rsdp.subarray(0, 8))).toBe('RSD PTR ');
    expect(rsdp.length).toBe(20);
    expect(sum(rsdp)).toBe(0);
    expect(text(read(rsdt, 4))).toBe('RSDT');
    expect(sum(tableAt(rsdt))).toBe(0);
    expect([...tables.keys()]).toEqual(['FACP', 'APIC', 'HPET']);
    for (const address of tables.values()) expect(sum(tableAt(address))).toBe(0);
    // Zone 2 is the segment F0000, where a root pointer is looked for at 16-byte steps.
    expect(allocated.get('etc/acpi/rsdp')).toEqual({ align: 16, zone: 2 });
    expect(allocated.get('etc/acpi/tables')!.align % 64).toBe(0);
  });

  it('the FADT points to an aligned FACS and to the DSDT by both its pointers', () => {
    const { tables, word, tableAt, read } = load(board);
    const fadt = tables.get('FACP')!;
    const [facs, dsdt] = [word(fadt + 36), word(fadt + 40)];
    expect(text(read(facs, 4))).toBe('FACS');
    expect(facs % 64).toBe(0);
    expect(word(facs + 4)).toBe(64);
    expect(text(read(dsdt, 4))).toBe('DSDT');
    expect(sum(tableAt(dsdt))).toBe(0);
    expect([word(fadt + 140), word(fadt + 144)]).toEqual([dsdt, 0]);
  });

  it('the FADT names the ports of the power management chip as SeaBIOS places it', () => {
    const { tables, word, read } = load(board);
    const fadt = tables.get('FACP')!;
    const byte = (offset: number) => read(fadt + offset, 1)[0]!;
    expect(word(fadt + 4)).toBe(244);
    expect(word(fadt + 56)).toBe(0x600);
    expect(word(fadt + 64)).toBe(0x604);
    expect(word(fadt + 76)).toBe(0x608);
    expect(word(fadt + 80)).toBe(0xafe0);
    expect([46, 52, 53, 88, 89, 91, 92, 108].map(byte)).toEqual([9, 0xf1, 0xf0, 4, 2, 4, 4, 0x32]);
    // Fixed power button: bit 4 clear. 24-bit timer: bit 8 clear. Reset register: port CF9, value 6.
    expect(word(fadt + 112)).toBe(0x465);
    expect([...read(fadt + 116, 13)]).toEqual([1, 8, 0, 0, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 6]);
    expect(word(fadt + 148 + 4)).toBe(0x600);
  });

  it('the MADT has one processor, one I/O APIC, both overrides and the NMI', () => {
    const { tables, tableAt } = load(board);
    const entries: string[] = [];
    const madt = tableAt(tables.get('APIC')!);
    for (let at = 44; at < madt.length; at += madt[at + 1]!)
      entries.push([...madt.subarray(at, at + madt[at + 1]!)].map((byte) => byte.toString(16)).join(' '));
    expect(entries).toEqual(['0 8 0 0 1 0 0 0', '1 c 0 0 0 0 c0 fe 0 0 0 0', '2 a 0 0 2 0 0 0 0 0', '2 a 0 9 9 0 0 0 d 0', '4 6 ff 0 0 1']);
  });

  it('what the board lacks is not in the tables', () => {
    const dsdt = ({ tables, word, tableAt }: ReturnType<typeof load>) => String.fromCharCode(...tableAt(word(tables.get('FACP')! + 40)));
    const full = load(board);
    const bare = load({ ...board, serialPorts: 1, floppy: false, hpet: false });
    expect([...bare.tables.keys()]).toEqual(['FACP', 'APIC']);
    for (const name of ['HPET', 'COM2', 'FDC0']) {
      expect(dsdt(full)).toContain(name);
      expect(dsdt(bare)).not.toContain(name);
    }
    for (const name of ['COM1', 'KBD_', 'MOU_', 'RTC_', '\\_S5_', 'LNKD', '_PRT', '\\_PIC']) expect(dsdt(bare)).toContain(name);
    // S5 by sleep type 0, as the power management chip takes it.
    expect(dsdt(bare)).toContain('\\_S5_\x12\x06\x04\0\0\0\0');
  });

  it('the window for PCI memory starts where RAM ends at the latest', () => {
    const window = (ramMiB: number) => {
      const { tables, word, tableAt } = load({ ...board, ramBytes: ramMiB * 2 ** 20 });
      const dsdt = tableAt(word(tables.get('FACP')! + 40));
      const last = dsdt.findLastIndex((_, at) => [0x87, 0x17, 0, 0, 0x0c].every((byte, index) => dsdt[at + index] === byte));
      return new DataView(dsdt.buffer, dsdt.byteOffset).getUint32(last + 10, true);
    };
    expect([1, 2048, 2049, 3072].map((ram) => window(ram))).toEqual([0x80000000, 0x80000000, 0xc0000000, 0xc0000000]);
  });
});
