import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HypervueError } from '../util/errors.ts';
import { writeFileAtomic } from './atomicfile.ts';
import { createDisk } from './creatediskfile.ts';
import { allocatedBytes, copyImage, createRawDisk } from './diskfile.ts';
import { freeBytes, hostFacts } from './hostinfo.ts';
import { fileError, NodeFile } from './nodefile.ts';
import { imagesBelow, openImage } from './openimage.ts';
import { mountSmall } from './testing/smalldisk.ts';

const MIB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-files-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => path.join(folder, name);
const never = new AbortController().signal;

async function failure(promise: Promise<unknown>): Promise<HypervueError> {
  const error = await promise.then(
    () => new Error('it should have failed'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(HypervueError);
  return error;
}

describe('opening an image', () => {
  test.each([
    ['a missing file', () => at('none'), 'not-found'],
    ['a path through a file', () => at('plain/inside'), 'not-found'],
    ['a folder', () => folder, 'invalid-argument'],
    ['a pipe, without waiting for its other end', () => at('pipe'), 'invalid-argument'],
    ['a character device', () => '/dev/zero', 'invalid-argument'],
    ['a circle of links', () => at('loop'), 'not-found'],
    ['a path with a zero byte', () => at('a\0b'), 'invalid-argument'],
    ['an overlong path', () => at('x'.repeat(300)), 'invalid-argument'],
  ])('refuses %s', async (_what, make, kind) => {
    writeFileSync(at('plain'), 'x');
    execFileSync('mkfifo', [at('pipe')]);
    symlinkSync(at('loop'), at('loop'));
    const file = make();
    for (const readOnly of [true, false]) {
      const error = await failure(NodeFile.open(file, readOnly));
      expect(error.kind).toBe(kind);
      expect(error.message).toContain(file);
      expect(error.fix).toBeTruthy();
    }
  });

  test.skipIf(isRoot)('tells of missing permissions', async () => {
    writeFileSync(at('secret'), 'x');
    chmodSync(at('secret'), 0o000);
    expect((await failure(NodeFile.open(at('secret'), true))).kind).toBe('permission-denied');
  });

  test('reads up to the end, and writes where it is told', async () => {
    writeFileSync(at('disk'), 'abcdef');
    const file = await NodeFile.open(at('disk'), false);
    const target = new Uint8Array(4);
    expect(await file.read(4, target)).toBe(2);
    await file.write(5, Buffer.from('XYZ'));
    await file.sync();
    expect(await file.size()).toBe(8);
    await file.close();
    expect(readFileSync(at('disk'), 'utf8')).toBe('abcdeXYZ');
  });
});

test('host errors carry path, operation, code and a way out', () => {
  const error = fileError(Object.assign(new Error('x'), { code: 'ENOSPC' }), '/a/b', 'write');
  expect(error.toJSON()).toMatchObject({ kind: 'no-space', context: { path: '/a/b', operation: 'write', code: 'ENOSPC' } });
  expect(error.message).toContain('/a/b');
  expect(error.fix).toContain('Free some space');
  expect(fileError(error, '/c', 'read')).toBe(error);
  expect(fileError('odd', '/c', 'read').kind).toBe('io-error');
});

describe('an atomic write', () => {
  test('replaces the file and leaves nothing else', async () => {
    await writeFileAtomic(at('vm.json'), 'one', 0o600);
    await writeFileAtomic(at('vm.json'), 'two', 0o600);
    expect(readFileSync(at('vm.json'), 'utf8')).toBe('two');
    expect(statSync(at('vm.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['vm.json']);
  });

  test('shows readers the old content or the new, never a part', async () => {
    const contents = ['a'.repeat(200_000), 'b'.repeat(200_000)];
    await writeFileAtomic(at('f'), contents[0]!);
    let writing = true;
    const writes = (async () => {
      for (let i = 0; i < 20; i++) await writeFileAtomic(at('f'), contents[i % 2]!);
      writing = false;
    })();
    let looks = 0;
    while (writing) {
      expect(contents).toContain(readFileSync(at('f'), 'utf8'));
      looks++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await writes;
    expect(looks).toBeGreaterThan(5);
  });

  test('that fails leaves the old content and no temporary file', async () => {
    mkdirSync(at('vm.json'));
    writeFileSync(at('vm.json/inside'), 'x');
    const error = await failure(writeFileAtomic(at('vm.json'), 'new'));
    expect(error.message).toContain(at('vm.json'));
    expect(readdirSync(folder)).toEqual(['vm.json']);
    expect((await failure(writeFileAtomic(at('none/vm.json'), 'new'))).kind).toBe('not-found');
  });
});

describe('a new disk', () => {
  test('is sparse, has its size, and never replaces a file', async () => {
    await createRawDisk(at('disk.img'), 8 * 1024 ** 3);
    expect(statSync(at('disk.img')).size).toBe(8 * 1024 ** 3);
    expect(await allocatedBytes(at('disk.img'))).toBeLessThan(MIB);
    writeFileSync(at('mine.img'), 'precious');
    expect((await failure(createRawDisk(at('mine.img'), MIB))).kind).toBe('already-exists');
    expect(readFileSync(at('mine.img'), 'utf8')).toBe('precious');
  });

  test('that is larger than the file system allows is refused and not left behind', async () => {
    // 2^62 bytes pass every interface and no file system.
    const error = await failure(createRawDisk(at('disk.img'), 2 ** 62));
    expect(['no-space', 'io-error', 'invalid-argument']).toContain(error.kind);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a copy of an image', () => {
  test('has the same bytes, keeps holes, and tells how far it is', async () => {
    const bytes = Buffer.alloc(5 * MIB + 123);
    bytes.fill(0x5a, 2 * MIB + 7, 2 * MIB + 9000);
    bytes[bytes.length - 1] = 1;
    writeFileSync(at('from'), bytes);
    const told: number[] = [];
    await copyImage(at('from'), at('to'), never, (done, total) => told.push(done / total));
    expect(readFileSync(at('to')).equals(bytes)).toBe(true);
    expect(await allocatedBytes(at('to'))).toBeLessThan(3 * MIB);
    expect(told.length).toBe(6);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBe(1);
  });

  test('of all zeros keeps its length', async () => {
    writeFileSync(at('from'), Buffer.alloc(3 * MIB + 1));
    await copyImage(at('from'), at('to'), never, () => {});
    expect(statSync(at('to')).size).toBe(3 * MIB + 1);
  });

  test('stops at a cancel and leaves nothing', async () => {
    writeFileSync(at('from'), Buffer.alloc(8 * MIB, 7));
    const abort = new AbortController();
    let steps = 0;
    const error = await failure(
      copyImage(at('from'), at('to'), abort.signal, () => {
        if (++steps === 3) abort.abort(new HypervueError('cancelled', 'enough'));
      }),
    );
    expect(error.kind).toBe('cancelled');
    expect(steps).toBe(3);
    expect(existsSync(at('to'))).toBe(false);
  });

  test('fails, and leaves nothing, when the source becomes shorter', async () => {
    writeFileSync(at('from'), Buffer.alloc(4 * MIB, 7));
    const error = await failure(copyImage(at('from'), at('to'), never, () => truncateSync(at('from'), MIB)));
    expect(error.kind).toBe('io-error');
    expect(error.message).toContain('became shorter');
    expect(existsSync(at('to'))).toBe(false);
  });

  test('ends at the size seen at first when the source grows', async () => {
    writeFileSync(at('from'), Buffer.alloc(2 * MIB, 7));
    await copyImage(at('from'), at('to'), never, () => writeFileSync(at('from'), 'more', { flag: 'a' }));
    expect(statSync(at('to')).size).toBe(2 * MIB);
  });

  test('never replaces a file', async () => {
    writeFileSync(at('from'), 'new');
    writeFileSync(at('to'), 'precious');
    expect((await failure(copyImage(at('from'), at('to'), never, () => {}))).kind).toBe('already-exists');
    expect(readFileSync(at('to'), 'utf8')).toBe('precious');
  });
});

describe('a full disk', () => {
  test('refuses a copy before it starts, and a write in the middle, leaving nothing', async ({ skip }) => {
    const small = mountSmall(2 * MIB) ?? skip('only root may mount a small file system');
    try {
      writeFileSync(at('from'), Buffer.alloc(4 * MIB, 7));
      const early = await failure(copyImage(at('from'), path.join(small.folder, 'to'), never, () => {}));
      expect(early.kind).toBe('no-space');
      expect(early.message).toMatch(/free.*needs/);

      // There is room at first, and something else takes it meanwhile.
      writeFileSync(at('less'), Buffer.alloc(MIB + MIB / 2, 7));
      let filled = false;
      const late = await failure(
        copyImage(at('less'), path.join(small.folder, 'to'), never, () => {
          if (!filled) small.fill();
          filled = true;
        }),
      );
      expect(late.kind).toBe('no-space');
      expect(existsSync(path.join(small.folder, 'to'))).toBe(false);

      small.fill();
      expect(await freeBytes(small.folder)).toBe(0);
      const write = await failure(writeFileAtomic(path.join(small.folder, 'vm.json'), 'x'.repeat(100_000)));
      expect(write.kind).toBe('no-space');
      expect(readdirSync(small.folder).filter((name) => name.includes('vm.json'))).toEqual([]);

      // A sparse image is grown by its guest.
      small.clear();
      await createRawDisk(path.join(small.folder, 'disk.img'), 64 * MIB);
      small.fill();
      const image = await NodeFile.open(path.join(small.folder, 'disk.img'), false);
      expect((await failure(image.write(MIB, Buffer.alloc(65_536, 1)))).kind).toBe('no-space');
      await image.close();
    } finally {
      small.unmount();
    }
  });
});

test('what the host has is plausible', async () => {
  const facts = hostFacts();
  expect(facts.memoryBytes).toBeGreaterThan(128 * MIB);
  expect(facts.memoryBytes).toBeLessThan(2 ** 60);
  expect(facts.freeMemoryBytes).toBeLessThanOrEqual(facts.memoryBytes);
  expect(facts.cpuCount).toBeGreaterThan(0);
  // A folder that does not exist yet counts as its parent.
  expect(await freeBytes(at('not/yet/there'))).toBeGreaterThan(0);
});

test('an image that lies on one that was not copied along: the message names both and the way out', async () => {
  await createDisk(at('base.qcow2'), { format: 'qcow2', sizeBytes: MIB });
  await createDisk(at('top.qcow2'), { format: 'qcow2', sizeBytes: MIB, backingFile: 'base.qcow2', backingFormat: 'qcow2' });
  expect(await imagesBelow(at('top.qcow2'), 'qcow2')).toEqual([at('base.qcow2')]);
  rmSync(at('base.qcow2'));
  for (const open of [() => imagesBelow(at('top.qcow2'), 'qcow2'), () => openImage(at('top.qcow2'), { readOnly: true })])
    expect(await failure(open())).toMatchObject({
      kind: 'not-found',
      message: `${at('top.qcow2')} lies on top of ${at('base.qcow2')}, which can't be opened`,
      fix: expect.stringContaining('rebase'),
    });
  expect((await failure(imagesBelow(at('none.qcow2'), 'qcow2'))).message).toBe(`${at('none.qcow2')} does not exist`);
});
