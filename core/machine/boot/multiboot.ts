import type { GuestMemory } from '../../memory/guestmemory.ts';
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import type { DirectBoot } from '../definition.ts';
import { type BootPlan, FIRMWARE_TOP_BYTES, HIGH_MEMORY_START, LOW_MEMORY_END, LOW_MEMORY_START } from './bootplan.ts';

/*
 * Multiboot specification 0.6.96: header (3.1), machine state (3.2), boot information (3.3). ELF: System V ABI, i386 supplement.
 */
const HEADER_MAGIC = 0x1badb002;
/** The header lies in the first 8192 bytes, 4-byte aligned. */
const HEADER_SEARCH_BYTES = 8192;
const FLAG_UNDERSTOOD = 0x0001_0007;
/** Flags 0..15 must be refused when they are not understood. */
const FLAGS_MANDATORY = 0xffff;
const FLAG_VIDEO = 0x4;
const FLAG_ADDRESSES = 0x10000;
/** Value of mode_type for a linear graphics mode. */
const VIDEO_LINEAR = 0;
const LOADER_MAGIC = 0x2badb002;
const INFO_MEMORY = 0x1;
const INFO_CMDLINE = 0x4;
const INFO_MODULES = 0x8;
const INFO_MEMORY_MAP = 0x40;
const INFO_LOADER_NAME = 0x200;
const INFO_BYTES = 120;
const E820_RAM = 1;

const ELF_CLASS_32 = 1;
const ELF_LITTLE_ENDIAN = 1;
const ELF_MACHINE_386 = 3;
const PT_LOAD = 1;
const PAGE = 4096;
/** Boot information with memory map, command line and names. */
const INFO_ROOM = PAGE * 2;
/** Bytes of the command line, with the image's name before it: what INFO_ROOM has beside a full memory map. */
const CMDLINE_MAX = PAGE;
const ZEROS = new Uint8Array(65536);

interface Segment {
  address: number;
  data: Uint8Array;
  /** Bytes in memory; what data leaves is zero. */
  bytes: number;
}

/** Offset of the multiboot header, -1 when there is none. */
export function findMultibootHeader(image: Uint8Array): number {
  const end = Math.min(image.length, HEADER_SEARCH_BYTES) - 12;
  for (let at = 0; at <= end; at += 4)
    if (u32(image, at) === HEADER_MAGIC && (u32(image, at) + u32(image, at + 4) + u32(image, at + 8)) % 2 ** 32 === 0) return at;
  return -1;
}

/** Checks a multiboot image and plans its boot. Throws 'corrupt', 'unsupported', 'invalid-argument' or 'resource-limit'. */
export function planMultiboot({ kernel, initrd, cmdline, label }: DirectBoot, ramBytes: number): BootPlan {
  const fail: Fail = (kind, why, fix) =>
    new HypervueError(kind, say('bootFails', { image: label, why }), { object: label, operation: 'boot' }, fix);
  const header = findMultibootHeader(kernel);
  if (header < 0) throw fail('unsupported', say('kernelNeither'), say('fixKernelNeither'));
  const flags = u32(kernel, header + 4);
  const unknown = flags & FLAGS_MANDATORY & ~FLAG_UNDERSTOOD;
  if (unknown) throw fail('unsupported', `the image asks its loader for features ${unknown.toString(16)}, which are not known`);
  if (flags & FLAG_VIDEO && u32(kernel, header + 32) === VIDEO_LINEAR)
    throw fail('unsupported', 'the image wants a graphics mode set by its loader');

  const { segments, entry } = flags & FLAG_ADDRESSES ? byAddresses(kernel, header, fail) : byElf(kernel, fail);
  const ramEnd = ramBytes - FIRMWARE_TOP_BYTES;
  let end = HIGH_MEMORY_START;
  for (const { address, bytes } of segments) {
    const low = address >= LOW_MEMORY_START && address + bytes <= LOW_MEMORY_END - INFO_ROOM;
    const high = address >= HIGH_MEMORY_START && address + bytes <= ramEnd;
    if (!low && !high)
      throw fail(
        'resource-limit',
        `the image wants to lie at ${hex(address)} to ${hex(address + bytes)}, where the machine has no free memory`,
        'Give the machine more memory.',
      );
    end = Math.max(end, address + bytes);
  }
  if (!segments.some(({ address, bytes }) => entry >= address && entry < address + bytes))
    throw fail('corrupt', `the entry point ${hex(entry)} is not in the image`);
  const moduleAddress = Math.ceil(end / PAGE) * PAGE;
  if (initrd && moduleAddress + initrd.length > ramEnd)
    throw fail('resource-limit', 'the module does not fit into the memory of the machine', 'Give the machine more memory.');

  const line = new TextEncoder().encode(`${label}${cmdline ? ` ${cmdline}` : ''}\0`);
  if (line.length > CMDLINE_MAX)
    throw fail('invalid-argument', `the command line has ${line.length} bytes, of ${CMDLINE_MAX}`, 'Shorten the command line.');
  const infoAddress = LOW_MEMORY_END - INFO_ROOM;
  return {
    entry: { mode: 'protected', address: entry, eax: LOADER_MAGIC, ebx: infoAddress },
    load: (memory, memoryMap) => {
      for (const { address, data, bytes } of segments) {
        memory.write(address, data);
        zero(memory, address + data.length, address + bytes);
      }
      if (initrd) memory.write(moduleAddress, initrd);
      writeInfo(memory, infoAddress, {
        memoryMap,
        line,
        module: initrd ? { start: moduleAddress, end: moduleAddress + initrd.length } : undefined,
      });
    },
  };
}

