import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inspectMedia } from '../inspectmedia.ts';
import { identifyDisk } from './identifydisk.ts';
import { SystemTable } from './systemtable.ts';

const MIB = 1 << 20;
const MKE2FS = '/usr/sbin/mke2fs';
const table = new SystemTable([
  {
    id: 'debian12',
    name: 'Debian 12',
    family: 'linux',
    distro: 'debian',
    version: '12',
    released: '2023-06-10',
    endOfLife: '',
    virtio: true,
    uefiOnly: false,
    media: [],
    trees: [],
  },
]);
const OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n';

let folder: string;
let count = 0;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-disks-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A file system of this kind with these files; names that end in '@' are links. */
function ext(kind: string, files: Record<string, string | Buffer>, ...options: string[]): Buffer {
  const root = path.join(folder, `root${++count}`);
  mkdirSync(root);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (name.endsWith('@')) symlinkSync(content.toString(), file.slice(0, -1));
    else writeFileSync(file, content);
  }
  const image = path.join(folder, `fs${count}`);
  execFileSync(MKE2FS, ['-q', '-t', kind, '-d', root, ...options, image, '16M'], { stdio: 'pipe' });
  return readFileSync(image);
}

function fat(names: string[], ...options: string[]): Buffer {
  const image = path.join(folder, `fat${++count}`);
  writeFileSync(image, Buffer.alloc(40 * MIB));
  const empty = path.join(folder, 'empty');
  writeFileSync(empty, 'x');
  execFileSync('mformat', ['-i', image, ...options, '::'], { stdio: 'pipe' });
  const made = new Set<string>();
  for (const name of names) {
    const parts = name.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const directory = parts.slice(0, depth).join('/');
      if (!made.has(directory)) execFileSync('mmd', ['-i', image, `::/${directory}`], { stdio: 'pipe' });
      made.add(directory);
    }
    execFileSync('mcopy', ['-i', image, empty, `::/${name}`], { stdio: 'pipe' });
  }
  return readFileSync(image);
}

/** A disk with an MBR; `code`: something for a BIOS to start. Parts behind the third go into an extended partition. */
function mbrDisk(parts: Buffer<ArrayBufferLike>[], code = true): Buffer {
  const primary = parts.slice(0, parts.length > 4 ? 3 : 4);
  const logical = parts.slice(primary.length);
  const sectors = (bytes: number) => bytes / 512;
  const disk: Buffer<ArrayBufferLike>[] = [Buffer.alloc(MIB)];
  let at = MIB;
  const entry = (table: Buffer<ArrayBufferLike>, index: number, type: number, first: number, length: number) => {
    table[446 + index * 16 + 4] = type;
    table.writeUInt32LE(sectors(first), 446 + index * 16 + 8);
    table.writeUInt32LE(sectors(length), 446 + index * 16 + 12);
    table.writeUInt16LE(0xaa55, 510);
  };
  if (code) disk[0]!.write('\xeb\x63\x90GRUB \0Geom', 'latin1');
  primary.forEach((part, index) => {
    entry(disk[0]!, index, 0x83, at, part.length);
    disk.push(part);
    at += part.length;
  });
  if (logical.length)
    entry(
      disk[0]!,
      3,
      5,
      at,
      logical.reduce((sum, part) => sum + part.length + MIB, 0),
    );
  const extended = at;
  logical.forEach((part, index) => {
    const link = Buffer.alloc(MIB);
    entry(link, 0, 0x83, MIB, part.length);
    if (logical[index + 1]) entry(link, 1, 5, at + MIB + part.length - extended, logical[index + 1]!.length + MIB);
    disk.push(link, part);
    at += MIB + part.length;
  });
  return Buffer.concat(disk);
}

function gptDisk(parts: Buffer[]): Buffer {
  const head = Buffer.alloc(MIB);
  head[446 + 4] = 0xee;
  head.writeUInt32LE(1, 446 + 8);
  head.writeUInt32LE(0xffff_ffff, 446 + 12);
  head.writeUInt16LE(0xaa55, 510);
  head.write('EFI PART', 512, 'latin1');
  head.writeBigUInt64LE(2n, 512 + 72);
  head.writeUInt32LE(128, 512 + 80);
  head.writeUInt32LE(128, 512 + 84);
  let at = MIB / 512;
  parts.forEach((part, index) => {
    const entry = 1024 + index * 128;
    head.fill(0x5a, entry, entry + 32);
    head.writeBigUInt64LE(BigInt(at), entry + 32);
    head.writeBigUInt64LE(BigInt(at + part.length / 512 - 1), entry + 40);
    at += part.length / 512;
  });
  return Buffer.concat([head, ...parts]);
}

function look(disk: Buffer) {
  return identifyDisk((offset, target) => Promise.resolve(disk.copy(target, 0, offset, offset + target.length)), disk.length, table);
}

const elf = (machine: number) => Buffer.from([0x7f, 0x45, 0x4c, 0x46, ...new Array<number>(14).fill(0), machine, 0, 0, 0]);
const linux = {
  'usr/lib/os-release': OS_RELEASE,
  'etc/os-release@': '../usr/lib/os-release',
  'usr/lib/systemd/systemd': elf(62),
  'usr/sbin/init@': '/lib/systemd/systemd',
  'lib@': 'usr/lib',
  'sbin@': 'usr/sbin',
};

