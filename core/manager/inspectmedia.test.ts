import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { folderListingSchema, mediaInfoSchema } from '../contract/host.ts';
import { browse } from './browse.ts';
import { inspectMedia } from './inspectmedia.ts';
import { bzImage, dosFloppy, isoImage, multibootKernel, partitionedDisk, rawImage } from './testing/media.ts';

const MIB = 1024 * 1024;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-media-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(content: string | Uint8Array, name = 'file'): string {
  const at = path.join(folder, name);
  writeFileSync(at, content);
  return at;
}

const look = (content: Uint8Array) => inspectMedia(file(content));

describe('good media', () => {
  test.each([
    ['a bootable ISO', isoImage({ label: 'Debian 12.5.0 i386 1' }), { kind: 'iso', label: 'Debian 12.5.0 i386 1', os: 'Debian 12.5.0' }],
    ['a bootable floppy', rawImage(), { kind: 'floppy' }],
    ['a DOS floppy', dosFloppy(), { kind: 'floppy', label: 'FD14-BOOT', os: 'FreeDOS' }],
    ['a bootable disk', rawImage(MIB), { kind: 'disk' }],
    ['a partitioned disk', partitionedDisk(MIB, 1000), { kind: 'disk', label: 'MBR disk, 1 partition' }],
    ['a kernel', bzImage(), { kind: 'bzimage', label: '6.1.0-test (builder@host) #1 SMP', os: 'Linux' }],
    ['a multiboot kernel', multibootKernel(), { kind: 'multiboot' }],
  ])('%s is told as such, without problems', async (_what, bytes, expected) => {
    const info = await look(bytes);
    expect(info).toMatchObject({ ...expected, bootable: true, sizeBytes: bytes.length });
    expect(info.problems).toEqual([]);
  });

  const real: [string, object][] = [
    ['/usr/lib/grub-rescue/grub-rescue-cdrom.iso', { kind: 'iso' }],
    ['/usr/lib/memtest86+/memtest86+ia32.iso', { kind: 'iso', os: 'Memtest86+' }],
    // An ISO file and a floppy at once.
    ['/usr/lib/grub-rescue/grub-rescue-floppy.img', { kind: 'iso' }],
  ];
  for (const [place, expected] of real)
    test.runIf(existsSync(place))(`the real ${path.basename(place)} is told as such`, async () => {
      const info = await inspectMedia(place);
      expect(info).toMatchObject({ ...expected, bootable: true });
      expect(info.problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    });

  test.runIf(existsSync('/usr/bin/xorriso'))('an ISO that xorriso makes is whole, and not bootable', async () => {
    mkdirSync(path.join(folder, 'tree'));
    file('hello', 'tree/readme.txt');
    const iso = path.join(folder, 'made.iso');
    execFileSync('xorriso', ['-as', 'mkisofs', '-V', 'MADE_HERE', '-o', iso, path.join(folder, 'tree')], { stdio: 'ignore' });
    const info = await inspectMedia(iso);
    expect(info).toMatchObject({ kind: 'iso', label: 'MADE_HERE', bootable: false });
    expect(info.problems.map(({ severity }) => severity)).toEqual(['warning']);
  });
});

describe('bad media', () => {
  const iso = isoImage();
  const kernel = bzImage();
  test.each([
    ['an empty file', Buffer.alloc(0), 'error', /is empty/],
    ['a truncated ISO', iso.subarray(0, 20 * 2048), 'error', /cut off: it should have 49152 bytes and has 40960/],
    ['an ISO that claims 8 TiB', isoImage({ claimedSectors: 0xffffffff }), 'error', /cut off/],
    ['a truncated kernel', kernel.subarray(0, 20_000), 'error', /cut off/],
    ['a truncated floppy', dosFloppy().subarray(0, 700_000), 'error', /cut off: it should have 1474560/],
    ['an ISO without boot record', isoImage({ bootable: false }), 'warning', /no boot record/],
    ['a disk without boot signature', rawImage(MIB, false), 'warning', /no boot signature/],
    ['a disk with a partition beyond its end', partitionedDisk(MIB, 100_000), 'warning', /beyond the end/],
    ['a disk of no whole sector', rawImage(MIB + 100), 'warning', /no multiple of 512/],
    ['a short text file', Buffer.from('hello\n'), 'error', /too small/],
    ['a text file', Buffer.from('hello\n'.repeat(1000)), 'error', /no disk image/],
    ['a damaged qcow2 image', Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.alloc(4096)]), 'error', /clusters of 2\^0/],
    ['a VMDK', Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(4096)]), 'error', /VMDK image/],
    ['a gzip archive', Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), Buffer.alloc(4096)]), 'error', /compressed \(gzip\)/],
    ['a zip archive', Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(4096)]), 'error', /compressed \(zip\)/],
  ])('%s has its own message and a way out', async (_what, bytes, severity, message) => {
    const { problems } = await look(bytes);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ severity, message: expect.stringMatching(message) });
    expect(problems[0]!.fix).toBeTruthy();
  });

  test('a path that depends on where Hypervue was started is refused', async () => {
    await expect(inspectMedia('debian.iso')).rejects.toMatchObject({ kind: 'invalid-argument', said: { key: 'notAbsolute' } });
  });

  test('a label with control characters comes out as one printable line', async () => {
    expect((await look(isoImage({ label: 'A\r\nB\x1b[31mC' }))).label).toBe('A B [31mC');
  });

  test.each([
    ['missing', () => path.join(folder, 'none'), 'not-found'],
    ['a folder', () => folder, 'invalid-argument'],
    ['a device', () => '/dev/zero', 'invalid-argument'],
  ])('what is %s is refused', async (_what, make, kind) => {
    await expect(inspectMedia(make())).rejects.toMatchObject({ kind, message: expect.stringContaining(make()) });
  });

  test('many pipes at once hold up nothing', async () => {
    const pipes = Array.from({ length: 16 }, (_, index) => path.join(folder, `pipe${index}`));
    execFileSync('mkfifo', pipes);
    await Promise.all(pipes.map((pipe) => expect(inspectMedia(pipe)).rejects.toMatchObject({ kind: 'invalid-argument' })));
    expect((await look(iso)).kind).toBe('iso');
  });
});

