import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Check, VmCreate } from '../contract/vm.ts';
import { mountSmall } from '../platform/testing/smalldisk.ts';
import { failureOf, Harness } from './testing/harness.ts';
import { bzImage, isoImage, multibootKernel, rawImage } from './testing/media.ts';
import { plain } from '../util/say.ts';

const MIB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;
let h: Harness;

beforeEach(async () => {
  h = await Harness.open();
});

afterEach(async () => {
  await h.close();
});

type Source = VmCreate['source'];
const problems = (checks: readonly Check[]) => checks.filter(({ ok }) => !ok);

/** Sources of every kind over one file. */
const sources: Record<string, (file: string) => Source> = {
  iso: (file) => ({ type: 'iso', path: file }),
  floppy: (file) => ({ type: 'floppy', path: file }),
  disk: (file) => ({ type: 'disk', path: file, copy: false, readOnly: false }),
  copy: (file) => ({ type: 'disk', path: file, copy: true, readOnly: false }),
  kernel: (file) => ({ type: 'kernel', path: file, initrd: null, cmdline: '' }),
};

/** Preflight tells exactly one problem, and creating either fails with it or, after a warning, works. */
async function expectProblem(source: Source, severity: 'error' | 'warning', message: RegExp, kind?: string): Promise<void> {
  const found = problems(await h.preflight('New', source));
  expect(found).toEqual([expect.objectContaining({ severity, message: expect.stringMatching(message), fix: expect.stringMatching(/\w/) })]);
  if ('path' in source) expect(found[0]!.message).toContain(source.path);
  if (severity === 'error') {
    const error = await failureOf(h.create('New', { source }));
    expect(error).toMatchObject({ kind, message: found[0]!.message, dto: { context: { object: 'New' }, fix: found[0]!.fix } });
    expect(h.names()).toEqual([]);
  } else {
    const { id } = await h.create('New', { source });
    await h.call('vm.delete', { id });
  }
}

describe('good media', () => {
  test.each<[string, string, Buffer]>([
    ['iso', 'an ISO', isoImage()],
    ['floppy', 'a floppy', rawImage()],
    ['floppy', 'a short floppy image', rawImage(300 * 512)],
    ['disk', 'a disk', rawImage(MIB)],
    ['disk', 'a hybrid ISO as a disk', hybrid()],
    ['floppy', 'a hybrid ISO as a floppy', hybrid()],
    ['copy', 'a disk to copy', rawImage(MIB)],
    ['kernel', 'a Linux kernel', bzImage()],
    ['kernel', 'a multiboot kernel', multibootKernel()],
  ])('as %s: %s passes', async (use, _what, bytes) => {
    const checks = await h.preflight('New', sources[use]!(h.medium('medium', bytes)));
    expect(problems(checks)).toEqual([]);
    expect(checks.map(({ id }) => id)).toEqual(['engine', 'firmware', 'memory', 'name', 'source', 'space']);
  });
});

function hybrid(): Buffer {
  const image = isoImage();
  image.set([0x55, 0xaa], 510);
  return image;
}

