import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-disk-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function disk(...args: string[]): { code: number | null; out: string; err: string } {
  const main = path.join(import.meta.dirname, 'main.ts');
  const result = spawnSync(process.execPath, [main, 'disk', ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { ...process.env, HYPERVUE_HOME: path.join(folder, 'home') },
  });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

// Each command is a process of its own.
vi.setConfig({ testTimeout: 180_000 });

test('an image from its creation to its snapshots', () => {
  expect(disk('create', 'a.qcow2', '64M')).toMatchObject({ code: 0, out: 'a.qcow2: 64 MiB, qcow2\n' });
  expect(disk('create', 'a.qcow2', '64M')).toMatchObject({ code: 1, err: expect.stringContaining('exists already') });
  writeFileSync(path.join(folder, 'r.img'), Buffer.alloc(8 << 20, 7));
  expect(disk('convert', 'r.img', 'c.qcow2', '--compress', '--zstd')).toMatchObject({ code: 0, out: '' });
  expect(statSync(path.join(folder, 'c.qcow2')).size).toBeLessThan(1 << 20);
  expect(disk('compare', 'r.img', 'c.qcow2')).toMatchObject({ code: 0, out: 'the same\n' });
  // The name says the format, where nothing else does.
  for (const [name, format] of [
    ['n.raw', 'raw'],
    ['n.IMG', 'raw'],
    ['n.vmdk', 'vmdk'],
    ['n.disk', 'qcow2'],
  ]) {
    expect(disk('convert', 'c.qcow2', name!)).toMatchObject({ code: 0 });
    expect(JSON.parse(disk('info', name!, '--json').out)).toMatchObject({ format });
  }
  expect(disk('create', 'm.raw', '1M')).toMatchObject({ code: 0, out: 'm.raw: 1 MiB, raw\n' });
  expect(disk('compare', 'r.img', 'a.qcow2')).toMatchObject({ code: 1, out: 'different at byte 0\n' });
  expect(disk('snapshot', 'c.qcow2', 'before')).toMatchObject({ code: 0, out: '1\n' });
  expect(disk('resize', 'c.qcow2', '16M')).toMatchObject({ code: 0 });
  const info = JSON.parse(disk('info', 'c.qcow2', '--json').out) as Record<string, unknown>;
  expect(info).toMatchObject({
    format: 'qcow2',
    sizeBytes: 16 << 20,
    compression: 'zstd',
    snapshots: [{ id: '1', name: 'before', sizeBytes: 8 << 20 }],
  });
  expect(disk('resize', 'c.qcow2', '4M')).toMatchObject({ code: 1, err: expect.stringContaining('--shrink') });
  expect(disk('resize', 'c.qcow2', '4M', '--shrink')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/has data at byte 4194304, which shrinking/),
  });
  expect(disk('revert', 'c.qcow2', 'before')).toMatchObject({ code: 0 });
  expect(disk('delete-snapshot', 'c.qcow2', 'before')).toMatchObject({ code: 0 });
  expect(disk('delete-snapshot', 'c.qcow2', 'before')).toMatchObject({ code: 1, err: expect.stringContaining('has no snapshot "before"') });
  expect(disk('check', 'c.qcow2')).toMatchObject({ code: 0, out: '0 errors, 0 leaked clusters\n' });
  expect(disk('compare', 'r.img', 'c.qcow2')).toMatchObject({ code: 0 });
});

test('an image on top of another one', () => {
  writeFileSync(path.join(folder, 'base.img'), Buffer.alloc(1 << 20, 5));
  expect(disk('create', 'top.qcow2', '0', '--backing', 'base.img')).toMatchObject({ code: 0, out: 'top.qcow2: 1 MiB, qcow2\n' });
  expect(disk('info', 'top.qcow2').out).toContain(`on top of  ${path.join(folder, 'base.img')}`);
  expect(JSON.parse(disk('map', 'top.qcow2', '--json').out)).toEqual([{ offset: 0, length: 1 << 20, kind: 'backing' }]);
  expect(disk('delete', 'base.img')).toMatchObject({ code: 1, err: expect.stringContaining('top.qcow2 lies on top of') });
  expect(disk('resize', 'base.img', '2M')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/top.qcow2 lies on top of base.img[\s\S]*rebase IMAGE --none/),
  });
  expect(statSync(path.join(folder, 'base.img')).size).toBe(1 << 20);
  expect(disk('clone', 'top.qcow2', 'full.qcow2')).toMatchObject({ code: 0 });
  expect(disk('clone', '--linked', 'top.qcow2', 'linked.qcow2')).toMatchObject({ code: 0 });
  expect(disk('rebase', 'linked.qcow2')).toMatchObject({ code: 1, err: expect.stringContaining('--none') });
  expect(disk('rebase', 'linked.qcow2', '--backing', 'full.qcow2').out).toBe('linked.qcow2: on top of full.qcow2\n');
  expect(disk('commit', 'top.qcow2')).toMatchObject({ code: 0, out: expect.stringContaining('base.img') });
  expect(JSON.parse(disk('compact', 'full.qcow2', '--json').out)).toMatchObject({ before: expect.any(Number) });
  expect(disk('compare', 'linked.qcow2', 'base.img')).toMatchObject({ code: 0 });
  expect(disk('snapshot', 'full.qcow2', 'then')).toMatchObject({ code: 0 });
  expect(disk('revert', 'full.qcow2', 'then')).toMatchObject({ code: 1, err: expect.stringContaining('linked.qcow2 lies on top of') });
  rmSync(path.join(folder, 'base.img'));
  expect(disk('check', 'top.qcow2')).toMatchObject({
    code: 1,
    out: expect.stringMatching(
      /^0 errors, 0 leaked clusters\nnot checked further: .*top.qcow2 lies on top of .*base.img, which can't be opened\n$/,
    ),
    err: '',
  });
  expect(disk('info', 'top.qcow2')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/top.qcow2 lies on top of .*base.img, which can't be opened/),
  });
});