describe('hostile media', () => {
  /** Whatever the bytes are, there is an answer of the promised shape. */
  async function survives(bytes: Uint8Array): Promise<void> {
    const info = await look(bytes);
    expect(mediaInfoSchema.safeParse(info).success).toBe(true);
    expect(info.label.length).toBeLessThanOrEqual(128);
    expect(info.label).not.toMatch(/\p{Cc}/u);
    if (info.kind === 'unknown') expect(info.problems.some(({ severity }) => severity === 'error')).toBe(true);
  }

  test('random bytes of any length', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), survives), { numRuns: 300 });
  });

  test('good media with bytes changed to the worst values', async () => {
    const media = [isoImage(), dosFloppy().subarray(0, 4096), partitionedDisk(4096, 1), bzImage(), multibootKernel()];
    // The fields that are read lie in these places.
    const spots = fc.oneof(
      fc.nat(700),
      fc.integer({ min: 16 * 2048, max: 18 * 2048 }),
      fc.integer({ min: 20 * 2048, max: 20 * 2048 + 64 }),
      fc.integer({ min: 4090, max: 4110 }),
    );
    const value = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xfe, 0xff), fc.nat(255));
    const changes = fc.array(fc.tuple(spots, value), { minLength: 1, maxLength: 24 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...media), changes, async (medium, list) => {
        const bytes = Buffer.from(medium);
        for (const [at, byte] of list) if (at < bytes.length) bytes[at] = byte;
        await survives(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test('good media cut at any length', async () => {
    const medium = isoImage();
    await fc.assert(
      fc.asyncProperty(fc.nat(medium.length), (length) => survives(medium.subarray(0, length))),
      { numRuns: 150 },
    );
    for (let length = 500; length < 560; length++) await survives(bzImage().subarray(0, length));
  });

  test('every number at its largest', async () => {
    const iso = isoImage();
    iso.writeUInt32LE(0xffffffff, 17 * 2048 + 71);
    iso.writeUInt32LE(0xffffffff, 16 * 2048 + 80);
    await survives(iso);
    const gpt = rawImage(8192);
    gpt[450] = 0xee;
    gpt.write('EFI PART', 512, 'latin1');
    gpt.fill(0xff, 520, 1024);
    await survives(gpt);
    expect((await look(gpt)).problems[0]!.message).toMatch(/beyond the end/);
    const kernel = bzImage();
    kernel.writeUInt32LE(0xffffffff, 0x1f4);
    kernel.writeUInt16LE(0xffff, 0x20e);
    await survives(kernel);
    // Descriptors without an end: only so many are read.
    const endless = Buffer.concat([isoImage(), Buffer.alloc(200 * 2048)]);
    for (let index = 18; index < 200; index++) endless.write('\x02CD001', index * 2048, 'latin1');
    await survives(endless);
  });
});

describe('browsing', () => {
  test('lists folders first, then files by number, without hidden ones; a dead link is neither', async () => {
    mkdirSync(path.join(folder, 'sub'));
    file('x', 'disk10.img');
    file('xx', 'disk9.img');
    file('x', '.hidden');
    symlinkSync('/nowhere/at/all', path.join(folder, 'dead'));
    execFileSync('mkfifo', [path.join(folder, 'pipe')]);
    const listing = await browse(folder);
    expect(folderListingSchema.safeParse(listing).success).toBe(true);
    expect(listing.entries.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'sub folder',
      'disk9.img file',
      'disk10.img file',
      'dead other',
      'pipe other',
    ]);
    expect(listing.parent).toBe(path.dirname(folder));
    expect(listing.entries[1]!.sizeBytes).toBe(2);
  });

  test('takes odd names and times', async () => {
    for (const name of ['a\nb', '<script>', '..x', '\u202egpj', '𝄞', ' ']) file('x', name);
    utimesSync(file('x', 'old'), -(2 ** 40), -(2 ** 40));
    const listing = await browse(folder);
    expect(folderListingSchema.safeParse(listing).success).toBe(true);
    // '..x' is hidden, as it begins with a dot.
    expect(listing.entries).toHaveLength(6);
    expect(listing.entries.every(({ kind }) => kind === 'file')).toBe(true);
  });

  test('of a large folder ends at a limit', async () => {
    for (let index = 0; index < 2100; index++) file('', `f${index}`);
    mkdirSync(path.join(folder, 'zz'));
    const { entries } = await browse(folder);
    expect(entries).toHaveLength(2000);
    // A folder is never what is left out.
    expect(entries[0]).toMatchObject({ name: 'zz', kind: 'folder' });
  });

  test('starts at home, and has no parent at the root', async () => {
    expect((await browse(null)).path).toBe(path.resolve(homedir()));
    expect((await browse('/')).parent).toBeNull();
  });

  test.each([
    ['a missing folder', () => path.join(folder, 'none'), 'not-found'],
    ['a file', () => file('x'), 'invalid-argument'],
    ['a zero byte', () => `${folder}/a\0b`, 'invalid-argument'],
  ])('refuses %s', async (_what, make, kind) => {
    await expect(browse(make())).rejects.toMatchObject({ kind });
  });
});
