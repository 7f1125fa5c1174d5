import { describe, expect, it } from 'vitest';
import { GuestMemory } from '../../memory/guestmemory.ts';
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import { PhysMap } from '../../memory/physmap.ts';
import { createVmMemory } from '../../memory/vmmemory.ts';
import { HypervueError } from '../../util/errors.ts';
import { FIRMWARE_TOP_BYTES } from './bootplan.ts';
import { findMultibootHeader, planMultiboot } from './multiboot.ts';

const MIB = 2 ** 20;
const RAM = 16 * MIB;
const MAGIC = 0x1badb002;

interface ElfSegment {
  address: number;
  /** Bytes in memory. */
  bytes?: number;
  data: Uint8Array;
}

/** An ELF file for i386 with its multiboot header behind the program headers. */
function elf(segments: ElfSegment[], { entry = segments[0]!.address, flags = 3 } = {}): Uint8Array {
  const headers = 52 + 32 * segments.length;
  const first = Math.ceil((headers + 48) / 16) * 16;
  const file = new Uint8Array(first + segments.reduce((total, { data }) => total + data.length, 0));
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, entry, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, segments.length, true);
  let offset = first;
  segments.forEach(({ address, data, bytes = data.length }, index) => {
    [1, offset, 0xc0000000 + address, address, data.length, bytes, 5, 4096].forEach((value, field) => {
      view.setUint32(52 + index * 32 + field * 4, value, true);
    });
    file.set(data, offset);
    offset += data.length;
  });
  [MAGIC, flags, -(MAGIC + flags)].forEach((value, field) => {
    view.setUint32(headers + field * 4, value, true);
  });
  return file;
}

/** A flat file whose header says where it lies; the header is at byte 16. */
function flat(fields: { header: number; load: number; loadEnd: number; bssEnd: number; entry: number }, length = 4096): Uint8Array {
  const file = new Uint8Array(length).fill(0xf4);
  const view = new DataView(file.buffer);
  const flags = 0x10003;
  [MAGIC, flags, -(MAGIC + flags), fields.header, fields.load, fields.loadEnd, fields.bssEnd, fields.entry].forEach((value, field) => {
    view.setUint32(16 + field * 4, value, true);
  });
  return file;
}

function guestMemory(): GuestMemory {
  const shared = createVmMemory(RAM);
  const map = new PhysMap(shared);
  map.mapRam(0, GUEST_RAM_BASE, RAM);
  const memory = new GuestMemory(shared, map, RAM);
  // What an earlier boot left.
  memory.write(0, new Uint8Array(RAM).fill(0xa5));
  memory.write16(0x413, 639);
  return memory;
}

const bytesAt = (memory: GuestMemory, gpa: number, length: number) => {
  const bytes = new Uint8Array(length);
  memory.read(gpa, bytes);
  return bytes;
};