describe.runIf(existsSync(MKE2FS))('disks made with mke2fs and mtools', () => {
  test.each([
    ['ext4', []],
    ['ext4', ['-O', '^64bit,^metadata_csum']],
    ['ext4', ['-b', '1024', '-I', '128']],
    ['ext3', []],
    ['ext2', ['-b', '4096']],
  ] as const)('%s %j: os-release and the kind of processor, through links', async (kind, options) => {
    const found = await look(mbrDisk([ext(kind, linux, ...options)]));
    expect(found).toEqual({ os: 'Debian 12', systemId: 'debian12', architectures: ['x86_64'], live: false, bios: true, uefi: false });
  });

  test('a directory with a thousand names, which has an index', async () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`etc/a-long-name-of-a-file-${i}`, '']));
    expect(await look(mbrDisk([ext('ext4', { ...many, 'etc/os-release': OS_RELEASE }, '-b', '1024', '-N', '2000')]))).toMatchObject({
      os: 'Debian 12',
    });
  });

  test('in a logical partition, and in a disk without partitions', async () => {
    const plain = ext('ext2', { 'a/b': 'c' });
    const root = ext('ext4', linux);
    expect(await look(mbrDisk([plain, plain, plain, plain, root]))).toMatchObject({ os: 'Debian 12' });
    expect(await look(root)).toMatchObject({ os: 'Debian 12', bios: false });
  });

  test('for UEFI: a GPT, loaders in the EFI system partition, nothing for a BIOS', async () => {
    const esp = fat(['EFI/BOOT/BOOTX64.EFI', 'EFI/debian/shimx64.efi'], '-F');
    const both = await look(gptDisk([esp, ext('ext4', linux)]));
    expect(both).toEqual({ os: 'Debian 12', systemId: 'debian12', architectures: ['x86_64'], live: false, bios: false, uefi: true });
    // The root is in what is not read here.
    expect(await look(gptDisk([esp, Buffer.alloc(MIB)]))).toMatchObject({ os: 'Debian GNU/Linux', uefi: true });
    expect(await look(gptDisk([fat(['EFI/Microsoft/Boot/bootmgfw.efi'])]))).toMatchObject({ os: 'Windows', uefi: true });
    const file = path.join(folder, 'uefi.img');
    writeFileSync(file, gptDisk([esp, ext('ext4', linux)]));
    const info = await inspectMedia(file, table);
    expect(info).toMatchObject({
      kind: 'disk',
      os: 'Debian 12',
      bootable: true,
      content: { systemId: 'debian12', uefi: true, bios: false },
    });
    expect(info.problems.map(({ said }) => said?.key)).toEqual(['mediaDiskUefiOnly']);
  });

  test('systems by their boot menu, their files or their file system', async () => {
    const menu = "set default=0\nmenuentry 'Fedora Linux (6.8) 40' --class fedora {\n";
    expect(await look(mbrDisk([ext('ext4', { 'grub2/grub.cfg': menu, 'vmlinuz-6.8': 'x' })]))).toMatchObject({ os: 'Fedora' });
    expect(await look(mbrDisk([ext('ext4', { 'loader/entries/1.conf': 'title AlmaLinux (5.14) 9.4\nversion 5\n' })]))).toMatchObject({
      os: 'Enterprise Linux',
    });
    expect(await look(mbrDisk([ext('ext2', { 'vmlinuz-6.8': 'x' })]))).toMatchObject({ os: 'Linux' });
    expect(await look(mbrDisk([fat(['KERNEL.SYS', 'COMMAND.COM'])]))).toMatchObject({ os: 'FreeDOS', uefi: false });
    expect(await look(mbrDisk([ext('ext4', { data: 'x' })]))).toMatchObject({ os: '', bios: true });
    const ntfs = Buffer.alloc(MIB);
    ntfs.write('\xeb\x52\x90NTFS    ', 'latin1');
    expect(await look(mbrDisk([ntfs]))).toMatchObject({ os: 'Windows' });
    expect(await look(Buffer.alloc(MIB))).toBeUndefined();
  });

  test('links that go in circles, and what lies outside of the disk, end nowhere', async () => {
    const circle = ext('ext4', { 'etc/os-release@': '../etc/os-release', 'usr/lib/os-release@': 'a', 'usr/lib/a@': 'os-release' });
    expect(await look(mbrDisk([circle]))).toMatchObject({ os: '' });
    const cut = mbrDisk([ext('ext4', linux)]);
    for (const length of [MIB + 2048, 2 * MIB, 3 * MIB])
      expect((await look(cut.subarray(0, length)))?.systemId ?? '').toMatch(/^(debian12)?$/);
  });

  test('whatever stands on the disk: an answer, within reason', async () => {
    let seed = 4711;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const bad = gptDisk([fat(['EFI/BOOT/BOOTX64.EFI', 'EFI/debian/grubx64.efi']), ext('ext4', linux, '-b', '1024')]);
    // Where tables, superblock, descriptors, inodes and directories are.
    const places = [0, 512, 1024, MIB, MIB + 512, 41 * MIB + 1024, 41 * MIB + 2048];
    for (let turn = 0; turn < 300; turn++) {
      const before: [number, number][] = [];
      for (let change = 0; change < 24; change++) {
        const at = change % 3 ? places[random(places.length)]! + random(256) : 41 * MIB + random(MIB);
        before.unshift([at, bad[at]!]);
        bad[at] = change % 2 ? random(256) : 0xff;
      }
      let reads = 0;
      const found = await identifyDisk(
        (offset, target) => {
          reads += target.length;
          expect(offset >= 0 && offset + target.length <= bad.length).toBe(true);
          return Promise.resolve(bad.copy(target, 0, offset, offset + target.length));
        },
        bad.length,
        table,
      );
      expect(found === undefined || typeof found.os === 'string').toBe(true);
      expect(reads).toBeLessThanOrEqual(32 * MIB);
      for (const [at, byte] of before) bad[at] = byte;
    }
  });
});