test('an image in another pool, on top of one whose folder knows nothing of it', () => {
  const home = path.join(folder, 'home');
  mkdirSync(path.join(folder, 'pool'));
  mkdirSync(path.join(folder, 'masters'));
  mkdirSync(home, { recursive: true });
  const pools = [{ id: '5f1c3a52-7a0e-4f6e-9d43-0d2e4b8f1a77', name: 'Pool', folder: path.join(folder, 'pool') }];
  writeFileSync(path.join(home, 'pools.json'), JSON.stringify({ pools }));
  expect(disk('create', 'masters/base.qcow2', '1M')).toMatchObject({ code: 0 });
  expect(disk('create', 'pool/top.qcow2', '0', '--backing', path.join(folder, 'masters/base.qcow2'))).toMatchObject({ code: 0 });
  expect(disk('resize', 'masters/base.qcow2', '2M')).toMatchObject({ code: 1, err: expect.stringContaining('pool/top.qcow2 lies on top') });
  expect(disk('delete', 'masters/base.qcow2')).toMatchObject({ code: 1, err: expect.stringContaining('pool/top.qcow2 lies on top') });
});

test('an image that is said to be raw is taken so, and it is said what it looks like', () => {
  expect(disk('create', 'inner.qcow2', '1M')).toMatchObject({ code: 0 });
  const bytes = statSync(path.join(folder, 'inner.qcow2')).size;
  const said = disk('info', 'inner.qcow2', '--format', 'raw', '--json');
  expect(JSON.parse(said.out)).toMatchObject({ format: 'raw', sizeBytes: bytes });
  expect(said.err).toContain('inner.qcow2 is taken as raw, as you say, but begins as a qcow2 image does');
  expect(disk('info', 'inner.qcow2', '--format', 'qcow2').err).toBe('');
  expect(disk('convert', 'inner.qcow2', 'outer.qcow2', '--from-format', 'raw')).toMatchObject({
    code: 0,
    err: expect.stringContaining('begins as a qcow2 image'),
  });
});

test('what is named as an image with a structure and is none is not worked on as if it were a raw disk', () => {
  const garbage = Buffer.alloc(1 << 20, 'garbage ');
  writeFileSync(path.join(folder, 'garbage.qcow2'), garbage);
  for (const words of [
    ['info', 'garbage.qcow2'],
    ['resize', 'garbage.qcow2', '2M'],
    ['convert', 'garbage.qcow2', 'never.img'],
    ['clone', 'garbage.qcow2', 'never.qcow2'],
    ['compact', 'garbage.qcow2'],
  ])
    expect(disk(...words)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/garbage.qcow2 is named as a qcow2 image, and its first bytes are not[\s\S]*--format raw/),
    });
  expect(statSync(path.join(folder, 'garbage.qcow2')).size).toBe(1 << 20);
  expect(disk('convert', 'garbage.qcow2', 'was.img', '--from-format', 'raw')).toMatchObject({ code: 0 });
  expect(readFileSync(path.join(folder, 'was.img')).equals(garbage)).toBe(true);
});

test('an encrypted image', () => {
  writeFileSync(path.join(folder, 'secret'), 'swordfish\n');
  writeFileSync(path.join(folder, 'guess'), 'marlin\n');
  writeFileSync(path.join(folder, 's.img'), Buffer.alloc(1 << 20, 3));
  expect(disk('convert', 's.img', 's.qcow2', '--encrypt')).toMatchObject({ code: 1, err: expect.stringContaining('--passphrase-file') });
  expect(disk('convert', 's.img', 's.qcow2', '--encrypt', '--passphrase-file', 'secret')).toMatchObject({ code: 0 });
  expect(disk('info', 's.qcow2').out).toContain('encrypted  luks');
  expect(disk('map', 's.qcow2')).toMatchObject({ code: 1, err: expect.stringContaining('is encrypted') });
  expect(disk('compare', 's.img', 's.qcow2', '--passphrase-file', 'secret')).toMatchObject({ code: 0 });
  expect(disk('compare', 's.img', 's.qcow2', '--passphrase-file', 'guess')).toMatchObject({
    code: 1,
    err: expect.stringContaining('the passphrase does not open'),
  });
});

test('wrong input has an error that says what to do', () => {
  expect(disk('create', 'x.qcow2', 'huge')).toMatchObject({ code: 2 });
  expect(disk('create', 'x.qcow2', '1M', '--cluster', '3000')).toMatchObject({
    code: 1,
    err: expect.stringContaining("clusters can't have 3000 bytes"),
  });
  expect(disk('info', 'none.qcow2')).toMatchObject({ code: 1, err: expect.stringContaining('does not exist') });
  writeFileSync(path.join(folder, 'plain.img'), Buffer.alloc(4096));
  expect(disk('check', 'plain.img')).toMatchObject({ code: 1, err: expect.stringContaining("is a raw image, which can't be checked") });
  writeFileSync(path.join(folder, 'bad.qcow2'), Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.alloc(200)]));
  expect(disk('info', 'bad.qcow2')).toMatchObject({ code: 1, err: expect.stringMatching(/bad.qcow2 is damaged: clusters of 2\^0 bytes/) });
});
