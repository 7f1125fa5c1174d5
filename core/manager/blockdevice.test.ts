import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Disks } from './disks.ts';
import type { HypervueError } from '../util/errors.ts';
import { deviceError, deviceNumber, overlapping, writeCount } from '../platform/blockdevice.ts';
import { ImageLocks } from '../platform/imagelocks.ts';
import { imageStamp } from '../platform/mediastamps.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { openImage } from '../platform/openimage.ts';
import { mountSmall } from '../platform/testing/smalldisk.ts';
import { type LoopDevice, loopDevice, noLoopDevices } from '../platform/testing/loopdevice.ts';

const MIB = 1 << 20;
let folder: string;
const loops: LoopDevice[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-device-'));
});
afterEach(() => {
  for (const loop of loops.splice(0)) loop.dispose();
  rmSync(folder, { recursive: true, force: true });
});
const device = (...args: Parameters<typeof loopDevice>): LoopDevice => {
  const loop = loopDevice(...args);
  loops.push(loop);
  return loop;
};
const failure = (work: Promise<unknown>): Promise<HypervueError> =>
  work.then(
    (value) => {
      throw new Error(`it should have failed and gave ${String(value)}`);
    },
    (error) => error,
  );

/** Numbers that are the same in every run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

test('the numbers of a device are read as the C library does', () => {
  expect(['8:1', '259:3', '7:300']).toEqual([0x801, 0x10303, 0x10072c].map(deviceNumber));
});

test('a stand-in for /sys: what overlaps, and what tells of a write', () => {
  const file = (name: string, text: string) => {
    execFileSync('mkdir', ['-p', path.dirname(path.join(folder, name))]);
    writeFileSync(path.join(folder, name), text);
  };
  file('sys/devices/sdb/dev', '8:16\n');
  file('sys/devices/sdb/stat', '1 0 2 3 40 5 600 7 0 0 0\n');
  file('sys/devices/sdb/diskseq', '9\n');
  for (const part of [1, 2]) {
    file(`sys/devices/sdb/sdb${part}/dev`, `8:${16 + part}\n`);
    file(`sys/devices/sdb/sdb${part}/partition`, `${part}\n`);
  }
  file('sys/dev/block/.keep', '');
  symlinkSync('../../devices/sdb', path.join(folder, 'sys/dev/block/8:16'));
  symlinkSync('../../devices/sdb/sdb2', path.join(folder, 'sys/dev/block/8:18'));
  file('proc/sys/kernel/random/boot_id', 'first\n');
  expect(overlapping('8:16', folder).sort()).toEqual(['8:17', '8:18']);
  expect(overlapping('8:18', folder)).toEqual(['8:16']);
  expect(overlapping('8:99', folder)).toEqual([]);
  const before = writeCount(0x810, folder);
  expect(writeCount(0x810, folder)).toBe(before);
  file('sys/devices/sdb/stat', '1 0 2 3 41 5 608 7 0 0 0\n');
  const written = writeCount(0x810, folder);
  file('proc/sys/kernel/random/boot_id', 'second\n');
  expect(new Set([before, written, writeCount(0x810, folder)]).size).toBe(3);
});

test('what opening a device fails with says what can be done', () => {
  const error = (code: string, gid?: number) => deviceError(Object.assign(new Error(code), { code }), '/dev/sdz', 'open', gid);
  expect(error('EBUSY')).toMatchObject({ kind: 'in-use', fix: expect.stringContaining('Unmount it') });
  expect(error('EACCES', 0)?.fix).toContain('root');
  // Group 6 is `disk` on Debian; here it only has to be one with a name.
  const [, gid] = readFileSync('/etc/group', 'utf8').match(/^disk:[^:]*:(\d+)/m) ?? [];
  if (gid !== undefined) expect(error('EACCES', Number(gid))?.fix).toContain('usermod -aG disk ');
  expect(error('ENXIO')).toMatchObject({ kind: 'io-error', message: expect.stringContaining('/dev/sdz') });
  expect(error('ENOENT')).toBeUndefined();
});

describe.skipIf(noLoopDevices)('a block device', () => {
  test.each([
    ['through the cache', 512, false],
    ['through the cache, sectors of 4096', 4096, false],
    ['around the cache', 512, true],
    ['around the cache, sectors of 4096', 4096, true],
  ])('holds what was written to it at random, %s', async (_name, sectorBytes, direct) => {
    // No multiple of 4096 where sectors allow it.
    const bytes = 8 * MIB + (sectorBytes === 512 ? 512 : 0);
    const loop = device(bytes, { sectorBytes });
    const disk = await openImage(loop.path, { readOnly: false, format: 'raw', direct, quick: true });
    expect(disk.info).toMatchObject({ sizeBytes: bytes, readOnly: false });
    const model = Buffer.alloc(bytes);
    const below = numbers(sectorBytes + Number(direct));
    const sectors = bytes / 512;
    for (let i = 0; i < 400; i++) {
      const at = below(sectors);
      const count = 1 + below(Math.min(i % 10 ? 64 : 2000, sectors - at));
      const [offset, length] = [at * 512, count * 512];
      const what = below(10);
      if (what < 6) {
        const data = new Uint8Array(new SharedArrayBuffer(length)).fill(1 + below(255));
        data[0] = i;
        await disk.write(offset, data);
        model.set(data, offset);
      } else if (what < 8) {
        const zeroing = disk as unknown as { writeZeroes(at: number, length: number, unmap: boolean): Promise<void> };
        await zeroing.writeZeroes(offset, length, what === 6);
        model.fill(0, offset, offset + length);
      } else {
        const back = new Uint8Array(length);
        await disk.read(offset, back);
        expect(Buffer.compare(back, model.subarray(offset, offset + length)), `read ${i}`).toBe(0);
      }
    }
    // The very last sector is there too.
    const last = new Uint8Array(512).fill(0xee);
    await disk.write(bytes - 512, last);
    model.set(last, bytes - 512);
    await disk.flush();
    // A flush brought it to what is behind the device.
    execFileSync('sync', ['-d', loop.image]);
    const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
    expect(hash(readFileSync(loop.image))).toBe(hash(model));
    await disk.close();
    expect(hash(loop.content())).toBe(hash(model));
  });

  test('a trim either makes zeros or changes nothing, and nothing beside it', async () => {
    const loop = device(4 * MIB);
    writeFileSync(loop.path, Buffer.alloc(4 * MIB, 7), { flag: 'r+' });
    const disk = await openImage(loop.path, { readOnly: false, format: 'raw' });
    const trim = disk as unknown as { discard(offset: number, length: number): Promise<void> };
    await trim.discard(MIB, MIB);
    await trim.discard(3 * MIB + 512, 1024);
    await disk.flush();
    await disk.close();
    const now = loop.content();
    expect([0, 7]).toContain(now[MIB]);
    for (const [at, length] of [
      [MIB, MIB],
      [3 * MIB + 512, 1024],
    ] as const)
      expect(now.subarray(at, at + length).every((byte) => byte === now[at])).toBe(true);
    for (const [from, to] of [
      [0, MIB],
      [2 * MIB, 3 * MIB + 512],
      [3 * MIB + 1536, 4 * MIB],
    ] as const)
      expect(now.subarray(from, to).every((byte) => byte === 7)).toBe(true);
  });

  test('is one writer’s: neither a second one nor a mount gets it meanwhile, and none gets it while it is mounted', async () => {
    const loop = device(16 * MIB);
    loop.mount();
    expect(await failure(NodeFile.open(loop.path, false))).toMatchObject({ kind: 'in-use', fix: expect.stringContaining('Unmount it') });
    // To look at it is allowed.
    await (await NodeFile.open(loop.path, true)).close();
    loop.unmount();
    const file = await NodeFile.open(loop.path, false);
    expect((await failure(NodeFile.open(loop.path, false))).kind).toBe('in-use');
    expect(() => execFileSync('mount', [loop.path, path.join(path.dirname(loop.image), 'mounted')], { stdio: 'pipe' })).toThrow(
      /mount|busy/i,
    );
    await file.close();
    await (await NodeFile.open(loop.path, false)).close();
  });

  test('that can only be read is opened for reading only', async () => {
    const loop = device(MIB, { readOnly: true });
    expect(await failure(NodeFile.open(loop.path, false))).toMatchObject({
      kind: 'permission-denied',
      message: expect.stringContaining(loop.path),
      fix: expect.stringContaining('read-only'),
    });
    const disk = await openImage(loop.path, { readOnly: true, format: 'raw' });
    expect(disk.info).toMatchObject({ readOnly: true, sizeBytes: MIB });
    await disk.flush();
    expect((await failure(disk.write(0, new Uint8Array(512)))).kind).toBe('permission-denied');
    await disk.close();
  });

  test('that loses what is behind it gives errors that name it, and is not taken for shorter', async () => {
    const loop = device(4 * MIB);
    const disk = await openImage(loop.path, { readOnly: false, format: 'raw', direct: true });
    truncateSync(loop.image, MIB);
    const read = await disk.read(2 * MIB, new Uint8Array(4096)).catch((error: HypervueError) => error);
    if (read) expect(read).toMatchObject({ kind: 'io-error', message: expect.stringContaining(loop.path) });
    expect(disk.info.sizeBytes).toBe(4 * MIB);
    await disk.close().catch(() => {});
    // A size that was found by trying to read would end at the first bad sector.
    const file = await NodeFile.open(loop.path, true);
    expect(await file.size()).toBe(4 * MIB);
    await file.close();
  });

  test('that fails while it is written to says so at the latest in the flush, by its name', async (context) => {
    const small = mountSmall(2 * MIB);
    if (!small) return context.skip();
    const loop = device(16 * MIB, { within: small.folder });
    try {
      for (const direct of [false, true]) {
        const disk = await openImage(loop.path, { readOnly: false, format: 'raw', direct });
        const fill = async () => {
          for (let at = 0; at < 16 * MIB; at += MIB) await disk.write(at, new Uint8Array(MIB).fill(1 + at / MIB));
          await disk.flush();
        };
        expect(await failure(fill())).toMatchObject({ kind: 'io-error', message: expect.stringContaining(loop.path) });
        await disk.close().catch(() => {});
      }
    } finally {
      loops.splice(loops.indexOf(loop), 1);
      loop.dispose();
      small.unmount();
    }
  });

  test('is not resized, compacted or deleted, and no qcow2 image is written on it', async () => {
    const loop = device(4 * MIB);
    const disks = new Disks(new ImageLocks(path.join(folder, 'locks')));
    const works = [
      () => disks.resize(loop.path, 8 * MIB),
      () => disks.resize(loop.path, MIB, { shrink: true }),
      () => disks.compact(loop.path),
      () => disks.delete(loop.path),
    ];
    for (const work of works)
      expect(await failure(work())).toMatchObject({ kind: 'unsupported', message: expect.stringContaining(loop.path) });
    expect((await failure(disks.create(loop.path, { format: 'raw', sizeBytes: MIB }))).kind).toBe('already-exists');
    expect((await failure(disks.create(loop.path, { format: 'qcow2', sizeBytes: MIB }))).kind).toBe('already-exists');
    expect((await failure(disks.clone({ from: { path: loop.path }, to: loop.path }))).kind).toBe('already-exists');
    await disks.create(path.join(folder, 'a.qcow2'), { format: 'qcow2', sizeBytes: MIB });
    writeFileSync(loop.path, readFileSync(path.join(folder, 'a.qcow2')), { flag: 'r+' });
    // What a guest wrote there says nothing.
    expect(await disks.info(loop.path)).toMatchObject({ format: 'raw', sizeBytes: 4 * MIB, allocatedBytes: 4 * MIB, below: [] });
    expect((await failure(openImage(loop.path, { readOnly: false, format: 'qcow2' }))).kind).toBe('unsupported');
    expect(await disks.info(loop.path, 'qcow2')).toMatchObject({ format: 'qcow2', sizeBytes: MIB });
    expect(existsSync(loop.path)).toBe(true);
    expect(statSync(loop.path).isBlockDevice()).toBe(true);
  });

  test('lies below a qcow2 image, is copied from, and written to when that is said', async () => {
    const loop = device(4 * MIB);
    const bytes = Buffer.alloc(4 * MIB);
    for (let at = 0; at < bytes.length; at += 65536) bytes.fill(at / 65536 + 1, at, at + 4096);
    writeFileSync(loop.path, bytes, { flag: 'r+' });
    const disks = new Disks(new ImageLocks(path.join(folder, 'locks')));
    const top = path.join(folder, 'top.qcow2');
    await disks.clone({ from: { path: loop.path }, to: top, linked: true });
    expect(await disks.info(top)).toMatchObject({ below: [loop.path], sizeBytes: 4 * MIB });
    expect(await disks.compare(top, loop.path)).toBeUndefined();
    expect(await failure(disks.commit(top))).toMatchObject({ kind: 'unsupported', message: expect.stringContaining(loop.path) });
    const image = path.join(folder, 'foreign.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', `data_file=${path.join(folder, 'data')},data_file_raw=on`, image, '4M']);
    rmSync(path.join(folder, 'data'));
    symlinkSync(loop.path, path.join(folder, 'data'));
    expect(await failure(openImage(image, { readOnly: false, format: 'qcow2' }))).toMatchObject({ kind: 'unsupported' });
    const copy = path.join(folder, 'copy.qcow2');
    await disks.convert({ from: { path: loop.path }, to: { path: copy, format: 'qcow2' } });
    expect(await disks.compare(copy, loop.path)).toBeUndefined();
    // Byte by byte the same for another program.
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', loop.path, copy]);

    const target = device(5 * MIB);
    const rest = Buffer.alloc(5 * MIB, 0xaa);
    writeFileSync(target.path, rest, { flag: 'r+' });
    const refused = await failure(disks.convert({ from: { path: copy }, to: { path: target.path, format: 'raw' } }));
    expect(refused).toMatchObject({ kind: 'unsupported', fix: expect.stringContaining('--overwrite-device') });
    expect((await failure(disks.convert({ from: { path: copy }, to: { path: target.path, format: 'qcow2', device: true } }))).kind).toBe(
      'unsupported',
    );
    const file = path.join(folder, 'file.img');
    expect((await failure(disks.convert({ from: { path: copy }, to: { path: file, format: 'raw', device: true } }))).kind).toBe(
      'invalid-argument',
    );
    expect(existsSync(file)).toBe(false);
    const small = device(3 * MIB);
    expect(await failure(disks.convert({ from: { path: copy }, to: { path: small.path, format: 'raw', device: true } }))).toMatchObject({
      kind: 'no-space',
    });
    expect(target.content().equals(rest)).toBe(true);
    await disks.convert({ from: { path: copy }, to: { path: target.path, format: 'raw', device: true } });
    // Zeros too, and nothing behind the disk.
    expect(target.content().equals(Buffer.concat([bytes, rest.subarray(4 * MIB)]))).toBe(true);
    expect(
      (await failure(disks.convert({ from: { path: target.path }, to: { path: target.path, format: 'raw', device: true } }))).kind,
    ).toBe('in-use');
    loop.mount();
    expect((await failure(disks.convert({ from: { path: copy }, to: { path: loop.path, format: 'raw', device: true } }))).kind).toBe(
      'in-use',
    );
  });

  test('is locked by what it is, not by its name, and with its partitions', async () => {
    const loop = device(8 * MIB, { partition: true });
    const partition = `${loop.path}p1`;
    const locks = new ImageLocks(path.join(folder, 'locks'));
    const { rdev } = statSync(loop.path);
    const [major, minor] = deviceNumber(rdev).split(':') as [string, string];
    const twin = path.join(folder, 'twin');
    execFileSync('mknod', [twin, 'b', major, minor]);
    const held = locks.acquire(twin, false, 'One');
    expect(() => locks.acquire(loop.path, true, 'Two')).toThrow(expect.objectContaining({ kind: 'in-use' }));
    expect(() => locks.acquire(partition, true, 'Two')).toThrow(/One/);
    expect(locks.conflict(partition, false)).toBe('One');
    held.dispose();
    const reader = locks.acquire(partition, true, 'Three');
    locks.acquire(loop.path, true, 'Four').dispose();
    expect(locks.conflict(loop.path, false)).toBe('Three');
    expect(() => locks.acquire(loop.path, false, 'Four')).toThrow(/Three/);
    reader.dispose();
    locks.acquire(loop.path, false, 'Four').dispose();
    // The kernel's own word: who writes to the disk keeps its partition from being opened.
    const whole = await NodeFile.open(loop.path, false);
    expect((await failure(NodeFile.open(partition, false))).kind).toBe('in-use');
    await whole.close();
  });

  test('has another stamp after every write', async () => {
    const loop = device(MIB);
    const before = await imageStamp(loop.path);
    expect(await imageStamp(loop.path)).toEqual(before);
    const file = await NodeFile.open(loop.path, false);
    await file.read(0, new Uint8Array(4096));
    await file.close();
    expect(await imageStamp(loop.path)).toEqual(before);
    const again = await NodeFile.open(loop.path, false);
    await again.write(0, new Uint8Array(512).fill(1));
    await again.sync();
    await again.close();
    expect(await imageStamp(loop.path)).not.toEqual(before);
  });
});