describe('bad media', () => {
  for (const use of Object.keys(sources)) {
    const source = sources[use]!;
    test(`as ${use}: a missing file is an error`, () =>
      expectProblem(source(path.join(h.media, 'none.img')), 'error', /does not exist/, 'not-found'));
    test(`as ${use}: a folder is an error`, () => expectProblem(source(h.media), 'error', /is a folder/, 'invalid-argument'));
    test(`as ${use}: an empty file is an error`, () =>
      expectProblem(source(h.medium('empty', Buffer.alloc(0))), 'error', /is empty/, 'corrupt'));
    test(`as ${use}: a VMDK is an error with the way to convert it`, () =>
      expectProblem(source(h.medium('q', Buffer.concat([Buffer.from('KDMV', 'latin1'), Buffer.alloc(4096)]))), 'error', /VMDK/, 'corrupt'));
    test.skipIf(isRoot)(`as ${use}: an unreadable file is an error`, async () => {
      const file = h.medium('secret');
      chmodSync(file, 0);
      await expectProblem(source(file), 'error', /may not be opened by this user/, 'permission-denied');
    });
    test(`as ${use}: a relative path is an error`, async () => {
      const checks = problems(await h.preflight('New', source('disk.img')));
      expect(checks.map(({ id }) => id)).toContain('path');
      expect(checks.every(({ severity }) => severity === 'error')).toBe(true);
    });
  }

  test.each<[string, Buffer, 'error' | 'warning', RegExp, string?]>([
    ['iso', isoImage().subarray(0, 40_960), 'error', /cut off/, 'corrupt'],
    ['iso', isoImage({ bootable: false }), 'warning', /no boot record/],
    ['iso', rawImage(MIB), 'error', /is not a CD\/DVD image; it looks like a disk image/, 'invalid-argument'],
    ['iso', bzImage(), 'error', /looks like a Linux kernel/, 'invalid-argument'],
    ['floppy', rawImage(1_474_560, false), 'warning', /no boot signature/],
    ['floppy', rawImage(4 * MIB), 'error', /is not a floppy image; it looks like a disk image/, 'invalid-argument'],
    ['floppy', isoImage(), 'error', /looks like a CD\/DVD image/, 'invalid-argument'],
    ['disk', rawImage(MIB, false), 'warning', /no boot signature/],
    ['disk', rawImage(MIB + 77), 'warning', /no multiple of 512/],
    ['copy', rawImage(MIB, false), 'warning', /no boot signature/],
    ['kernel', bzImage().subarray(0, 20_000), 'error', /cut off/, 'corrupt'],
    ['kernel', rawImage(MIB), 'error', /is not a kernel; it looks like a disk image/, 'invalid-argument'],
  ])('as %s: %# is told for what it is', async (use, bytes, severity, message, kind) => {
    await expectProblem(sources[use]!(h.medium('medium', bytes)), severity, message, kind);
  });

  test('a missing or empty initrd is an error of its own', async () => {
    const kernel = h.medium('vmlinuz', bzImage());
    const source = (initrd: string): Source => ({ type: 'kernel', path: kernel, initrd, cmdline: '' });
    for (const initrd of [path.join(h.media, 'none'), h.medium('empty', Buffer.alloc(0))])
      expect(problems(await h.preflight('New', source(initrd)))).toMatchObject([{ id: 'initrd', severity: 'error' }]);
  });

  test('nothing to boot from is a warning', async () => {
    expect(problems(await h.preflight('New', { type: 'blank' }))).toMatchObject([{ id: 'source', severity: 'warning' }]);
    expect(problems(await h.preflight('New', { type: 'blank' }, { newDisk: { sizeBytes: MIB } }))).toEqual([]);
  });

  test('a disk in use is an error that names who has it', async () => {
    const image = h.medium('used.img');
    const vm = await h.create('User', { source: { type: 'disk', path: image, copy: false } });
    await h.call('vm.start', { id: vm.id });
    for (const use of ['disk', 'copy']) {
      const checks = problems(await h.preflight('New', sources[use]!(image)));
      expect(checks).toMatchObject([{ id: 'source.in-use', severity: 'error', message: `${image} is in use by User` }]);
    }
    expect((await failureOf(h.create('New', { source: sources.copy!(image) }))).kind).toBe('in-use');
  });

  test('a check image that was not built is an error with the way to build it', async () => {
    rmSync(h.sampleImage);
    expect(problems(await h.preflight('New', { type: 'sample' }))).toMatchObject([
      { severity: 'error', fix: expect.stringContaining('nasm') },
    ]);
    expect((await h.call('host.info', {})).sample.available).toBe(false);
  });
});

