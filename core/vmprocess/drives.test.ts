import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BLOCK_IO_ERROR, BLOCK_NO_MEDIUM, BLOCK_OK, BLOCK_READ_ONLY } from '../backend/asyncblock.ts';
import type { Drive } from '../contract/vm.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import type { DriveService } from './drives.ts';
import type { BlockRequest, ToMachine } from './machinemessages.ts';
import { driveBench } from './testing/drivebench.ts';

type DataRequest = Extract<BlockRequest, { op: 'read' | 'write' }>;

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

const image = (name: string, sectors = 8, fill = 0x11) => {
  const file = path.join(folder, name);
  writeFileSync(file, Buffer.alloc(sectors * SECTOR, fill));
  return file;
};
const drive = (id: Drive['id'], file: string | null, changes: Partial<Drive> = {}): Drive => ({
  id,
  kind: 'disk',
  path: file,
  format: 'raw',
  readOnly: false,
  ...changes,
});

let nextId = 1;
function request(op: 'flush'): BlockRequest;
function request(op: 'read' | 'write', sector?: number, fill?: number, on?: Drive['id']): DataRequest;
function request(op: 'read' | 'write' | 'flush', sector = 0, fill = 0, on: Drive['id'] = 'ide0'): BlockRequest {
  const common = { t: 'block' as const, drive: on, id: nextId++ };
  if (op === 'flush') return { ...common, op };
  // Two views, as scattered guest memory gives them.
  return { ...common, op, offset: sector * SECTOR, views: [Buffer.alloc(SECTOR, fill), Buffer.alloc(SECTOR, fill)] };
}
const statusOf = ({ id }: BlockRequest) =>
  posted.flatMap((message) => (message.t === 'blockDone' && message.id === id ? [message.status] : []))[0];

/** Makes writes to the file `name` fail like a full disk, until restored. */
function fullDisk(name = 'disk.img') {
  const write = NodeFile.prototype.write;
  return vi.spyOn(NodeFile.prototype, 'write').mockImplementation(function (this: NodeFile, offset, source) {
    if (this.path.endsWith(name)) return Promise.reject(new HypervueError('no-space', 'full', { path: this.path }));
    return write.call(this, offset, source);
  });
}

