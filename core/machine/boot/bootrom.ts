import type { GuestMemory } from '../../memory/guestmemory.ts';
import { type Entry, HANDOFF_SEGMENT } from './bootplan.ts';

/*
 * The option ROM that SeaBIOS starts for direct boot. It asks the BIOS for the memory map, selects a firmware-configuration item, upon which the host puts
 * the image into memory, and enters it.
 * Formats: BIOS Boot Specification 1.01, section 3.2 (option ROM with bootstrap entry vector); Plug and Play BIOS Specification 1.0A, section 3.2.
 */
const ROM_BYTES = 512;
const PNP_HEADER = 0x20;
const VENDOR_TEXT = 0x40;
const PRODUCT_TEXT = 0x4c;
const BOOTSTRAP = 0x70;
const FW_CFG_SELECTOR = 0x510;

/** Memory map, then its length, GDT, GDT register and 32-bit entry code. */
const HANDOFF = HANDOFF_SEGMENT * 16;
const MAP_ENTRIES = 64;
const MAP_ENTRY_BYTES = 20;
const MAP_LENGTH = 0x600;
const GDT_REGISTER = 0x620;
const GDT = 0x640;
const ENTRY_CODE = 0x680;
const CODE_SELECTOR = 0x08;
const DATA_SELECTOR = 0x10;

const le16 = (value: number) => [value & 0xff, (value >> 8) & 0xff];
const le32 = (value: number) => [...le16(value & 0xffff), ...le16(value >>> 16)];

/** The ROM for an image entered by `entry`; it selects item `key` when the image is wanted in memory. */
export function buildBootRom(entry: Entry, key: number): Uint8Array {
  const rom = new Uint8Array(ROM_BYTES);
  // Signature, length in 512-byte blocks, RETF as initialisation; no PCI data, PnP header.
  rom.set([0x55, 0xaa, ROM_BYTES / 512, 0xcb]);
  rom.set([...le16(0), ...le16(PNP_HEADER)], 0x18);
  rom.set([0x24, 0x50, 0x6e, 0x50, 1, 2], PNP_HEADER); // "$PnP", revision 1, two units of 16 bytes
  rom.set([...le16(VENDOR_TEXT), ...le16(PRODUCT_TEXT)], PNP_HEADER + 0x0e);
  rom.set(le16(BOOTSTRAP), PNP_HEADER + 0x1a);
  rom.set(new TextEncoder().encode('Hypervue\0'), VENDOR_TEXT);
  rom.set(new TextEncoder().encode('Direct kernel boot\0'), PRODUCT_TEXT);
  rom.set(bootstrap(entry, key), BOOTSTRAP);
  rom[PNP_HEADER + 9] = -sum(rom.subarray(PNP_HEADER, PNP_HEADER + 32));
  rom[ROM_BYTES - 1] = -sum(rom);
  return rom;
}

/** One instruction: opcode bytes in hexadecimal, then the operand. */
const op = (bytes: string, operand: number[] = []) => [...bytes.split(' ').map((byte) => Number.parseInt(byte, 16)), ...operand];

