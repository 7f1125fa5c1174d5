import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BLOCK_IO_ERROR, BLOCK_OK } from '../backend/asyncblock.ts';
import type { DrivePolicy } from '../contract/drives.ts';
import type { Drive } from '../contract/vm.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import type { DriveService } from './drives.ts';
import type { BlockOperation, ToMachine } from './machinemessages.ts';
import { driveBench } from './testing/drivebench.ts';

const SECTOR = 512;
let folder: string;
let posted: ToMachine[];
let logged: string[];
let hostErrors: HypervueError[];
let drives: DriveService;
let end: () => Promise<void>;

beforeEach(() => {
  ({ folder, posted, logged, hostErrors, drives, end } = driveBench());
});

afterEach(async () => {
  vi.restoreAllMocks();
  await end();
});

async function open(policy: DrivePolicy = {}, bytes = 64 << 10, format: Drive['format'] = 'raw'): Promise<string> {
  const file = path.join(folder, 'disk.img');
  if (format === 'raw') writeFileSync(file, Buffer.alloc(bytes, 0x11));
  else execFileSync('qemu-img', ['create', '-q', '-f', format, file, String(bytes)]);
  await drives.open([{ id: 'virtio0', kind: 'disk', path: file, format, readOnly: false, ...policy }]);
  return file;
}

let nextId = 1;
async function ask(operation: BlockOperation): Promise<number | undefined> {
  const id = nextId++;
  await drives.handle({ t: 'block', drive: 'virtio0', id, ...operation });
  return posted.flatMap((message) => (message.t === 'blockDone' && message.id === id ? [message.status] : []))[0];
}
const write = (sector: number, fill: number, count = 1): BlockOperation => ({
  op: 'write',
  offset: sector * SECTOR,
  views: [Buffer.alloc(count * SECTOR, fill)],
});
const read = (sector: number): BlockOperation & { op: 'read' } => ({ op: 'read', offset: sector * SECTOR, views: [Buffer.alloc(SECTOR)] });

const fail = (method: 'read' | 'write' | 'sync', kind: 'no-space' | 'io-error') =>
  vi.spyOn(NodeFile.prototype, method).mockRejectedValue(new HypervueError(kind, `${kind} of the test`));

describe('cache modes', () => {
  test.each([
    ['writeback', {}, [0, 1, 1]],
    ['writethrough', { cache: 'writethrough' as const }, [1, 1, 1]],
    ['unsafe', { cache: 'unsafe' as const }, [0, 0, 0]],
  ])('%s syncs writes, writes with FUA and flushes as it says', async (_, policy, syncs) => {
    await open(policy);
    const sync = vi.spyOn(NodeFile.prototype, 'sync');
    const counts: number[] = [];
    for (const operation of [write(0, 1), { ...write(1, 2), fua: true } as BlockOperation, { op: 'flush' } as BlockOperation]) {
      sync.mockClear();
      expect(await ask(operation)).toBe(BLOCK_OK);
      counts.push(sync.mock.calls.length);
    }
    expect(counts).toEqual(syncs);
  });
});

describe('discard and zeros', () => {
  const blocks = (file: string) => statSync(file).blocks;

  test('room of a raw image and of qcow2 is given back, unless the drive ignores it', async () => {
    for (const format of ['raw', 'qcow2'] as const)
      for (const discard of ['unmap', 'ignore'] as const) {
        const file = await open({ discard }, 1 << 20, format);
        await ask(write(0, 0x55, 2048));
        await ask({ op: 'flush' });
        const before = blocks(file);
        expect(await ask({ op: 'discard', offset: 0, length: 1 << 20 })).toBe(BLOCK_OK);
        await ask({ op: 'flush' });
        await ask({ op: 'flush' });
        const message = `${format} ${discard}`;
        if (discard === 'unmap') expect(before - blocks(file), message).toBeGreaterThan(1000);
        else expect(blocks(file), message).toBe(before);
        const back = read(7);
        await ask(back);
        expect(back.views[0]![0], message).toBe(discard === 'unmap' ? 0 : 0x55);
        await drives.close();
      }
  });

  test('writes of zeros take no room where they are looked for, and zeros are zeros everywhere', async () => {
    const file = await open({ detectZeroes: true }, 1 << 20);
    const before = blocks(file);
    await ask(write(0, 0, 2048));
    expect(before - blocks(file)).toBeGreaterThan(1000);
    await ask(write(0, 0x66, 16));
    expect(await ask({ op: 'zero', offset: 2 * SECTOR, length: SECTOR, unmap: false })).toBe(BLOCK_OK);
    const content = readFileSync(file);
    expect(content.length).toBe(1 << 20);
    expect([content[SECTOR * 2 - 1], content[SECTOR * 2], content[SECTOR * 3 - 1], content[SECTOR * 3]]).toEqual([0x66, 0, 0, 0x66]);
  });
});

