import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { crc32c } from '../../../core/disk/vhdx/crc32c.ts';
import { openImage } from '../../../core/platform/openimage.ts';
import { qemuImg, scratch } from './support/qemu.ts';

const MIB = 1 << 20;
const SECTOR = 4096;

async function contents(file: string, format: 'vhdx' | 'vhd' | 'raw'): Promise<Buffer> {
  const disk = await openImage(file, { readOnly: true, format });
  const bytes = Buffer.alloc(disk.info.sizeBytes);
  await disk.read(0, bytes);
  await disk.close();
  return bytes;
}

function pattern(seed: number, bytes: number): Buffer {
  const result = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i++) result[i] = (i * seed + (i >> 10)) & 0xff;
  return result;
}

function make(folder: string, name: string, format: string, content: Buffer, options = ''): string {
  const raw = path.join(folder, `${name}.raw`);
  writeFileSync(raw, content);
  const file = path.join(folder, name);
  qemuImg('convert', '-f', 'raw', '-O', format, ...(options ? ['-o', options] : []), raw, file);
  return file;
}

/** Puts an entry into the log: the block table changes so that block 0 is not there, and zeros come over the table's second sector. */
function dirty(image: Buffer, tableAt: number, sequenceGap: number): void {
  const header = image.readBigUInt64LE(65536 + 8) > image.readBigUInt64LE(131072 + 8) ? 65536 : 131072;
  const guid = Buffer.from('0123456789abcdef0123456789abcdef', 'hex');
  guid.copy(image, header + 48);
  image.writeUInt32LE(0, header + 4);
  image.writeUInt32LE(crc32c(image.subarray(header, header + 4096), 4), header + 4);
  const log = Number(image.readBigUInt64LE(header + 72));
  const table = Buffer.from(image.subarray(tableAt, tableAt + SECTOR));
  // Block 0: state 0.
  table.writeBigUInt64LE(0n, 0);
  for (let i = 0; i < 2; i++) {
    const entry = Buffer.alloc(2 * SECTOR);
    const sequence = BigInt(7 + i * sequenceGap);
    entry.write('loge', 0);
    entry.writeUInt32LE(entry.length, 8);
    // The first one is its own tail, the second one's too: only the newest counts.
    entry.writeUInt32LE(i * entry.length, 12);
    entry.writeBigUInt64LE(sequence, 16);
    entry.writeUInt32LE(2, 24);
    guid.copy(entry, 32);
    entry.writeBigUInt64LE(BigInt(image.length), 48);
    entry.writeBigUInt64LE(BigInt(image.length), 56);
    entry.write('desc', 64);
    table.copy(entry, 68, SECTOR - 4);
    table.copy(entry, 72, 0, 8);
    entry.writeBigUInt64LE(BigInt(tableAt), 80);
    entry.writeBigUInt64LE(sequence, 88);
    entry.write('zero', 96);
    entry.writeBigUInt64LE(BigInt(SECTOR), 104);
    entry.writeBigUInt64LE(BigInt(tableAt + SECTOR), 112);
    entry.writeBigUInt64LE(sequence, 120);
    entry.write('data', SECTOR);
    entry.writeUInt32LE(Number(sequence >> 32n), SECTOR + 4);
    table.copy(entry, SECTOR + 8, 8, SECTOR - 4);
    entry.writeUInt32LE(Number(sequence & 0xffffffffn), 2 * SECTOR - 4);
    entry.writeUInt32LE(crc32c(entry, 4), 4);
    entry.copy(image, log + i * entry.length);
  }
}

/** Byte of the block table. */
function tableOf(image: Buffer): number {
  for (let at = 196608 + 16; ; at += 32) if (image.readUInt32LE(at) === 0x2dc27766) return Number(image.readBigUInt64LE(at + 16));
}

it('applies the log of a VHDX image that was not closed, and leaves the image as it is', async () => {
  const folder = scratch();
  const file = make(folder, 'a.vhdx', 'vhdx', pattern(3, 6 * MIB), 'block_size=1048576');
  const image = readFileSync(file);
  dirty(image, tableOf(image), 2);
  writeFileSync(file, image);
  const before = readFileSync(file);
  const got = await contents(file, 'vhdx');
  expect(readFileSync(file).equals(before)).toBe(true);
  expect(got.subarray(0, MIB).every((byte) => byte === 0)).toBe(true);
  // qemu-img writes it where it belongs.
  const theirs = path.join(folder, 'theirs.vhdx');
  copyFileSync(file, theirs);
  qemuImg('check', '-r', 'all', theirs);
  qemuImg('convert', '-f', 'vhdx', '-O', 'raw', theirs, path.join(folder, 'theirs.raw'));
  expect(got.equals(readFileSync(path.join(folder, 'theirs.raw')))).toBe(true);
  // A log that is damaged is no reason to guess.
  const log = Number(image.readBigUInt64LE(65536 + 72));
  image.fill(0x55, log, log + 4 * SECTOR);
  writeFileSync(file, image);
  await expect(openImage(file, { readOnly: true })).rejects.toMatchObject({ kind: 'corrupt', message: expect.stringContaining('log') });
});