describe('drives', () => {
  test('on USB come and go: what was written is in the file, the next one in the place is another', async () => {
    const [first, second] = [image('first.img'), image('second.img', 8, 0x22)];
    await drives.open([]);
    await drives.plug(drive('usb0', first, { cache: 'writethrough' }));
    expect(posted.at(-1)).toMatchObject({
      t: 'plugDrive',
      bay: { id: 'usb0', kind: 'disk', writeCache: false },
      info: { sizeBytes: 8 * SECTOR },
    });
    const written = request('write', 2, 0x5a, 'usb0');
    const handled = drives.handle(written);
    const pulled = drives.unplug('usb0');
    // It comes too late for a drive that is being pulled out.
    const late = request('write', 4, 0x6b, 'usb0');
    await Promise.all([handled, pulled, drives.handle(late)]);
    expect([statusOf(written), statusOf(late)]).toEqual([BLOCK_OK, BLOCK_NO_MEDIUM]);
    expect([2, 3, 4].map((sector) => readFileSync(first)[sector * SECTOR])).toEqual([0x5a, 0x5a, 0x11]);
    expect(posted).toContainEqual({ t: 'unplugDrive', drive: 'usb0' });
    expect(drives.images().size).toBe(0);
    await drives.plug(drive('usb0', second));
    const read = request('read', 0, 0, 'usb0');
    await drives.handle(read);
    expect(read.views[0]![0]).toBe(0x22);
  });

  test('on USB stay while what was written to them waits for room, and those that can’t be opened never come', async () => {
    await drives.open([]);
    await drives.plug(drive('usb1', image('disk.img')));
    const full = fullDisk();
    const written = request('write', 2, 0x5a, 'usb1');
    await drives.handle(written);
    await expect(drives.unplug('usb1')).rejects.toMatchObject({ kind: 'invalid-state', fix: expect.stringContaining('room') });
    full.mockRestore();
    await drives.retry();
    expect(statusOf(written)).toBe(BLOCK_OK);
    await drives.unplug('usb1');
    posted.length = 0;
    await expect(drives.plug(drive('usb2', path.join(folder, 'none.img')))).rejects.toMatchObject({ kind: 'not-found' });
    expect(posted).toEqual([]);
    expect(drives.images().size).toBe(0);
  });

  test('go on with an image on top of theirs, in the middle of requests', async () => {
    image('disk.img', 256);
    const top = path.join(folder, 'top.qcow2');
    await createDisk(top, { format: 'qcow2', sizeBytes: 256 * SECTOR, backingFile: 'disk.img', backingFormat: 'raw' });
    await drives.open([drive('ide0', 'disk.img')]);
    const before = request('write', 2, 0x5a);
    const during = request('write', 10, 0x6b);
    const began = drives.handle(before);
    const changed = drives.overlay('ide0', top);
    const waited = drives.handle(during);
    await Promise.all([began, changed, waited]);
    const reads = [2, 10, 20].map((sector) => request('read', sector));
    await Promise.all(reads.map((read) => drives.handle(read)));
    expect([before, during, ...reads].map(statusOf)).toEqual(Array(5).fill(BLOCK_OK));
    expect(reads.map(({ views }) => views[0]![0])).toEqual([0x5a, 0x6b, 0x11]);
    await drives.close();
    const below = readFileSync(path.join(folder, 'disk.img'));
    // What came before is in the one, what came after in the other.
    expect([below[2 * SECTOR], below[10 * SECTOR]]).toEqual([0x5a, 0x11]);
  });

  test('keep their image when none can be put on top of it', async () => {
    image('disk.img');
    await drives.open([drive('ide0', 'disk.img')]);
    await expect(drives.overlay('ide0', path.join(folder, 'none.qcow2'))).rejects.toMatchObject({ kind: 'not-found' });
    const write = request('write', 2, 0x5a);
    await drives.handle(write);
    expect(statusOf(write)).toBe(BLOCK_OK);
    expect(readFileSync(path.join(folder, 'disk.img'))[2 * SECTOR]).toBe(0x5a);
  });

  test('let flushes wait while they are held, though never for long, and nothing else; each is done in the end', async () => {
    image('disk.img');
    await drives.open([drive('ide0', 'disk.img')]);
    const sync = vi.spyOn(NodeFile.prototype, 'sync');
    const goOn = drives.flushHold.begin();
    const [flush, write] = [request('flush'), request('write', 2, 0x5a)];
    const flushed = drives.handle(flush);
    await drives.handle(write);
    expect([statusOf(flush), statusOf(write), sync.mock.calls.length]).toEqual([undefined, BLOCK_OK, 0]);
    goOn();
    await flushed;
    expect([statusOf(flush), sync.mock.calls.length]).toEqual([BLOCK_OK, 1]);

    const again = drives.flushHold.begin();
    const patient = request('flush');
    const began = performance.now();
    await drives.handle(patient);
    expect(statusOf(patient)).toBe(BLOCK_OK);
    expect(performance.now() - began).toBeGreaterThan(400);
    // One that is called late ends no hold but its own.
    drives.flushHold.begin();
    again();
    const held = drives.handle(request('flush'));
    expect(await Promise.race([held.then(() => 'done'), new Promise((resolve) => setTimeout(resolve, 50, 'held'))])).toBe('held');
    await held;
  });

  test('read, write and flush', async () => {
    const file = image('disk.img');
    await drives.open([drive('ide0', 'disk.img')]);
    const write = request('write', 2, 0x5a);
    await drives.handle(write);
    const read = request('read', 1);
    await drives.handle(read);
    const flush = request('flush');
    await drives.handle(flush);
    expect([write, read, flush].map(statusOf)).toEqual([BLOCK_OK, BLOCK_OK, BLOCK_OK]);
    expect(read.views.map((view) => view[0])).toEqual([0x11, 0x5a]);
    expect(
      readFileSync(file)
        .subarray(2 * SECTOR, 4 * SECTOR)
        .every((byte) => byte === 0x5a),
    ).toBe(true);
    expect([drives.readBytes, drives.writtenBytes]).toEqual([1024, 1024]);
  });

  test('whose image is missing do not open, and close what was opened', async () => {
    image('disk.img');
    const closed = vi.spyOn(NodeFile.prototype, 'close');
    await expect(drives.open([drive('ide0', 'disk.img'), drive('ide1', 'none.img')])).rejects.toMatchObject({
      kind: 'not-found',
      message: expect.stringContaining('none.img'),
    });
    expect(closed).toHaveBeenCalledTimes(1);
  });

  test('answer what can not be done, and no guest mistake throws', async () => {
    image('disk.img');
    image('ro.img');
    await drives.open([drive('ide0', 'disk.img'), drive('ide1', 'ro.img', { readOnly: true }), drive('ide2', null, { kind: 'cdrom' })]);
    const empty = request('read', 0, 0, 'ide2');
    const readOnly = request('write', 0, 0, 'ide1');
    const beyond = [request('read', 7), request('write', 7), request('read', 2 ** 40), request('write', -1), request('read', Number.NaN)];
    for (const one of [empty, readOnly, ...beyond]) await drives.handle(one);
    expect(statusOf(empty)).toBe(BLOCK_NO_MEDIUM);
    expect(statusOf(readOnly)).toBe(BLOCK_READ_ONLY);
    expect(beyond.map(statusOf)).toEqual(beyond.map(() => BLOCK_IO_ERROR));
    expect(hostErrors).toEqual([]);
    expect(readFileSync(path.join(folder, 'disk.img')).length).toBe(8 * SECTOR);
  });
});

