import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RandomAccessFile } from '../../backend/file.ts';
import { bootKinds } from './eltorito.ts';
import { IsoVolume } from './iso9660.ts';
import { ISO_SECTOR } from './sector.ts';
import { dstring, readUdf } from './udf.ts';

/** A file in memory that counts what is read of it. */
function memory(bytes: Uint8Array): RandomAccessFile & { reads: number } {
  return {
    path: 'memory',
    readOnly: true,
    reads: 0,
    size: async () => bytes.length,
    async read(offset, target) {
      this.reads += target.length;
      if (offset < 0 || offset > bytes.length) throw new Error(`read at ${offset} of ${bytes.length}`);
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
    write: async () => {},
    sync: async () => {},
    truncate: async () => {},
    close: async () => {},
  };
}

const text = (bytes: Uint8Array, at: number, value: string) => bytes.set(new TextEncoder().encode(value), at);

/** A UDF volume without files: bridge descriptors, anchor at 256, primary and logical volume descriptors. */
function udf(name: string): Uint8Array {
  const bytes = new Uint8Array(300 * ISO_SECTOR);
  const view = new DataView(bytes.buffer);
  for (const [index, id] of ['BEA01', 'NSR03', 'TEA01'].entries()) text(bytes, (16 + index) * ISO_SECTOR + 1, id);
  const anchor = 256 * ISO_SECTOR;
  view.setUint16(anchor, 2, true);
  view.setUint32(anchor + 16, 16 * ISO_SECTOR, true);
  view.setUint32(anchor + 20, 260, true);
  const primary = 260 * ISO_SECTOR;
  view.setUint16(primary, 1, true);
  text(bytes, primary + 345, '*Maker');
  const logical = 261 * ISO_SECTOR;
  view.setUint16(logical, 6, true);
  bytes[logical + 84] = 16;
  for (const [index, unit] of [...name].entries()) view.setUint16(logical + 85 + 2 * index, unit.charCodeAt(0));
  bytes[logical + 84 + 127] = 1 + 2 * name.length;
  view.setUint16(262 * ISO_SECTOR, 8, true);
  return bytes;
}

test('a UDF volume has the name of its logical volume', async () => {
  const bytes = udf('Wörk');
  expect(await readUdf(memory(bytes), bytes.length)).toEqual({ volumeId: 'Wörk', applicationId: 'Maker' });
});

test('d-strings: 8 bits, 16 bits, empty and of a length that lies', () => {
  const field = (id: number, body: number[], length: number) =>
    Uint8Array.from([id, ...body, ...new Array(31 - 1 - body.length).fill(0), length]);
  expect(dstring(field(8, [65, 66], 3))).toBe('AB');
  expect(dstring(field(16, [0, 65, 1, 0x61], 5))).toBe('Aš');
  expect(dstring(field(8, [65], 0))).toBe('');
  expect(dstring(field(8, [65], 255))).toBe('A');
  expect(dstring(field(3, [65], 2))).toBe('');
});

test('whatever the bytes are, reading ends, stays inside the file and reads little', async () => {
  const wild = fc.record({
    base: fc.constantFrom(udf('X'), iso()),
    holes: fc.array(fc.tuple(fc.nat(299 * ISO_SECTOR), fc.uint8Array({ minLength: 1, maxLength: 8 })), { maxLength: 12 }),
    near: fc.array(
      fc.tuple(fc.constantFrom(16, 17, 18, 19, 20, 256, 260, 261), fc.nat(400), fc.uint8Array({ minLength: 1, maxLength: 8 })),
      { maxLength: 12 },
    ),
    cut: fc.nat(300 * ISO_SECTOR),
  });
  await fc.assert(
    fc.asyncProperty(wild, async ({ base, holes, near, cut }) => {
      const bytes = base.slice();
      for (const [at, change] of holes) bytes.set(change, at);
      for (const [sector, at, change] of near) bytes.set(change, sector * ISO_SECTOR + at);
      const file = memory(bytes.subarray(0, cut));
      await readUdf(file, cut);
      const volume = await IsoVolume.open(file, cut);
      await volume?.readFile('.disk/info', 4096);
      await volume?.has('efi/boot/bootx64.efi');
      await bootKinds(file, cut, volume?.bootCatalog ?? 19);
      expect(file.reads).toBeLessThan(16 << 20);
    }),
    { numRuns: 300 },
  );
});

/** An ISO 9660 volume with the file DIR/A.TXT;1 and a directory that contains itself. */
function iso(): Uint8Array {
  const bytes = new Uint8Array(300 * ISO_SECTOR);
  const view = new DataView(bytes.buffer);
  const record = (at: number, sector: number, size: number, directory: boolean, name: string) => {
    const length = 33 + name.length + ((name.length + 1) % 2);
    bytes[at] = length;
    view.setUint32(at + 2, sector, true);
    view.setUint32(at + 10, size, true);
    bytes[at + 25] = directory ? 2 : 0;
    bytes[at + 32] = name.length;
    text(bytes, at + 33, name);
    return at + length;
  };
  const primary = 16 * ISO_SECTOR;
  bytes[primary] = 1;
  text(bytes, primary + 1, 'CD001');
  record(primary + 156, 18, ISO_SECTOR, true, '\0');
  bytes[17 * ISO_SECTOR] = 255;
  text(bytes, 17 * ISO_SECTOR + 1, 'CD001');
  const next = record(18 * ISO_SECTOR, 19, ISO_SECTOR, true, 'DIR');
  record(next, 18, ISO_SECTOR, true, 'LOOP');
  record(19 * ISO_SECTOR, 20, 5, false, 'A.TXT;1');
  text(bytes, 20 * ISO_SECTOR, 'hello');
  return bytes;
}

test('plain names are found whatever the case, with the version left out', async () => {
  const bytes = iso();
  const volume = (await IsoVolume.open(memory(bytes), bytes.length))!;
  expect(new TextDecoder().decode(await volume.readFile('dir/a.txt', 100))).toBe('hello');
  expect(new TextDecoder().decode(await volume.readFile('DIR/A.TXT', 2))).toBe('he');
  expect(await volume.readFile('dir', 100)).toBeUndefined();
  expect(await volume.readFile('dir/a.txt/b', 100)).toBeUndefined();
  expect(await volume.has('loop/loop/loop/dir/a.txt')).toBe(true);
  expect(await volume.has(`${'loop/'.repeat(50)}dir`)).toBe(false);
});