describe('the host', () => {
  test('has too little memory: more than a machine gets, more than there is, less than a BIOS needs', async () => {
    const memory = async (memoryMiB: number) => {
      const checks = await h.preflight('New', { type: 'blank' }, { memoryMiB, newDisk: { sizeBytes: MIB } });
      return checks.find(({ id }) => id === 'memory')!;
    };
    expect(await memory(32)).toMatchObject({ ok: true });
    expect(await memory(1)).toMatchObject({ ok: false, severity: 'warning' });
    const total = totalmem() / MIB;
    if (total < 3072) expect(await memory(3072)).toMatchObject({ ok: false, severity: 'error', message: /more than this computer has/ });
    // Beyond the schema it does not even come to a check.
    expect((await failureOf(h.preflight('New', { type: 'blank' }, { memoryMiB: 4096 }))).kind).toBe('invalid-argument');
  });

  test('has no firmware', async () => {
    h.firmware = { available: false, folder: '', reason: plain('nowhere'), fix: plain('Install SeaBIOS.') };
    const checks = problems(await h.preflight('New', { type: 'blank' }, { newDisk: { sizeBytes: MIB } }));
    expect(checks).toMatchObject([{ id: 'firmware', severity: 'error', fix: 'Install SeaBIOS.' }]);
    expect((await h.call('host.info', {})).firmware).toMatchObject({ available: false, fix: 'Install SeaBIOS.' });
  });

  test('has a taken name', async () => {
    await h.create('Debian');
    const checks = problems(await h.preflight('debian', { type: 'blank' }, { newDisk: { sizeBytes: MIB } }));
    expect(checks).toMatchObject([{ id: 'name', severity: 'error' }]);
  });

  test('has less space than a new disk may come to need: a warning', async () => {
    const { libraryFreeBytes } = await h.call('host.info', {});
    const sizeBytes = Math.min(8 * 1024 ** 4, libraryFreeBytes * 2);
    if (sizeBytes <= libraryFreeBytes) return;
    const checks = problems(await h.preflight('New', { type: 'blank' }, { newDisk: { sizeBytes } }));
    expect(checks).toMatchObject([{ id: 'space', severity: 'warning' }]);
  });
});

describe('a start', () => {
  test.each<[string, (file: string) => void, string, RegExp]>([
    ['vanished', (file) => rmSync(file), 'not-found', /does not exist/],
    ['became empty', (file) => truncateSync(file, 0), 'corrupt', /is empty/],
  ])('is refused when a medium %s, and works once it is back', async (_what, spoil, kind, message) => {
    const iso = h.medium('disc.iso', isoImage());
    const { id, folder } = await h.create('Disc', { source: { type: 'iso', path: iso } });
    spoil(iso);
    const error = await failureOf(h.call('vm.start', { id }));
    expect(error).toMatchObject({ kind, message: expect.stringMatching(message), dto: { context: { object: 'Disc', path: iso } } });
    expect(await h.get(id)).toMatchObject({ state: 'off', problem: null });
    expect(existsSync(path.join(folder, '.lock'))).toBe(false);
    expect(h.lockFiles()).toEqual([]);
    const log = await h.call('vm.log', { id, lines: 10 });
    expect(log.at(-1)).toMatchObject({ level: 'error', message: expect.stringMatching(/^could not start: /) });
    writeFileSync(iso, isoImage());
    expect((await h.call('vm.start', { id })).state).toBe('running');
  });

  test('goes on with a medium that looks odd, and says so in the log', async () => {
    const iso = h.medium('disc.iso', isoImage());
    const { id } = await h.create('Disc', { source: { type: 'iso', path: iso } });
    writeFileSync(iso, isoImage().subarray(0, 40_960));
    expect((await h.call('vm.start', { id })).state).toBe('running');
    const log = await h.call('vm.log', { id, lines: 10 });
    expect(log.some(({ level, message }) => level === 'warn' && message.includes('cut off'))).toBe(true);
  });

  test('is refused without the kernel, the initrd or the firmware', async () => {
    const { id } = await h.fake('Kernel');
    rmSync(path.join(h.media, 'kernel'));
    expect((await failureOf(h.call('vm.start', { id }))).kind).toBe('not-found');
    h.medium('kernel', Buffer.from('k'));
    h.firmware = { available: false, folder: '', reason: plain('nowhere'), fix: plain('Install SeaBIOS.') };
    expect(await failureOf(h.call('vm.start', { id }))).toMatchObject({ kind: 'not-found', dto: { fix: 'Install SeaBIOS.' } });
    h.firmware = { available: true, folder: '/f', reason: plain('') };
    expect((await h.call('vm.start', { id })).state).toBe('running');
  });
});

