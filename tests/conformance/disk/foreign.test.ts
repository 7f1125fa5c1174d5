import { mkdirSync, openSync, readFileSync, writeFileSync, writeSync, closeSync, ftruncateSync, renameSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { extents, isMapped } from '../../../core/disk/extent.ts';
import { convertImage } from '../../../core/platform/convertimage.ts';
import { imageFormat, imagesBelow, openImage } from '../../../core/platform/openimage.ts';
import { qemuImg, scratch } from './support/qemu.ts';
import { randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);

/** A raw disk with data here and there; some of it can't be packed. */
function randomRaw(file: string, sizeBytes: number, seed: number): void {
  const random = randomNumbers(seed);
  const fd = openSync(file, 'w');
  ftruncateSync(fd, sizeBytes);
  for (let i = 0; i < 24; i++) {
    const bytes = Buffer.alloc(512 * (1 + random(random(3) ? 64 : 4096)));
    const step = random(3);
    for (let at = 0; at < bytes.length; at++) bytes[at] = step === 0 ? random(256) : step === 1 ? seed + i : at >> 6;
    const at = i === 0 ? 0 : i === 1 ? sizeBytes - bytes.length : random(Math.floor((sizeBytes - bytes.length) / 512)) * 512;
    writeSync(fd, bytes, 0, bytes.length, at);
  }
  closeSync(fd);
}

/** The image reads as the raw one does, its map says so too, and it is recognised. */
async function same(file: string, raw: string, format: string): Promise<void> {
  expect(await imageFormat(file)).toBe(format);
  const disk = await openImage(file, { readOnly: true });
  const want = await openImage(raw, { readOnly: true, format: 'raw' });
  try {
    // VHD sizes follow a geometry: zeros may be behind the end.
    expect(disk.info.sizeBytes).toBeGreaterThanOrEqual(want.info.sizeBytes);
    expect(isMapped(disk)).toBe(true);
    const got = Buffer.alloc(MIB);
    const expected = Buffer.alloc(MIB);
    let end = 0;
    for await (const extent of extents(disk, 0, want.info.sizeBytes)) {
      expect(extent.offset).toBe(end);
      end += extent.length;
      // Holes of large disks are not read all over.
      const step = extent.kind === 'zero' && extent.length > 64 * MIB ? 16 * MIB : MIB;
      for (let at = extent.offset; at < end; at += step) {
        const length = Math.min(MIB, end - at);
        await disk.read(at, got.subarray(0, length));
        await want.read(at, expected.subarray(0, length));
        if (!got.subarray(0, length).equals(expected.subarray(0, length))) expect.fail(`${file}: ${extent.kind} extent at ${at} differs`);
      }
    }
  } finally {
    await disk.close();
    await want.close();
  }
}

const kinds: [qemu: string, ours: string, options: string][] = [
  ['vmdk', 'vmdk', 'subformat=monolithicSparse'],
  ['vmdk', 'vmdk', 'subformat=monolithicSparse,zeroed_grain=on'],
  ['vmdk', 'vmdk', 'subformat=streamOptimized'],
  ['vmdk', 'vmdk', 'subformat=monolithicFlat'],
  ['vmdk', 'vmdk', 'subformat=twoGbMaxExtentSparse'],
  ['vmdk', 'vmdk', 'subformat=twoGbMaxExtentFlat'],
  ['vdi', 'vdi', 'static=off'],
  ['vdi', 'vdi', 'static=on'],
  ['vpc', 'vhd', 'subformat=dynamic'],
  ['vpc', 'vhd', 'subformat=fixed'],
  ['vpc', 'vhd', 'subformat=dynamic,force_size=on'],
  ['vpc', 'vhd', 'subformat=fixed,force_size=on'],
  ['vhdx', 'vhdx', 'subformat=dynamic'],
  ['vhdx', 'vhdx', 'subformat=dynamic,block_size=1048576'],
  ['vhdx', 'vhdx', 'subformat=dynamic,block_size=33554432,block_state_zero=off'],
  ['vhdx', 'vhdx', 'subformat=fixed'],
];

for (const [qemu, ours, options] of kinds)
  it.each(Array.from({ length: SEEDS }, (_, i) => i))(`reads what qemu-img made: ${qemu}, ${options}, seed %i`, async (seed) => {
    const folder = scratch();
    const random = randomNumbers(seed * 31 + options.length);
    const raw = path.join(folder, 'a.raw');
    const several = /twoGb/.test(options) && seed === 0;
    randomRaw(raw, several ? 4500 * MIB : (3 + random(30)) * MIB + random(100) * 512, seed + 1);
    const file = path.join(folder, `a.${qemu}`);
    qemuImg('convert', '-f', 'raw', '-O', qemu, '-o', options, raw, file);
    await same(file, raw, ours);
    const copy = path.join(folder, 'copy.qcow2');
    await convertImage({ from: { path: file }, to: { path: copy, format: 'qcow2' } });
    expect(qemuImg('compare', '-f', qemu, '-F', 'qcow2', file, copy)).toContain('identical');
  });

for (const subformat of ['streamOptimized', 'monolithicSparse'] as const)
  it.each(Array.from({ length: SEEDS * 2 }, (_, i) => i))(`makes VMDK images that qemu-img reads: ${subformat}, seed %i`, async (seed) => {
    const folder = scratch();
    const raw = path.join(folder, 'a.raw');
    const random = randomNumbers(seed + 17);
    randomRaw(raw, seed === 0 ? 300 * MIB : (1 + random(80)) * MIB + random(200) * 512, seed + 5);
    const file = path.join(folder, 'a.vmdk');
    await convertImage({ from: { path: raw, format: 'raw' }, to: { path: file, format: 'vmdk', subformat } });
    expect(qemuImg('compare', '-f', 'raw', '-F', 'vmdk', raw, file)).toContain('identical');
    expect(qemuImg('info', file)).toContain(`create type: ${subformat}`);
    if (subformat === 'monolithicSparse') expect(qemuImg('check', '-f', 'vmdk', file)).toContain('No errors');
    await same(file, raw, 'vmdk');
  });

it('reads VMDK images on top of another one, and looks for it beside the image', async () => {
  const folder = scratch();
  const at = (name: string) => path.join(folder, name);
  randomRaw(at('base.raw'), 20 * MIB, 3);
  qemuImg('convert', '-O', 'vmdk', at('base.raw'), at('base.vmdk'));
  qemuImg('create', '-f', 'vmdk', '-b', at('base.vmdk'), '-F', 'vmdk', at('top.vmdk'));
  const change = Buffer.alloc(512 * 9, 77);
  writeFileSync(at('change'), change);
  qemuImg('convert', '-O', 'raw', at('top.vmdk'), at('want.raw'));
  const { execFileSync } = await import('node:child_process');
  execFileSync('qemu-io', ['-f', 'vmdk', '-c', 'write -P 77 3145728 200704', at('top.vmdk')]);
  qemuImg('convert', '-O', 'raw', at('top.vmdk'), at('want.raw'));
  await same(at('top.vmdk'), at('want.raw'), 'vmdk');
  expect(await imagesBelow(at('top.vmdk'), undefined)).toEqual([at('base.vmdk')]);
  // Moved together: the absolute path in it is of another place.
  mkdirSync(at('moved'));
  for (const name of ['top.vmdk', 'base.vmdk']) renameSync(at(name), at(`moved/${name}`));
  await same(at('moved/top.vmdk'), at('want.raw'), 'vmdk');
  // Another disk in the base's place is noticed.
  qemuImg('convert', '-O', 'vmdk', at('base.raw'), at('moved/base.vmdk'));
  writeFileSync(at('moved/base.vmdk'), readFileSync(at('moved/base.vmdk'), 'latin1').replace(/CID=[0-9a-f]{8}/, 'CID=12345678'), 'latin1');
  await expect(openImage(at('moved/top.vmdk'), { readOnly: true })).rejects.toMatchObject({ kind: 'corrupt' });
});

it('keeps VMDK descriptors to files beside them', async () => {
  const folder = scratch();
  mkdirSync(path.join(folder, 'in'));
  writeFileSync(path.join(folder, 'secret'), Buffer.alloc(MIB, 1));
  for (const name of ['../secret', path.join(folder, 'secret'), 'in/../../secret', '..\\secret']) {
    const file = path.join(folder, 'in', 'a.vmdk');
    writeFileSync(
      file,
      `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "${name}" 0\n`,
    );
    await expect(openImage(file, { readOnly: true })).rejects.toMatchObject({
      kind: 'not-found',
      message: expect.stringContaining('beside'),
    });
  }
});