describe('a medium that becomes shorter while it is in use', () => {
  test('gives the guest an I/O error and a log entry, never zeros; the log stays bounded', async () => {
    const file = image('disk.img');
    await drives.open([drive('ide0', 'disk.img', { readOnly: true })]);
    truncateSync(file, 3 * SECTOR);
    const whole = request('read', 1);
    const half = request('read', 2);
    const gone = request('read', 5);
    for (const one of [whole, half, gone]) await drives.handle(one);
    expect([whole, half, gone].map(statusOf)).toEqual([BLOCK_OK, BLOCK_IO_ERROR, BLOCK_IO_ERROR]);
    expect(logged[0]).toMatch(/^warn: ide0: read at byte 1024 failed: .*became shorter/);
    for (let i = 0; i < 100; i++) await drives.handle(request('read', 5));
    expect(logged.length).toBe(20);
    expect(logged.at(-1)).toContain('further failures');
  });

  test('still has a last partial sector that reads as zeros behind its end', async () => {
    writeFileSync(path.join(folder, 'odd.img'), Buffer.alloc(SECTOR + 100, 7));
    const media = await drives.open([drive('ide0', 'odd.img')]);
    expect(media.ide0!.sizeBytes).toBe(2 * SECTOR);
    const read = request('read', 0);
    await drives.handle(read);
    expect(statusOf(read)).toBe(BLOCK_OK);
    expect([read.views[1]![99], read.views[1]![100], read.views[1]![511]]).toEqual([7, 0, 0]);
  });
});

describe('a full disk of the host', () => {
  test('keeps the write, unanswered, and finishes it when there is room again', async () => {
    const file = image('disk.img');
    await drives.open([drive('ide0', 'disk.img')]);
    const full = fullDisk();
    const write = request('write', 4, 0x77);
    await drives.handle(write);
    expect(statusOf(write)).toBeUndefined();
    expect(hostErrors).toMatchObject([{ kind: 'no-space' }]);
    // Still full.
    expect(await drives.retry()).toBe(false);
    expect(statusOf(write)).toBeUndefined();
    expect(hostErrors).toHaveLength(2);
    full.mockRestore();
    expect(await drives.retry()).toBe(true);
    expect(statusOf(write)).toBe(BLOCK_OK);
    expect(readFileSync(file)[4 * SECTOR]).toBe(0x77);
    // It is done once only.
    expect(await drives.retry()).toBe(true);
    expect(posted.filter(({ t }) => t === 'blockDone')).toHaveLength(1);
  });

  test('never lets a write for one medium reach the next', async () => {
    image('disk.img');
    const next = image('next.img', 8, 0x22);
    await drives.open([drive('fd0', 'disk.img', { kind: 'floppy' })]);
    fullDisk();
    const write = request('write', 0, 0x77, 'fd0');
    await drives.handle(write);
    await drives.changeMedium('fd0', next, false);
    expect(statusOf(write)).toBe(BLOCK_IO_ERROR);
    expect(logged.some((line) => line.includes('1 writes were lost'))).toBe(true);
    expect(await drives.retry()).toBe(true);
    expect(readFileSync(next).every((byte) => byte === 0x22)).toBe(true);
    expect(posted.filter(({ t }) => t === 'media')).toMatchObject([{ info: undefined }, { info: { label: next } }]);
  });

  test('during a flush is an I/O error to the guest, and told', async () => {
    image('disk.img');
    await drives.open([drive('ide0', 'disk.img')]);
    const sync = vi.spyOn(NodeFile.prototype, 'sync').mockRejectedValue(new HypervueError('io-error', 'broken'));
    const flush = request('flush');
    await drives.handle(flush);
    expect(statusOf(flush)).toBe(BLOCK_IO_ERROR);
    expect(hostErrors).toMatchObject([{ kind: 'io-error' }]);
    // And at the end it is logged, with the file closed all the same.
    const closed = vi.spyOn(NodeFile.prototype, 'close');
    await drives.close();
    expect(logged.some((line) => line.startsWith('error: ide0: broken'))).toBe(true);
    expect(closed).toHaveBeenCalledTimes(1);
    sync.mockRestore();
  });
});

test('a medium is closed only when nothing is under way on it', async () => {
  image('disk.img');
  await drives.open([drive('fd0', 'disk.img', { kind: 'floppy' })]);
  let release!: () => void;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const read = NodeFile.prototype.read;
  vi.spyOn(NodeFile.prototype, 'read').mockImplementation(async function (this: NodeFile, offset, target) {
    await held;
    return read.call(this, offset, target);
  });
  const closed = vi.spyOn(NodeFile.prototype, 'close');
  const slow = request('read', 0, 0, 'fd0');
  const reading = drives.handle(slow);
  const ejecting = drives.changeMedium('fd0', null, false);
  const next = request('read', 0, 0, 'fd0');
  await vi.waitFor(() => expect(posted.some(({ t }) => t === 'media')).toBe(true));
  await drives.handle(next);
  expect(statusOf(next)).toBe(BLOCK_NO_MEDIUM);
  expect(closed).not.toHaveBeenCalled();
  release();
  await Promise.all([reading, ejecting]);
  expect(statusOf(slow)).toBe(BLOCK_OK);
  expect(closed).toHaveBeenCalledTimes(1);
});