test('a disk that this file system can not serve around the cache keeps a machine from starting, and says why', async ({ skip }) => {
  const { id, folder } = await h.create('Direct', {
    source: { type: 'disk', path: h.medium('disk.img', rawImage(MIB)), copy: true, readOnly: false },
  });
  const { config } = await h.get(id);
  const [disk] = config!.drives;
  await h.call('vm.update', { id, patch: { drives: [{ ...disk!, cache: 'none' }] } });
  const image = path.join(folder, disk!.path!);
  const bytes = readFileSync(image);
  const other = path.join(folder, 'other');
  mkdirSync(other);
  try {
    execFileSync('mount', ['-t', 'ramfs', 'ramfs', other], { stdio: 'ignore' });
  } catch {
    skip('only root may mount a file system');
  }
  try {
    writeFileSync(path.join(other, 'disk.img'), bytes);
    rmSync(image);
    symlinkSync(path.join(other, 'disk.img'), image);
    expect(await failureOf(h.call('vm.start', { id }))).toMatchObject({
      kind: 'unsupported',
      message: expect.stringContaining('without the cache'),
      dto: { context: { check: `${disk!.id}.cache` }, fix: expect.stringContaining('writeback') },
    });
  } finally {
    execFileSync('umount', ['-l', other]);
  }
});

describe('a full disk', () => {
  test('refuses what needs space, each with its own error, and loses nothing', async ({ skip }) => {
    const small = mountSmall(4 * MIB) ?? skip('only root may mount a small file system');
    const full = await Harness.open({ library: path.join(small.folder, 'machines') });
    try {
      const { id, folder } = await full.fake('Tenant');
      await full.call('vm.update', { id, patch: { description: 'before' } });

      // A copy that can't fit is told ahead, and fails the same way.
      const source: Source = { type: 'disk', path: full.medium('big.img', rawImage(8 * MIB).fill(1, 1024)), copy: true, readOnly: false };
      const [check] = problems(await full.preflight('Copy', source));
      expect(check).toMatchObject({ id: 'space', severity: 'error', message: expect.stringMatching(/needs .* free/) });
      expect((await failureOf(full.create('Copy', { source }))).kind).toBe('no-space');

      small.fill();
      expect((await failureOf(full.create('Blank'))).kind).toBe('no-space');
      expect((await failureOf(full.call('vm.start', { id }))).kind).toBe('no-space');
      expect((await failureOf(full.call('vm.update', { id, patch: { description: 'x'.repeat(9000) } }))).kind).toBe('no-space');
      // What was there is there, in memory and on disk.
      expect((await full.get(id)).config!.description).toBe('before');
      expect(full.config(folder).description).toBe('before');
      expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
      expect(full.names()).toEqual(['Tenant']);
      expect(await full.call('vm.list', {})).toHaveLength(1);

      rmSync(path.join(small.folder, 'filler'));
      await full.call('vm.update', { id, patch: { description: 'after' } });
      expect((await full.call('vm.start', { id })).state).toBe('running');
      // A disk that fills while the machine runs does not disturb it; its log stays in memory.
      small.fill();
      await full.call('vm.pause', { id });
      expect((await full.call('vm.forceOff', { id })).state).toBe('off');
      expect((await full.call('vm.log', { id, lines: 5 })).at(-1)!.message).toBe('off');
      expect(JSON.parse(readFileSync(path.join(folder, 'vm.json'), 'utf8')).description).toBe('after');
    } finally {
      await full.close();
      small.unmount();
    }
  });
});

test('an empty new disk is no worry when the disc boots, and is when nothing does', async () => {
  const iso = h.medium('disc.iso', isoImage());
  const { id } = await h.create('Installing', { source: { type: 'iso', path: iso }, newDisk: { sizeBytes: MIB } });
  await h.call('vm.start', { id });
  const warnings = async () =>
    (await h.call('vm.log', { id, lines: 100 })).filter(({ level }) => level === 'warn').map(({ message }) => message);
  expect(await warnings()).toEqual([]);
  await h.call('vm.forceOff', { id });
  await h.call('vm.changeMedium', { id, drive: 'ide2', path: null });
  await h.call('vm.start', { id });
  expect((await warnings()).join('\n')).toMatch(/no boot signature/);
});
