import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RandomAccessFile } from '../backend/file.ts';
import { RawDisk } from '../disk/raw.ts';
import { HypervueError } from '../util/errors.ts';
import { NodeFile } from './nodefile.ts';
import { mountSmall } from './testing/smalldisk.ts';

const GIB = 2 ** 30;
let folder: string;
const open: RawDisk[] = [];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-raw-'));
});

afterEach(async () => {
  for (const disk of open.splice(0)) await disk.close().catch(() => {});
  rmSync(folder, { recursive: true, force: true });
});

async function raw(file: string, options: { readOnly?: boolean; sectorBytes?: number } = {}): Promise<RawDisk> {
  const { readOnly = false, sectorBytes = 512 } = options;
  const disk = await RawDisk.open(await NodeFile.open(file, readOnly), { readOnly, sectorBytes });
  open.push(disk);
  return disk;
}

/** A file of `bytes`, all holes but for `head`. */
function image(bytes: number, head = new Uint8Array()): string {
  const file = path.join(folder, 'disk.img');
  writeFileSync(file, head);
  truncateSync(file, bytes);
  return file;
}

async function failure(promise: Promise<unknown>): Promise<HypervueError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HypervueError);
  return error as HypervueError;
}

const fill = (length: number, value: number) => new Uint8Array(new SharedArrayBuffer(length)).fill(value);

describe('a raw image', () => {
  it.each([4 * GIB, 128 * GIB, 2048 * GIB])('keeps sectors around byte %i apart', async (place) => {
    const file = image(place + 4096);
    const disk = await raw(file);
    expect(disk.info.sizeBytes).toBe(place + 4096);
    await disk.write(place - 512, fill(512, 1));
    await disk.write(place, fill(512, 2));
    await disk.write(place + 3584, fill(512, 3));
    await disk.flush();
    const back = fill(1024, 0xff);
    await disk.read(place - 512, back);
    expect([back[0], back[511], back[512], back[1023]]).toEqual([1, 1, 2, 2]);
    await disk.read(place + 3584, back.subarray(0, 512));
    expect(back[0]).toBe(3);
    // Nothing landed at the same place modulo 4 GiB, and the file stays sparse.
    await disk.read(place % (4 * GIB), back.subarray(0, 512));
    expect(back[0]).toBe(place % (4 * GIB) === place ? 2 : 0);
    const host = openSync(file, 'r');
    const one = Buffer.alloc(1);
    readSync(host, one, 0, 1, place + 3584);
    closeSync(host);
    expect(one[0]).toBe(3);
    expect(statSync(file).blocks * 512).toBeLessThan(1 << 20);
  });

  it('of an odd length ends with zeros up to a whole sector, and can be written there', async () => {
    const file = image(1000, new Uint8Array(1000).fill(7));
    const disk = await raw(file);
    expect(disk.info.sizeBytes).toBe(1024);
    const back = fill(512, 0xff);
    await disk.read(512, back);
    expect([back[487], back[488], back[511]]).toEqual([7, 0, 0]);
    await disk.write(512, fill(512, 9));
    expect(statSync(file).size).toBe(1024);
    const disc = await raw(image(2049, Uint8Array.of(5)), { readOnly: true, sectorBytes: 2048 });
    expect(disc.info.sizeBytes).toBe(4096);
    await disc.read(2048, fill(2048, 0xff));
  });

  it('refuses what is past its end or before its beginning', async () => {
    const disk = await raw(image(4096));
    for (const [offset, length] of [
      [4096, 1],
      [3584, 513],
      [-1, 1],
      [Number.NaN, 1],
      [2 ** 53, 512],
    ] as const)
      for (const attempt of [disk.read(offset, fill(length, 0)), disk.write(offset, fill(length, 0))])
        expect((await failure(attempt)).kind).toBe('invalid-argument');
    expect(statSync(path.join(folder, 'disk.img')).size).toBe(4096);
  });

  it('that is empty is refused by name', async () => {
    const error = await failure(raw(image(0)));
    expect([error.kind, error.message.includes('disk.img')]).toEqual(['corrupt', true]);
  });

  it('opened read-only takes no write and leaves the file as it is', async () => {
    const file = image(4096, Uint8Array.of(1));
    const disk = await raw(file, { readOnly: true });
    expect(disk.info.readOnly).toBe(true);
    expect((await failure(disk.write(0, fill(512, 9)))).kind).toBe('permission-denied');
    await disk.flush();
    const back = fill(512, 0);
    await disk.read(0, back);
    expect(back[0]).toBe(1);
  });

  it('that becomes shorter under the machine gives an error instead of zeros', async () => {
    const file = image(8192);
    const disk = await raw(file);
    truncateSync(file, 4096);
    expect((await failure(disk.read(4096, fill(512, 0)))).kind).toBe('io-error');
    await disk.read(0, fill(512, 0));
  });

  it('closes its file even when the last flush fails', async () => {
    let closed = 0;
    const broken: RandomAccessFile = {
      path: 'broken.img',
      readOnly: false,
      size: () => Promise.resolve(512),
      read: (_, target) => Promise.resolve(target.length),
      write: () => Promise.resolve(),
      truncate: () => Promise.resolve(),
      sync: () => Promise.reject(new HypervueError('io-error', 'broken.img could not be used', {})),
      close: () => {
        closed++;
        return Promise.resolve();
      },
    };
    const disk = await RawDisk.open(broken, { readOnly: false, sectorBytes: 512 });
    expect((await failure(disk.close())).kind).toBe('io-error');
    expect(closed).toBe(1);
  });
});

const small = mountSmall(1 << 20);
describe.skipIf(!small)('on a full host disk', () => {
  afterEach(() => small?.unmount());

  it('a write says so and changes nothing that was written before', async () => {
    const file = path.join(small!.folder, 'disk.img');
    writeFileSync(file, '');
    truncateSync(file, 16 << 20);
    const disk = await raw(file);
    await disk.write(0, fill(65536, 1));
    small!.fill();
    const error = await failure(disk.write(8 << 20, fill(1 << 19, 2)));
    expect([error.kind, error.context.path]).toEqual(['no-space', file]);
    const back = fill(65536, 0);
    await disk.read(0, back);
    expect([back[0], back[65535]]).toEqual([1, 1]);
    await disk.write(0, fill(512, 3));
    await disk.close();
  });
});