function bootstrap(entry: Entry, key: number): number[] {
  const ask = [
    ...op('66 b8', le32(0xe820)), // mov eax, 0xe820
    ...op('66 ba', le32(0x534d4150)), // mov edx, 'SMAP'
    ...op('66 b9', le32(MAP_ENTRY_BYTES)), // mov ecx, 20
    ...op('cd 15'), // int 0x15
  ];
  const check = op('66 3d', le32(0x534d4150)); // cmp eax, 'SMAP'
  const next = [
    ...op('83 c7', [MAP_ENTRY_BYTES]), // add di, 20
    ...op('66 85 db'), // test ebx, ebx
  ];
  const full = op('81 ff', le16(MAP_ENTRIES * MAP_ENTRY_BYTES)); // cmp di, end
  const jumpBytes = 2;
  const afterAsk = ask.length + jumpBytes;
  const afterCheck = afterAsk + check.length + jumpBytes;
  const afterNext = afterCheck + next.length + jumpBytes;
  const done = afterNext + full.length + jumpBytes;
  return [
    ...op('fa'), // cli
    ...op('fc'), // cld
    ...op('b8', le16(HANDOFF_SEGMENT)), // mov ax, handoff
    ...op('8e c0'), // mov es, ax
    ...op('31 ff'), // xor di, di
    ...op('66 31 db'), // xor ebx, ebx
    ...ask,
    ...op('72', [done - afterAsk]), // jc done
    ...check,
    ...op('75', [done - afterCheck]), // jne done
    ...next,
    ...op('74', [done - afterNext]), // jz done
    ...full,
    ...op('72', [0x100 - done]), // jb to the start of `ask`
    ...op('26 89 3e', le16(MAP_LENGTH)), // done: mov [es:length], di
    ...op('ba', le16(FW_CFG_SELECTOR)), // mov dx, selector
    ...op('b8', le16(key)), // mov ax, key
    ...op('ef'), // out dx, ax: the host loads the image
    ...op('fa'), // cli
    ...(entry.mode === 'real' ? enterReal(entry) : enterProtected()),
  ];
}

function enterReal({ codeSegment, dataSegment, stackPointer }: Extract<Entry, { mode: 'real' }>): number[] {
  return [
    ...op('b8', le16(dataSegment)), // mov ax, segment
    ...op('8e d8 8e c0 8e e0 8e e8 8e d0'), // mov ds, es, fs, gs, ss, ax
    ...op('66 bc', le32(stackPointer)), // mov esp, stack
    ...op('ea 00 00', le16(codeSegment)), // jmp far segment:0
  ];
}

function enterProtected(): number[] {
  return [
    ...op('b8', le16(HANDOFF_SEGMENT)), // mov ax, handoff
    ...op('8e d8'), // mov ds, ax
    ...op('66 0f 01 16', le16(GDT_REGISTER)), // lgdt [gdt register]
    ...op('0f 20 c0'), // mov eax, cr0
    ...op('66 83 c8 01'), // or eax, 1
    ...op('0f 22 c0'), // mov cr0, eax
    ...op('66 ea', [...le32(HANDOFF + ENTRY_CODE), ...le16(CODE_SELECTOR)]), // jmp far code:entry code
  ];
}

/** The memory map that the ROM gathered: E820 entries of 20 bytes. The guest may have overwritten it; its length is bounded. */
export function readMemoryMap(memory: GuestMemory): Uint8Array {
  const length = Math.min(memory.read16(HANDOFF + MAP_LENGTH), MAP_ENTRIES * MAP_ENTRY_BYTES);
  const map = new Uint8Array(length - (length % MAP_ENTRY_BYTES));
  memory.read(HANDOFF, map);
  return map;
}

/** Puts a flat GDT and the 32-bit code that enters the image beside the memory map. */
export function writeProtectedEntry(memory: GuestMemory, { address, eax, ebx }: Extract<Entry, { mode: 'protected' }>): void {
  const flat = (access: number) => [0xff, 0xff, 0, 0, 0, access, 0xcf, 0];
  const gdt = [...le32(0), ...le32(0), ...flat(0x9a), ...flat(0x92)];
  memory.write(HANDOFF + GDT, Uint8Array.from(gdt));
  memory.write(HANDOFF + GDT_REGISTER, Uint8Array.from([...le16(gdt.length - 1), ...le32(HANDOFF + GDT)]));
  memory.write(
    HANDOFF + ENTRY_CODE,
    Uint8Array.from([
      ...op('66 b8', le16(DATA_SELECTOR)), // mov ax, data
      ...op('8e d8 8e c0 8e e0 8e e8 8e d0'), // mov ds, es, fs, gs, ss, ax
      ...op('bc', le32(HANDOFF)), // mov esp, below
      ...op('bb', le32(ebx)), // mov ebx, information
      ...op('b9', le32(address)), // mov ecx, entry
      ...op('b8', le32(eax)), // mov eax, magic
      ...op('ff e1'), // jmp ecx
    ]),
  );
}

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