it('reads a differencing VHDX image over its parent', async () => {
  const folder = scratch();
  const parent = make(folder, 'parent.vhdx', 'vhdx', pattern(3, 6 * MIB), 'block_size=1048576');
  const child = make(folder, 'child.vhdx', 'vhdx', pattern(5, 6 * MIB), 'block_size=1048576');
  const base = readFileSync(parent);
  const image = readFileSync(child);
  const metadata = Number(image.readBigUInt64LE([196608 + 16, 196608 + 48].find((at) => image.readUInt32LE(at) === 0x8b7ca206)! + 16));
  const count = image.readUInt16LE(metadata + 10);
  for (let at = metadata + 32; at < metadata + 32 + count * 32; at += 32)
    if (image.readUInt32LE(at) === 0xcaa16737) {
      const item = metadata + image.readUInt32LE(at + 16);
      image.writeUInt32LE(image.readUInt32LE(item + 4) | 2, item + 4);
    }
  // The parent locator behind the other items.
  const header = base.readBigUInt64LE(65536 + 8) > base.readBigUInt64LE(131072 + 8) ? 65536 : 131072;
  const hex = base.subarray(header + 32, header + 48).toString('hex');
  const swap = (text: string) => text.match(/../g)!.reverse().join('');
  const linkage =
    `{${swap(hex.slice(0, 8))}-${swap(hex.slice(8, 12))}-${swap(hex.slice(12, 16))}-${hex.slice(16, 20)}-${hex.slice(20)}}`.toUpperCase();
  const pairs: [string, string][] = [
    ['parent_linkage', linkage],
    ['relative_path', '.\\parent.vhdx'],
  ];
  const strings: Buffer[] = [];
  const locator = Buffer.alloc(20 + pairs.length * 12);
  locator.writeUInt16LE(pairs.length, 18);
  let place = locator.length;
  const put = (text: string) => {
    const bytes = Buffer.from(text, 'utf16le');
    strings.push(bytes);
    place += bytes.length;
    return { at: place - bytes.length, length: bytes.length };
  };
  pairs.forEach(([key, value], i) => {
    const k = put(key);
    const v = put(value);
    locator.writeUInt32LE(k.at, 20 + i * 12);
    locator.writeUInt32LE(v.at, 24 + i * 12);
    locator.writeUInt16LE(k.length, 28 + i * 12);
    locator.writeUInt16LE(v.length, 30 + i * 12);
  });
  const item = Buffer.concat([locator, ...strings]);
  const itemAt = 128 * 1024;
  item.copy(image, metadata + itemAt);
  const entry = metadata + 32 + count * 32;
  Buffer.from('2d5fd3a80bb34d45abf7d3d84834ab0c', 'hex').copy(image, entry);
  image.writeUInt32LE(itemAt, entry + 16);
  image.writeUInt32LE(item.length, entry + 20);
  image.writeUInt16LE(count + 1, metadata + 10);
  // Block 1 is not there, of block 2 the even sectors are, the others are there.
  const table = tableOf(image);
  image.writeBigUInt64LE(0n, table + 8);
  image.writeBigUInt64LE((image.readBigUInt64LE(table + 16) & ~7n) | 7n, table + 16);
  const ratio = 4096;
  const bitmapAt = Math.ceil(image.length / MIB) * MIB;
  image.writeBigUInt64LE((BigInt(bitmapAt / MIB) << 20n) | 6n, table + ratio * 8);
  const bitmap = Buffer.alloc(MIB, 0x55);
  writeFileSync(child, Buffer.concat([image, Buffer.alloc(bitmapAt - image.length), bitmap]));
  const got = await contents(child, 'vhdx');
  const want = pattern(5, 6 * MIB);
  const below = pattern(3, 6 * MIB);
  below.copy(want, MIB, MIB, 2 * MIB);
  for (let sector = 4097; sector < 6144; sector += 2) below.copy(want, sector * 512, sector * 512, sector * 512 + 512);
  expect(got.equals(want)).toBe(true);
  // Another parent is refused.
  make(folder, 'parent.vhdx', 'vhdx', pattern(4, 6 * MIB), 'block_size=1048576');
  await expect(openImage(child, { readOnly: true })).rejects.toMatchObject({ kind: 'corrupt' });
});

it('reads a differencing VHD image over its parent', async () => {
  const folder = scratch();
  const size = 4 * MIB;
  const parent = make(folder, 'parent.vhd', 'vpc', pattern(3, size), 'subformat=dynamic,force_size=on');
  const child = make(folder, 'child.vhd', 'vpc', pattern(5, size), 'subformat=dynamic,force_size=on');
  const base = readFileSync(parent);
  const image = readFileSync(child);
  const sum = (from: number, length: number, skip: number) => {
    let total = 0;
    for (let i = 0; i < length; i++) if (i < skip || i >= skip + 4) total += image[from + i]!;
    image.writeUInt32BE(~total >>> 0, from + skip);
  };
  for (const at of [0, image.length - 512]) {
    image.writeUInt32BE(4, at + 60);
    sum(at, 512, 64);
  }
  const header = 512;
  base.copy(image, header + 40, 68, 84);
  const name = Buffer.from('.\\parent.vhd', 'utf16le');
  image.write('W2ru', header + 576, 'latin1');
  image.writeUInt32BE(512, header + 580);
  image.writeUInt32BE(name.length, header + 584);
  // A footer's worth of room in front of the footer at the end.
  const footer = image.subarray(image.length - 512);
  image.writeBigUInt64BE(BigInt(image.length - 512), header + 592);
  sum(header, 1024, 36);
  const table = Number(image.readBigUInt64BE(header + 16));
  const block = image.readUInt32BE(table + 4) * 512;
  image.fill(0x55, block, block + 512);
  image.writeUInt32BE(0xffffffff, table);
  const room = Buffer.alloc(512);
  name.copy(room);
  writeFileSync(child, Buffer.concat([image.subarray(0, image.length - 512), room, footer]));
  const got = await contents(child, 'vhd');
  const want = pattern(5, size);
  const below = pattern(3, size);
  below.copy(want, 0, 0, 2 * MIB);
  // 0x55 in a bitmap whose first bit is the highest: odd sectors are there.
  for (let sector = 4096; sector < 8192; sector += 2) below.copy(want, sector * 512, sector * 512, sector * 512 + 512);
  expect(got.equals(want)).toBe(true);
});
