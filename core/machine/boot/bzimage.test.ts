import { describe, expect, it } from 'vitest';
import { GuestMemory } from '../../memory/guestmemory.ts';
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import { PhysMap } from '../../memory/physmap.ts';
import { createVmMemory } from '../../memory/vmmemory.ts';
import { HypervueError } from '../../util/errors.ts';
import { FIRMWARE_TOP_BYTES } from './bootplan.ts';
import { isBzImage, planBzImage } from './bzimage.ts';

const MIB = 2 ** 20;
const RAM = 16 * MIB;
const CODE_BYTES = 100_000;

/** A kernel by protocol 2.15 that runs where it is loaded and wants one MiB. */
function kernel(change: (header: DataView, bytes: Uint8Array) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(5 * 512 + CODE_BYTES);
  const header = new DataView(bytes.buffer);
  bytes.fill(0x90, 5 * 512);
  bytes[0x1f1] = 4;
  header.setUint32(0x1f4, CODE_BYTES / 16, true);
  header.setUint16(0x1fe, 0xaa55, true);
  bytes.set(new TextEncoder().encode('HdrS'), 0x202);
  header.setUint16(0x206, 0x20f, true);
  bytes[0x211] = 0x01;
  header.setUint32(0x22c, 0x7fffffff, true);
  header.setUint32(0x230, 0x1000, true);
  header.setUint32(0x238, 2047, true);
  header.setUint32(0x258, 0x100000, true);
  header.setUint32(0x260, MIB, true);
  change(header, bytes);
  return bytes;
}

function guestMemory(ramBytes = RAM): GuestMemory {
  const shared = createVmMemory(ramBytes);
  const map = new PhysMap(shared);
  map.mapRam(0, GUEST_RAM_BASE, ramBytes);
  return new GuestMemory(shared, map, ramBytes);
}

interface Loaded {
  memory: GuestMemory;
  header: DataView;
}

function load(image: Uint8Array, initrd?: Uint8Array, cmdline = '', ramBytes = RAM): Loaded {
  const plan = planBzImage({ kernel: image, initrd, cmdline, label: 'vmlinuz' }, ramBytes);
  const memory = guestMemory(ramBytes);
  plan.load(memory, new Uint8Array(0));
  if (plan.entry.mode !== 'real') throw new Error('a bzImage is entered in real mode');
  const setup = new Uint8Array(5 * 512);
  memory.read(plan.entry.dataSegment * 16, setup);
  expect(plan.entry.codeSegment).toBe(plan.entry.dataSegment + 0x20);
  return { memory, header: new DataView(setup.buffer) };
}

const bytesAt = (memory: GuestMemory, gpa: number, length: number) => {
  const bytes = new Uint8Array(length);
  memory.read(gpa, bytes);
  return bytes;
};

