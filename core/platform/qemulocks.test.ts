import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ImageLocks } from './imagelocks.ts';
import { qemuRefuses } from './qemulocks.ts';

describe('locks of QEMU in the list of the system', () => {
  const image = { dev: 0xfe00n, ino: 77n };
  const line = (range: string, place = 'fe:00:77', kind = 'OFDLCK') => `9: ${kind} ADVISORY  READ -1 ${place} ${range}\n`;
  test.each([
    ['one that writes', line('100 101') + line('201 201'), true, true],
    ['one that reads', line('100 100') + line('201 201'), false, true],
    ['one that shares nothing', line('200 203'), true, false],
    ['another file', line('100 101', 'fe:00:78') + line('100 101', 'fd:00:77'), false, false],
    ['another kind of lock', line('0 EOF') + line('100 101', 'fe:00:77', 'FLOCK'), false, false],
    ['nonsense', 'x\n\n1: OFDLCK\n9: OFDLCK ADVISORY READ -1 fe:00:77 a b\n', false, false],
  ])('%s', (_, locks, forReading, forWriting) => {
    expect(qemuRefuses(locks, image, true)).toBe(forReading);
    expect(qemuRefuses(locks, image, false)).toBe(forWriting);
  });
});

// Where a file system shows another device than it locks, nothing can be seen.
test.skipIf(process.platform !== 'linux' || !existsSync('/usr/bin/qemu-io'))('an image that QEMU has open is in use', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-qemulocks-'));
  const file = path.join(folder, 'a.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
  const qemu = spawn('qemu-io', [file], { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    const answered = new Promise((resolve) => qemu.stdout.on('data', (bytes) => String(bytes).includes('ops') && resolve(null)));
    qemu.stdin.write('read 0 512\n');
    await answered;
    const locks = new ImageLocks(path.join(folder, 'locks'));
    for (const readOnly of [true, false]) {
      expect(() => locks.acquire(file, readOnly, 'me')).toThrow(expect.objectContaining({ kind: 'in-use' }));
      expect(locks.conflict(file, readOnly)).toContain('QEMU');
    }
    const ended = new Promise((resolve) => qemu.once('exit', resolve));
    qemu.stdin.end('quit\n');
    await ended;
    locks.acquire(file, false, 'me').dispose();
    expect(locks.conflict(file, false)).toBeUndefined();
  } finally {
    qemu.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});