function textAt(memory: GuestMemory, gpa: number): string {
  const bytes = bytesAt(memory, gpa, 8192);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** E820 entries: base, length, type. */
function memoryMap(...entries: [number, number, number][]): Uint8Array {
  const map = new DataView(new ArrayBuffer(entries.length * 20));
  entries.forEach(([base, length, type], index) => {
    map.setBigUint64(index * 20, BigInt(base), true);
    map.setBigUint64(index * 20 + 8, BigInt(length), true);
    map.setUint32(index * 20 + 16, type, true);
  });
  return new Uint8Array(map.buffer);
}

function load(
  kernel: Uint8Array,
  { initrd, cmdline = '', map = memoryMap() }: { initrd?: Uint8Array; cmdline?: string; map?: Uint8Array } = {},
) {
  const plan = planMultiboot({ kernel, initrd, cmdline, label: 'kernel.elf' }, RAM);
  if (plan.entry.mode !== 'protected') throw new Error('a multiboot image is entered in protected mode');
  const memory = guestMemory();
  plan.load(memory, map);
  return { memory, entry: plan.entry, info: plan.entry.ebx };
}

function refusal(kernel: Uint8Array, initrd?: Uint8Array, cmdline = ''): HypervueError {
  try {
    planMultiboot({ kernel, initrd, cmdline, label: 'kernel.elf' }, RAM);
  } catch (error) {
    if (error instanceof HypervueError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const code = Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd);

describe('multiboot', () => {
  it('finds the header in the first 8 KiB, aligned, with its checksum', () => {
    const at = (offset: number, checksum = -MAGIC) => {
      const file = new Uint8Array(16_384);
      const view = new DataView(file.buffer);
      view.setUint32(offset, MAGIC, true);
      view.setUint32(offset + 8, checksum, true);
      return findMultibootHeader(file);
    };
    expect(at(0)).toBe(0);
    expect(at(8180)).toBe(8180);
    expect(at(8184)).toBe(-1);
    expect(at(4098)).toBe(-1);
    expect(at(4096, -MAGIC + 1)).toBe(-1);
    expect(findMultibootHeader(new Uint8Array(0))).toBe(-1);
  });

  it('loads the segments of an ELF file by physical address and clears what the file leaves', () => {
    const { memory, entry } = load(
      elf([
        { address: 0x200000, data: code, bytes: 150_000 },
        { address: 0x20000, data: Uint8Array.of(1, 2, 3) },
      ]),
    );
    expect(entry).toMatchObject({ address: 0x200000, eax: 0x2badb002 });
    const segment = bytesAt(memory, 0x200000, 150_000);
    expect(segment.subarray(0, 4)).toEqual(code);
    expect(segment.subarray(4).every((byte) => byte === 0)).toBe(true);
    expect(memory.read8(0x200000 + 150_000)).toBe(0xa5);
    expect(bytesAt(memory, 0x20000, 4)).toEqual(Uint8Array.of(1, 2, 3, 0xa5));
  });

  it('loads a flat file by the addresses in its header', () => {
    const { memory, entry } = load(flat({ header: 0x100010, load: 0x100000, loadEnd: 0x100800, bssEnd: 0x100a00, entry: 0x100040 }));
    expect(entry.address).toBe(0x100040);
    expect(memory.read32(0x100010)).toBe(MAGIC);
    expect([0x1007ff, 0x100800, 0x1009ff, 0x100a00].map((at) => memory.read8(at))).toEqual([0xf4, 0, 0, 0xa5]);
    // Zero for the ends: the whole file, no bss. The file may have a head that is not loaded.
    const whole = load(flat({ header: 0x300008, load: 0x300000, loadEnd: 0, bssEnd: 0, entry: 0x300100 }));
    expect(whole.memory.read32(0x300008)).toBe(MAGIC);
    expect([4087, 4088].map((at) => whole.memory.read8(0x300000 + at))).toEqual([0xf4, 0xa5]);
  });

  it('tells the kernel about memory, command line, loader and module', () => {
    const map = memoryMap([0, 0x9fc00, 1], [0x9fc00, 0x400, 2], [0x100000, 15 * MIB - 0x20000, 1], [0xfffc0000, 0x40000, 2]);
    const initrd = Uint8Array.from({ length: 5000 }, (_, index) => index * 3);
    const { memory, info } = load(elf([{ address: 0x100000, data: code, bytes: 5000 }]), { initrd, cmdline: 'one "two"', map });
    const field = (offset: number) => memory.read32(info + offset);
    expect(field(0)).toBe(0x24d);
    expect([field(4), field(8)]).toEqual([639, 15 * 1024 - 128]);
    expect(textAt(memory, field(16))).toBe('kernel.elf one "two"');
    expect(textAt(memory, field(64))).toBe('Hypervue');
    expect(field(20)).toBe(1);
    const module = field(24);
    const [start, end] = [memory.read32(module), memory.read32(module + 4)];
    expect([start % 4096, end - start, memory.read32(module + 12)]).toEqual([0, 5000, 0]);
    expect(start).toBeGreaterThanOrEqual(0x100000 + 5000);
    expect(bytesAt(memory, start, 5000)).toEqual(initrd);
    const seen: [number, number, number][] = [];
    for (let at = field(48); at < field(48) + field(44); at += memory.read32(at) + 4)
      seen.push([memory.read32(at + 4), memory.read32(at + 12), memory.read32(at + 20)]);
    expect(seen).toEqual([
      [0, 0x9fc00, 1],
      [0x9fc00, 0x400, 2],
      [0x100000, 15 * MIB - 0x20000, 1],
      [0xfffc0000, 0x40000, 2],
    ]);
  });

  it('has room for the longest command line beside the longest memory map', () => {
    const map = memoryMap(...Array.from({ length: 64 }, (_, index): [number, number, number] => [index * 4096, 4096, 1]));
    const { memory, info } = load(elf([{ address: 0x100000, data: code }]), { cmdline: 'c'.repeat(4096 - 'kernel.elf '.length - 1), map });
    expect(textAt(memory, memory.read32(info + 16))).toHaveLength(4095);
    expect(textAt(memory, memory.read32(info + 64))).toBe('Hypervue');
    expect(memory.read8(0x9a000)).toBe(0xa5);
    expect(refusal(elf([{ address: 0x100000, data: code }]), undefined, 'c'.repeat(4096)).kind).toBe('invalid-argument');
  });

  it('says what is wrong with what it cannot boot', () => {
    const good = [{ address: 0x100000, data: code }];
    const patched = (change: (view: DataView) => void, file = elf(good)) => {
      change(new DataView(file.buffer));
      return file;
    };
    const placed = (address: number, bytes = 4) => elf([{ address, data: code, bytes }]);
    const kludge = { header: 0x100010, load: 0x100000, loadEnd: 0, bssEnd: 0, entry: 0x100040 };
    const cases: [string, Uint8Array, string, RegExp][] = [
      ['no header', new Uint8Array(20_000), 'unsupported', /neither/],
      ['an empty file', new Uint8Array(0), 'unsupported', /neither/],
      ['a feature of another age', elf(good, { flags: 0x8003 }), 'unsupported', /8000/],
      ['a graphics mode', elf(good, { flags: 7 }), 'unsupported', /graphics/],
      ['no ELF and no addresses', patched((view) => view.setUint8(0, 0)), 'unsupported', /not an ELF/],
      ['64-bit ELF', patched((view) => view.setUint8(4, 2)), 'unsupported', /32-bit/],
      ['another processor', patched((view) => view.setUint16(18, 40, true)), 'unsupported', /32-bit/],
      ['program headers beyond the end', patched((view) => view.setUint32(28, 0xfffffff0, true)), 'corrupt', /program headers/],
      ['too many program headers', patched((view) => view.setUint16(44, 0xffff, true)), 'corrupt', /program headers/],
      ['nothing to load', patched((view) => view.setUint32(52, 4, true)), 'corrupt', /nothing to load/],
      ['a segment beyond the end', patched((view) => view.setUint32(56, 0xfffffffe, true)), 'corrupt', /cut off/],
      ['more in the file than in memory', patched((view) => view.setUint32(72, 2, true)), 'corrupt', /cut off/],
      ['a cut off file', elf(good).subarray(0, -2), 'corrupt', /cut off/],
      ['an entry outside', elf(good, { entry: 0x100004 }), 'corrupt', /entry/],
      ['a home in the BIOS data', placed(0x400), 'resource-limit', /0x400/],
      ['a home where the BIOS boots from', placed(0x7c00), 'resource-limit', /0x7c00/],
      ['a home in the boot ROM’s hand-over', placed(0x9a000), 'resource-limit', /0x9a000/],
      ['a home in video memory', placed(0xb8000), 'resource-limit', /0xb8000/],
      ['a home over the boot information', placed(0x97000, 0x2000), 'resource-limit', /no free memory/],
      ['a home over the firmware’s tables', placed(RAM - FIRMWARE_TOP_BYTES - 2), 'resource-limit', /no free memory/],
      ['a home that wraps', placed(0xfffff000, 0xfffff000), 'resource-limit', /no free memory/],
      ['a load address behind the header', flat({ ...kludge, load: 0x100011 }), 'corrupt', /addresses/],
      ['a load address far before the file', flat({ ...kludge, load: 0x80000 }), 'corrupt', /addresses/],
      ['an end before the start', flat({ ...kludge, loadEnd: 0x1000 }), 'corrupt', /addresses/],
      ['an end beyond the file', flat({ ...kludge, loadEnd: 0x101001 }), 'corrupt', /addresses/],
      ['endless bss', flat({ ...kludge, bssEnd: 0xffffffff }), 'resource-limit', /no free memory/],
    ];
    for (const [name, image, kind, message] of cases) {
      const error = refusal(image);
      expect(error.kind, name).toBe(kind);
      expect(error.message, name).toMatch(message);
      expect(error.message, name).toContain('kernel.elf');
    }
    const large = refusal(elf(good), new Uint8Array(15 * MIB));
    expect([large.kind, large.message]).toEqual(['resource-limit', expect.stringMatching(/module/)]);
  });

  it('no image makes it throw anything else, or write over the firmware', () => {
    const memory = guestMemory();
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const word = () => [0, 1, 4, 0x1000, 0x100000, 0x7fffffff, 0xffffffff, random(2 ** 32)][random(8)]!;
    const top = bytesAt(memory, RAM - FIRMWARE_TOP_BYTES, FIRMWARE_TOP_BYTES);
    const low = bytesAt(memory, 0, 0x8000);
    const video = bytesAt(memory, 0x9a000, 0x66000);
    let accepted = 0;
    for (let round = 0; round < 3000; round++) {
      const image = random(2)
        ? elf([
            { address: 0x100000, data: new Uint8Array(500), bytes: 9000 },
            { address: 0x10000, data: code },
          ])
        : flat({ header: 0x100010, load: 0x100000, loadEnd: 0, bssEnd: 0, entry: 0x100040 });
      const view = new DataView(image.buffer);
      for (let change = random(4); change > 0; change--) {
        // Fields of the ELF and program headers, or the addresses of the flat file.
        const at = view.getUint32(0) === 0x7f454c46 ? 16 + random(100) : 28 + random(20);
        if (random(2)) view.setUint8(at, random(256));
        else view.setUint32(at, word(), true);
      }
      try {
        planMultiboot(
          { kernel: image.subarray(0, random(4) ? undefined : random(600)), initrd: undefined, cmdline: '', label: 'x' },
          RAM,
        ).load(memory, new Uint8Array(0));
        accepted++;
      } catch (error) {
        expect(error).toBeInstanceOf(HypervueError);
      }
    }
    expect(accepted).toBeGreaterThan(100);
    expect(bytesAt(memory, RAM - FIRMWARE_TOP_BYTES, FIRMWARE_TOP_BYTES)).toEqual(top);
    expect(bytesAt(memory, 0, 0x8000)).toEqual(low);
    expect(bytesAt(memory, 0x9a000, 0x66000)).toEqual(video);
  });
});