type Fail = (
  kind: 'corrupt' | 'unsupported' | 'invalid-argument' | 'resource-limit',
  why: string | Saying,
  fix?: string | Saying,
) => HypervueError;

/** Load addresses from the header itself (3.1.3). */
function byAddresses(image: Uint8Array, header: number, fail: Fail): { segments: Segment[]; entry: number } {
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((offset) => u32(image, header + offset)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const start = header - (headerAddress - loadAddress);
  // A load end of zero means the whole file, a bss end of zero no bss.
  const dataBytes = loadEnd === 0 ? image.length - start : loadEnd - loadAddress;
  const bytes = Math.max(dataBytes, bssEnd === 0 ? 0 : bssEnd - loadAddress);
  if (headerAddress < loadAddress || start < 0 || dataBytes <= 0 || start + dataBytes > image.length)
    throw fail('corrupt', 'the addresses in the multiboot header are wrong');
  return { segments: [{ address: loadAddress, data: image.subarray(start, start + dataBytes), bytes }], entry };
}

function byElf(image: Uint8Array, fail: Fail): { segments: Segment[]; entry: number } {
  if (u32(image, 0) !== 0x464c457f) throw fail('unsupported', 'the multiboot image is not an ELF file and has no load addresses');
  if (image[4] !== ELF_CLASS_32 || image[5] !== ELF_LITTLE_ENDIAN || u16(image, 18) !== ELF_MACHINE_386)
    throw fail('unsupported', 'the ELF image is not for 32-bit x86', 'Multiboot 1 boots 32-bit images.');
  const [entry, table, entryBytes, count] = [u32(image, 24), u32(image, 28), u16(image, 42), u16(image, 44)] as const;
  if (entryBytes < 32 || count > 64 || table + entryBytes * count > image.length)
    throw fail('corrupt', 'the program headers of the ELF image are wrong');
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * entryBytes;
    if (u32(image, at) !== PT_LOAD) continue;
    const [offset, address, fileBytes, bytes] = [
      u32(image, at + 4),
      u32(image, at + 12),
      u32(image, at + 16),
      u32(image, at + 20),
    ] as const;
    if (bytes === 0) continue;
    if (fileBytes > bytes || offset + fileBytes > image.length)
      throw fail('corrupt', 'the ELF image is cut off or damaged', 'Copy or download it again.');
    segments.push({ address, data: image.subarray(offset, offset + fileBytes), bytes });
  }
  if (!segments.length) throw fail('corrupt', 'the ELF image has nothing to load');
  return { segments, entry };
}

interface Info {
  /** E820 entries of 20 bytes: base, length, type. */
  memoryMap: Uint8Array;
  line: Uint8Array;
  module: { start: number; end: number } | undefined;
}

function zero(memory: GuestMemory, from: number, to: number): void {
  for (let at = from; at < to; at += ZEROS.length) memory.write(at, ZEROS.subarray(0, to - at));
}

/** Boot information, and behind it what it points to; two pages hold it all. */
function writeInfo(memory: GuestMemory, at: number, { memoryMap, line, module }: Info): void {
  let next = at + INFO_BYTES;
  const place = (bytes: Uint8Array) => {
    const address = next;
    memory.write(address, bytes);
    next = (next + bytes.length + 3) & ~3;
    return address;
  };
  memory.write(at, new Uint8Array(INFO_BYTES));
  const map = new DataView(memoryMap.buffer, memoryMap.byteOffset, memoryMap.byteLength);
  const entries = Math.floor(memoryMap.length / 20);
  // Each entry is preceded by its own size (3.3).
  const sized = new Uint8Array(entries * 24);
  let upperKiB = 0;
  for (let index = 0; index < entries; index++) {
    new DataView(sized.buffer).setUint32(index * 24, 20, true);
    sized.set(memoryMap.subarray(index * 20, index * 20 + 20), index * 24 + 4);
    const base = Number(map.getBigUint64(index * 20, true));
    if (base === HIGH_MEMORY_START && map.getUint32(index * 20 + 16, true) === E820_RAM)
      upperKiB = Math.min(Number(map.getBigUint64(index * 20 + 8, true)) / 1024, 0xffffffff);
  }
  const lowerKiB = memory.read16(0x413);
  let flags = INFO_MEMORY | INFO_CMDLINE | INFO_MEMORY_MAP | INFO_LOADER_NAME;
  memory.write32(at + 4, lowerKiB);
  memory.write32(at + 8, upperKiB);
  memory.write32(at + 16, place(line));
  if (module) {
    flags |= INFO_MODULES;
    const record = new Uint8Array(16);
    const view = new DataView(record.buffer);
    view.setUint32(0, module.start, true);
    view.setUint32(4, module.end, true);
    view.setUint32(8, place(new TextEncoder().encode('initrd\0')), true);
    memory.write32(at + 20, 1);
    memory.write32(at + 24, place(record));
  }
  memory.write32(at + 44, sized.length);
  memory.write32(at + 48, place(sized));
  memory.write32(at + 64, place(new TextEncoder().encode('Hypervue\0')));
  memory.write32(at, flags);
}

const u16 = (bytes: Uint8Array, at: number) => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
const u32 = (bytes: Uint8Array, at: number) => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;
const hex = (value: number) => `0x${value.toString(16)}`;