describe('errors of the host', () => {
  test('stop: the request waits, one message names drive, file, cause and room, and it is done again later', async () => {
    const file = await open();
    const broken = fail('write', 'no-space');
    const waiting = [ask(write(3, 0x77)), ask(write(4, 0x78))];
    expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
    expect(hostErrors).toHaveLength(1);
    expect(hostErrors[0]).toMatchObject({ kind: 'no-space', context: { object: 'virtio0', path: file } });
    expect(hostErrors[0]!.message).toMatch(/^virtio0: .*no-space of the test; .* are free in /);
    expect(hostErrors[0]!.fix).toMatch(/Free some space.*done again, and nothing is lost/);
    broken.mockRestore();
    expect(await drives.retry()).toBe(true);
    expect([readFileSync(file)[3 * SECTOR], readFileSync(file)[4 * SECTOR]]).toEqual([0x77, 0x78]);
  });

  test('stop-if-full tells the guest of other errors, report of all, ignore of none', async () => {
    await open({ writeErrors: 'stop-if-full' });
    const broken = fail('write', 'io-error');
    expect(await ask(write(0, 1))).toBe(BLOCK_IO_ERROR);
    drives.setPolicy('virtio0', { writeErrors: 'report' });
    broken.mockRejectedValue(new HypervueError('no-space', 'full'));
    expect(await ask(write(0, 1))).toBe(BLOCK_IO_ERROR);
    drives.setPolicy('virtio0', { writeErrors: 'ignore' });
    expect(await ask(write(0, 1))).toBe(BLOCK_OK);
    expect(hostErrors).toEqual([]);
    expect(logged).toHaveLength(3);
    drives.setPolicy('virtio0', { writeErrors: 'stop-if-full' });
    expect(await ask(write(0, 1))).toBeUndefined();
    expect(hostErrors).toHaveLength(1);
    broken.mockRestore();
    expect(await drives.retry()).toBe(true);
  });

  test('reads are reported, or wait as writes do', async () => {
    await open();
    const broken = fail('read', 'io-error');
    expect(await ask(read(0))).toBe(BLOCK_IO_ERROR);
    drives.setPolicy('virtio0', { readErrors: 'stop' });
    const request = read(5);
    expect(await ask(request)).toBeUndefined();
    expect(hostErrors[0]!.kind).toBe('io-error');
    broken.mockRestore();
    expect(await drives.retry()).toBe(true);
    expect(request.views[0]![0]).toBe(0x11);
    // What is not there is the guest's mistake and stops nothing.
    expect(await ask(read(4096))).toBe(BLOCK_IO_ERROR);
    expect(hostErrors).toHaveLength(1);
  });
});

describe('limits', () => {
  test('hold requests back to the rate after the burst, and can be changed while some wait', async () => {
    await open({ limits: { iops: 50, burstSeconds: 0.1 } });
    const started = performance.now();
    await Promise.all(Array.from({ length: 15 }, () => ask(read(0))));
    const first = performance.now() - started;
    // Five at once, then 20 ms each.
    expect(first).toBeGreaterThan(180);
    drives.setPolicy('virtio0', { limits: { bytesPerSecond: 1 } });
    await ask(read(0));
    const held = ask(read(1));
    await new Promise((resolve) => setTimeout(resolve, 30));
    drives.setPolicy('virtio0', {});
    expect(await held).toBe(BLOCK_OK);
    expect(performance.now() - started - first).toBeLessThan(5000);
  });

  test('let everything through when the machine ends', async () => {
    await open({ limits: { iops: 1, burstSeconds: 1 } });
    const waiting = [ask(write(0, 1)), ask(write(1, 2)), ask(write(2, 3))];
    await new Promise((resolve) => setTimeout(resolve, 20));
    await drives.close();
    expect(await Promise.all(waiting)).toEqual([BLOCK_OK, BLOCK_OK, BLOCK_OK]);
  });
});

describe('a larger disk', () => {
  test.each(['raw', 'qcow2'] as const)('%s grows while it is in use, and the machine is told', async (format) => {
    const file = await open({}, 1 << 20, format);
    await drives.grow('virtio0', 3 << 20);
    expect(posted).toMatchObject([{ t: 'resized', drive: 'virtio0', info: { sizeBytes: 3 << 20 } }]);
    expect(await ask(write(4096, 0x44))).toBe(BLOCK_OK);
    await expect(drives.grow('virtio0', 1 << 20)).rejects.toMatchObject({ kind: 'invalid-argument' });
    await expect(drives.grow('virtio0', (4 << 20) + 1)).rejects.toMatchObject({ kind: 'invalid-argument' });
    await expect(drives.grow('virtio1', 4 << 20)).rejects.toMatchObject({ kind: 'not-found' });
    await drives.close();
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', '-f', format, file], { encoding: 'utf8' }));
    expect(info['virtual-size']).toBe(3 << 20);
  });
});