function refusal(image: Uint8Array, initrd?: Uint8Array, cmdline = '', ramBytes = RAM): HypervueError {
  try {
    planBzImage({ kernel: image, initrd, cmdline, label: 'vmlinuz' }, ramBytes);
  } catch (error) {
    if (error instanceof HypervueError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('bzImage', () => {
  it('is known by both signatures, at any length', () => {
    expect(isBzImage(kernel())).toBe(true);
    expect(isBzImage(kernel((header) => header.setUint16(0x1fe, 0, true)))).toBe(false);
    for (let length = 0; length < 0x206; length++) expect(isBzImage(kernel().subarray(0, length))).toBe(false);
  });

  it('puts set-up code, kernel, command line and initrd where the header says', () => {
    const initrd = Uint8Array.from({ length: 10_000 }, (_, index) => index * 7);
    const { memory, header } = load(kernel(), initrd, 'quiet root=/dev/sda');
    expect(header.getUint8(0x210)).toBe(0xff);
    expect(header.getUint8(0x211)).toBe(0x81);
    expect(header.getUint32(0x214, true)).toBe(0x100000);
    expect(bytesAt(memory, 0x100000, CODE_BYTES).every((byte) => byte === 0x90)).toBe(true);
    const line = bytesAt(memory, header.getUint32(0x228, true), 20);
    expect(new TextDecoder().decode(line)).toBe('quiet root=/dev/sda\0');
    expect(header.getUint32(0x21c, true)).toBe(initrd.length);
    expect(bytesAt(memory, header.getUint32(0x218, true), initrd.length)).toEqual(initrd);
    // Heap and stack lie above the set-up code, in its segment.
    expect(header.getUint16(0x224, true) + 0x200).toBeGreaterThan(5 * 512);
  });

  it('says that there is no initrd', () => {
    const { header } = load(kernel((view) => view.setUint32(0x218, 0x1234, true)));
    expect([header.getUint32(0x218, true), header.getUint32(0x21c, true)]).toEqual([0, 0]);
  });

  it('keeps the initrd below initrd_addr_max, the end of free memory and mem=', () => {
    const initrd = new Uint8Array(5000);
    const place = (image: Uint8Array, cmdline = '') => load(image, initrd, cmdline).header.getUint32(0x218, true);
    const low = place(kernel((header) => header.setUint32(0x22c, 8 * MIB - 1, true)));
    expect(low).toBe(8 * MIB - 2 * 4096);
    const high = place(kernel());
    expect(high % 4096).toBe(0);
    expect(high + initrd.length).toBeLessThanOrEqual(RAM - FIRMWARE_TOP_BYTES);
    expect(high).toBeGreaterThan(RAM - FIRMWARE_TOP_BYTES - 3 * 4096);
    for (const limit of ['6M', '6144k', '0x600000', '030000000'])
      expect(place(kernel(), `quiet mem=${limit}`), limit).toBeLessThanOrEqual(6 * MIB - FIRMWARE_TOP_BYTES - initrd.length);
    expect(place(kernel(), 'mem=nopentium')).toBe(high);
  });

  it('sets the video mode that vga= asks for', () => {
    const mode = (cmdline: string) =>
      load(
        kernel((header) => header.setUint16(0x1fa, 0x5555, true)),
        undefined,
        cmdline,
      ).header.getUint16(0x1fa, true);
    expect(mode('vga=0x317 quiet')).toBe(0x317);
    expect(mode('vga=791')).toBe(791);
    expect(mode('vga=normal vga=ask')).toBe(0xfffd);
    expect(mode('vga=ext')).toBe(0xfffe);
    for (const other of ['', 'vga=', 'vga=blue', 'vga=0x10000', 'novga=1', 'vga=constructor']) expect(mode(other), other).toBe(0x5555);
  });

  it('refuses a machine in which the kernel could not unpack itself', () => {
    // Debian's: it runs at 16 MiB or, relocated, at the next multiple of its alignment, and needs 16 MiB from there.
    const debian = kernel((header) => {
      header.setUint32(0x230, 0x1000000, true);
      header.setUint8(0x234, 1);
      header.setUint32(0x258, 0x1000000, true);
      header.setUint32(0x260, 0x100c000, true);
    });
    const error = refusal(debian, undefined, '', 32 * MIB);
    expect(error.kind).toBe('resource-limit');
    const least = Number(/Give it (\d+) MiB/.exec(error.fix!)![1]);
    expect(least).toBeGreaterThan(32);
    load(debian, undefined, '', least * MIB);
    const { header } = load(debian, new Uint8Array(MIB), '', 48 * MIB);
    expect(header.getUint32(0x218, true)).toBeGreaterThanOrEqual(0x1000000 + 0x100c000);
  });

  it('says what is wrong with what it cannot boot', () => {
    const cases: [string, HypervueError, string, RegExp][] = [
      ['old protocol', refusal(kernel((header) => header.setUint16(0x206, 0x201, true))), 'unsupported', /protocol 2\.1/],
      ['zImage', refusal(kernel((header) => header.setUint8(0x211, 0))), 'unsupported', /zImage/],
      ['cut off in the code', refusal(kernel().subarray(0, 50_000)), 'corrupt', /cut off/],
      ['cut off in the set-up code', refusal(kernel().subarray(0, 0x300)), 'corrupt', /cut off/],
      ['too much set-up code', refusal(kernel((header) => header.setUint8(0x1f1, 255))), 'corrupt', /damaged/],
      ['long command line', refusal(kernel(), undefined, 'x'.repeat(2048)), 'invalid-argument', /2048 bytes.*2047/],
      ['long command line in bytes', refusal(kernel(), undefined, 'ä'.repeat(1024)), 'invalid-argument', /2048 bytes/],
      ['large initrd', refusal(kernel(), new Uint8Array(15 * MIB)), 'resource-limit', /do not fit/],
      [
        'large initrd, low limit',
        refusal(
          kernel((header) => header.setUint32(0x22c, 2 * MIB, true)),
          new Uint8Array(2 * MIB),
        ),
        'resource-limit',
        /initrd/,
      ],
      ['endless kernel', refusal(kernel((header) => header.setUint32(0x260, 0xffffffff, true))), 'resource-limit', /memory/],
      ['a home above 4 GiB', refusal(kernel((header) => header.setUint32(0x25c, 1, true))), 'resource-limit', /memory/],
    ];
    for (const [name, error, kind, message] of cases) {
      expect(error.kind, name).toBe(kind);
      expect(error.message, name).toMatch(message);
      expect(error.message, name).toContain('vmlinuz');
    }
  });

  it('no header makes it throw anything else, or write over the firmware', () => {
    const memory = guestMemory();
    let accepted = 0;
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    memory.write(0, new Uint8Array(RAM).fill(0xa5));
    const top = bytesAt(memory, RAM - FIRMWARE_TOP_BYTES, FIRMWARE_TOP_BYTES);
    const bios = bytesAt(memory, 0, 0x10000);
    for (let round = 0; round < 800; round++) {
      const image = kernel((header) => {
        for (let change = random(4); change >= 0; change--)
          header.setUint8(0x1f1 + random(0x80), [0, 1, 0x7f, 0xff, random(256)][random(5)]!);
      }).subarray(0, random(2) ? undefined : random(103_000));
      const initrd = random(2) ? new Uint8Array(random(3) ? random(100_000) : random(20 * MIB)) : undefined;
      try {
        planBzImage({ kernel: image, initrd, cmdline: 'a b', label: 'x' }, RAM).load(memory, new Uint8Array(0));
        accepted++;
      } catch (error) {
        expect(error).toBeInstanceOf(HypervueError);
      }
    }
    expect(accepted).toBeGreaterThan(50);
    expect(bytesAt(memory, RAM - FIRMWARE_TOP_BYTES, FIRMWARE_TOP_BYTES)).toEqual(top);
    expect(bytesAt(memory, 0, 0x10000)).toEqual(bios);
  });
});
