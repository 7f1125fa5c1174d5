import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageLocks } from '../platform/imagelocks.ts';
import { mountSmall } from '../platform/testing/smalldisk.ts';
import { Disks } from './disks.ts';

let folder = '';
let disks: Disks;
const at = (name: string) => path.join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-disks-'));
  disks = new Disks(new ImageLocks(at('locks')));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 1 << 20;

test('a chain that leads back to itself is refused by name, and mended by a rebase that looks at the name only', async () => {
  const create = (name: string, below: string) =>
    disks.create(at(name), { format: 'qcow2', sizeBytes: MIB, backingFile: below, backingFormat: 'qcow2' });
  await create('a.qcow2', 'b.qcow2');
  await create('b.qcow2', 'a.qcow2');
  await expect(disks.info(at('a.qcow2'))).rejects.toMatchObject({
    kind: 'corrupt',
    message: expect.stringContaining('lies on top of itself'),
    fix: expect.stringContaining('rebase'),
  });
  await disks.rebase(at('a.qcow2'), { backingFile: undefined, unsafe: true });
  expect((await disks.info(at('b.qcow2'))).below).toEqual([at('a.qcow2')]);
});

test('an image that is told a wrong format of the one below it says so, and how to say the right one', async () => {
  writeFileSync(at('plain.raw'), Buffer.alloc(MIB, 7));
  await disks.create(at('over.qcow2'), { format: 'qcow2', sizeBytes: MIB, backingFile: 'plain.raw', backingFormat: 'qcow2' });
  const copied = () => disks.convert({ from: { path: at('over.qcow2') }, to: { path: at('over.raw'), format: 'raw' } });
  await expect(copied()).rejects.toMatchObject({
    kind: 'corrupt',
    message: `${at('over.qcow2')} says that ${at('plain.raw')} below it is qcow2; it can not be read as that, and looks like raw`,
    fix: expect.stringContaining('--backing-format raw'),
  });
  await disks.rebase(at('over.qcow2'), { backingFile: 'plain.raw', backingFormat: 'raw', unsafe: true });
  await copied();
  expect(await disks.compare(at('over.raw'), at('plain.raw'))).toBeUndefined();
  // Damage of what it says rightly is that image's.
  await disks.create(at('base.qcow2'), { format: 'qcow2', sizeBytes: MIB });
  await disks.create(at('top.qcow2'), { format: 'qcow2', sizeBytes: MIB, backingFile: 'base.qcow2', backingFormat: 'qcow2' });
  truncateSync(at('base.qcow2'), 60);
  await expect(disks.info(at('top.qcow2'))).rejects.toMatchObject({ message: expect.stringContaining('base.qcow2 is damaged') });
});

describe('what is known and not read', () => {
  test.each([
    ['QED', Buffer.from('QED\0\0\0\x01\0')],
    ['qcow (version 1)', Buffer.from([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1])],
    ['Parallels', Buffer.from('WithoutFreeSpace')],
    ['Parallels', Buffer.from('WithouFreSpacExt')],
    ['Bochs', Buffer.from('Bochs Virtual HD Image\0')],
  ])('%s is refused by its name, unless it is said to be raw', async (name, magic) => {
    const file = at('other.img');
    writeFileSync(file, Buffer.concat([magic, Buffer.alloc(4096)]));
    await expect(disks.convert({ from: { path: file }, to: { path: at('copy.qcow2'), format: 'qcow2' } })).rejects.toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining(`is a ${name} image`),
    });
    expect(existsSync(at('copy.qcow2'))).toBe(false);
    expect((await disks.info(file, 'raw')).format).toBe('raw');
  });
});

describe('what a format does not have is refused, not left out', () => {
  test.each([
    ['tables put aside', { preallocation: 'metadata' }],
    ['clusters', { clusterSize: 4096 }],
    ['refcounts', { refcountBits: 8 }],
    ['compression', { compression: 'zstd' }],
  ] as const)('raw: %s', async (_, options) => {
    await expect(disks.create(at('no.raw'), { format: 'raw', sizeBytes: MIB, ...options })).rejects.toMatchObject({ kind: 'unsupported' });
    expect(existsSync(at('no.raw'))).toBe(false);
  });

  test('VMDK: size of clusters', async () => {
    writeFileSync(at('from.raw'), Buffer.alloc(MIB));
    const to = { path: at('no.vmdk'), format: 'vmdk', clusterSize: 4096 } as const;
    await expect(disks.convert({ from: { path: at('from.raw') }, to })).rejects.toMatchObject({ kind: 'unsupported' });
    expect(existsSync(at('no.vmdk'))).toBe(false);
  });
});

test('a copy for which there is no room leaves nothing behind', async ({ skip }) => {
  const small = mountSmall(2 * MIB) ?? skip('only root may mount a small file system');
  try {
    const from = at('large.raw');
    writeFileSync(from, Buffer.alloc(4 * MIB, 7));
    for (const to of [
      { format: 'qcow2' },
      { format: 'qcow2', clusterSize: 512 },
      { format: 'raw' },
      { format: 'vmdk', subformat: 'monolithicSparse' },
    ] as const) {
      const copy = disks.convert({ from: { path: from, format: 'raw' }, to: { path: path.join(small.folder, 'copy'), ...to } });
      await expect(copy).rejects.toMatchObject({ kind: 'no-space' });
      expect(readdirSync(small.folder)).toEqual([]);
    }
  } finally {
    small.unmount();
  }
});
