import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BLOCK_OK, type BlockStatus } from '../backend/asyncblock.ts';
import { SeededNumbers } from '../cpu/seededrandom.ts';
import type { Drive } from '../contract/vm.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshot } from '../disk/qcow2/snapshots.ts';
import { VectorIo } from '../platform/vectorio.ts';
import type { BlockRequest, ToMachine } from './machinemessages.ts';
import { DirectGate } from './directgate.ts';
import { DriveShortcut } from './driveshortcut.ts';
import { RemoteDrive } from './remotedrive.ts';
import { driveBench } from './testing/drivebench.ts';

const MIB = 1 << 20;
const SECTOR = 512;
/** What stands for guest memory; requests of the other way use the upper half. */
const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
const bytes = new Uint8Array(memory.buffer);
const BUFFER = 2 * MIB;

let bench: ReturnType<typeof driveBench>;
let remote: RemoteDrive;

beforeEach(() => {
  bench = driveBench();
});
afterEach(() => bench.end());

const disk = (changes: Partial<Drive> = {}): Drive => ({
  id: 'ide0',
  kind: 'disk',
  path: 'disk.img',
  format: 'raw',
  readOnly: false,
  ...changes,
});

/** Both ends of a drive, which in a machine are on two threads. */
async function connect(drive: Drive): Promise<void> {
  const media = await bench.drives.open([drive]);
  const deliver = (message: ToMachine) => {
    if (message.t === 'blockDone') remote.complete(message.id, message.status, message.grant);
  };
  bench.posted.push = (...messages) => {
    messages.forEach(deliver);
    return 0;
  };
  const send = (message: unknown) => void bench.drives.handle(message as BlockRequest);
  remote = new RemoteDrive('ide0', media.ide0, send, new DriveShortcut(VectorIo.open(memory)!));
}

const asked = (start: (done: (status: BlockStatus) => void) => void) => new Promise<BlockStatus>(start);
const slowRead = (offset: number, length: number) => asked((done) => remote.read(offset, [bytes.subarray(BUFFER, BUFFER + length)], done));
const slowWrite = (offset: number, data: Uint8Array) => {
  bytes.set(data, BUFFER);
  return asked((done) => remote.write(offset, [bytes.subarray(BUFFER, BUFFER + data.length)], done));
};
/** Three runs in no order. */
const RUNS = (length: number) => [8192, SECTOR, 1024, length - SECTOR];
const gather = (length: number) => Buffer.concat([bytes.subarray(8192, 8192 + SECTOR), bytes.subarray(1024, 1024 + length - SECTOR)]);
const MOST = 6144;
const now = (write: boolean, offset: number, length: number) => {
  // Each is a turn of its own.
  remote.runDeferred();
  return remote.moveNow(write, offset, RUNS(length));
};
/** A read by the quick way if it is open, else by the other one. */
async function read(offset: number, length: number): Promise<{ data: Buffer; quick: boolean }> {
  if (now(false, offset, length)) return { data: gather(length), quick: true };
  expect(await slowRead(offset, length)).toBe(BLOCK_OK);
  return { data: Buffer.from(bytes.subarray(BUFFER, BUFFER + length)), quick: false };
}
async function write(offset: number, data: Buffer): Promise<boolean> {
  bytes.set(data.subarray(0, SECTOR), 8192);
  bytes.set(data.subarray(SECTOR), 1024);
  if (now(true, offset, data.length)) return true;
  expect(await slowWrite(offset, data)).toBe(BLOCK_OK);
  return false;
}

const file = (name = 'disk.img') => path.join(bench.folder, name);
function raw(size = 4 * MIB): void {
  writeFileSync(file(), Buffer.alloc(size, 0x11));
}

describe('the short way to an image', () => {
  test('is open after the first request, and counts what it moves', async () => {
    raw();
    await connect(disk());
    expect(now(false, 0, 2048)).toBe(false);
    await slowRead(0, SECTOR);
    const { data, quick } = await read(MIB, 2048);
    expect([quick, data.every((byte) => byte === 0x11)]).toEqual([true, true]);
    expect(await write(MIB, Buffer.alloc(2048, 0x22))).toBe(true);
    expect((await read(MIB, 2048)).data.every((byte) => byte === 0x22)).toBe(true);
    expect([bench.drives.readBytes, bench.drives.writtenBytes]).toEqual([SECTOR + 4096, 2048]);
  });

  test('is closed behind the end, for runs outside of the memory, and when the file became shorter', async () => {
    raw(MIB);
    await connect(disk());
    await slowRead(0, SECTOR);
    expect(now(false, MIB - 1024, 2048)).toBe(false);
    expect(remote.moveNow(false, 0, [memory.buffer.byteLength - SECTOR, 1024])).toBe(false);
    expect(remote.moveNow(false, 0, [-512, 512])).toBe(false);
    truncateSync(file(), MIB / 2);
    expect(now(false, MIB / 2, 2048)).toBe(false);
    expect(now(false, 0, 2048)).toBe(true);
  });

  test.each<[string, Partial<Drive>, boolean]>([
    ['writethrough', { cache: 'writethrough' }, true],
    ['detectZeroes', { detectZeroes: true }, true],
    ['a read-only image', { readOnly: true }, true],
    ['limits', { limits: { iops: 1e6 } }, false],
  ])('does not go round %s', async (_, changes, reads) => {
    raw();
    await connect(disk(changes));
    await slowRead(0, SECTOR);
    expect([now(false, 0, 2048), now(true, 0, 2048)]).toEqual([reads, false]);
  });

  test('closes when the policy changes and when the disk is taken out', async () => {
    raw();
    await connect(disk());
    await slowRead(0, SECTOR);
    expect(now(true, 0, 2048)).toBe(true);
    bench.drives.setPolicy('ide0', { cache: 'writethrough' });
    expect(now(true, 0, 2048)).toBe(false);
    await slowRead(0, SECTOR);
    expect([now(false, 0, 2048), now(true, 0, 2048)]).toEqual([true, false]);
    await bench.drives.changeMedium('ide0', null, false);
    expect(now(false, 0, 2048)).toBe(false);
  });

  test('does not write to an image with a bitmap that tracks what is written', async () => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file(), '8M']);
    execFileSync('qemu-io', ['-c', 'write -P 1 0 8M', file()]);
    execFileSync('qemu-img', ['bitmap', '--add', file(), 'changes']);
    await connect(disk({ format: 'qcow2' }));
    await slowWrite(0, Buffer.alloc(SECTOR, 9));
    await slowRead(0, SECTOR);
    expect([now(false, 0, 2048), now(true, 0, 2048)]).toEqual([true, false]);
  });

  test('of a shared cluster is for reading, and closes when a write gives it a place of its own', async () => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file(), '8M']);
    execFileSync('qemu-io', ['-c', 'write -P 1 0 8M', file()]);
    execFileSync('qemu-img', ['snapshot', '-c', 'before', file()]);
    await connect(disk({ format: 'qcow2' }));
    await slowRead(0, SECTOR);
    expect([now(false, 0, 2048), now(true, 0, 2048)]).toEqual([true, false]);
    await slowWrite(0, Buffer.alloc(SECTOR, 7));
    const { data } = await read(0, 2048);
    expect([data[0], data[SECTOR]]).toEqual([7, 1]);
    expect(await write(0, Buffer.alloc(2048, 8))).toBe(true);
    await bench.drives.close();
    execFileSync('qemu-img', ['snapshot', '-a', 'before', file()]);
    execFileSync('qemu-io', ['-r', '-c', 'read -P 1 0 8M', file()]);
  });
});

/** Random requests by whichever way is open, with what moves clusters about in between, against a copy in memory. */
async function mixed(seed: number, sizeBytes: number, content: Buffer): Promise<{ quick: number; slow: number }> {
  const random = new SeededNumbers(seed);
  const below = (limit: number) => random.next() % limit;
  const counts = { quick: 0, slow: 0 };
  const image = bench.drives.images().get('ide0')!;
  let snapshots = 0;
  for (let step = 0; step < 800; step++) {
    const length = SECTOR * (2 + below(MOST / SECTOR - 2));
    const offset = SECTOR * below((sizeBytes - length) / SECTOR);
    const kind = below(1000);
    if (kind < 490) {
      const data = Buffer.alloc(length, below(255) + 1);
      counts[(await write(offset, data)) ? 'quick' : 'slow']++;
      data.copy(content, offset);
    } else if (kind < 980) {
      const { data, quick } = await read(offset, length);
      counts[quick ? 'quick' : 'slow']++;
      if (!data.equals(content.subarray(offset, offset + length))) throw new Error(`step ${step}: other bytes at ${offset}`);
    } else if (kind < 985) {
      const many = SECTOR * (1 + below(600));
      const from = Math.min(offset, sizeBytes - many);
      expect(await asked((done) => remote.writeZeroes(from, many, below(2) === 1, done))).toBe(BLOCK_OK);
      content.fill(0, from, from + many);
    } else if (kind < 998) expect(await asked((done) => remote.flush(done))).toBe(BLOCK_OK);
    else if (image instanceof Qcow2Image && !image.meta.shape.externalData) {
      if (snapshots && below(2)) await deleteSnapshot(image, `s${--snapshots}`);
      else await createSnapshot(image, `s${snapshots++}`, { seconds: 1, nanoseconds: 0 });
    }
  }
  return counts;
}

test('what is taken back is not used any more when that is over', async () => {
  const gate = new DirectGate();
  const words = new Int32Array(new SharedArrayBuffer(16));
  const source = `
    import { workerData } from 'node:worker_threads';
    const { DirectGate } = await import(workerData.module);
    const gate = new DirectGate(workerData.shared);
    const words = workerData.words;
    let uses = 0;
    while (!Atomics.load(words, 1)) {
      const stamp = Atomics.load(words, 2);
      gate.enter();
      // Between these two lines the other thread must not believe that nobody is inside.
      if (gate.stamp(0, true) === stamp) { Atomics.store(words, 0, stamp + 1); for (let i = 0; i < 200; i++); Atomics.store(words, 0, 0); uses++; }
      gate.leave();
    }
    Atomics.store(words, 3, uses);`;
  const module = new URL('./directgate.ts', import.meta.url).href;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { shared: gate.shared, words, module },
  });
  await new Promise((resolve) => worker.once('online', resolve));
  const until = Date.now() + 1500;
  let seen = 0;
  let rounds = 0;
  while (Date.now() < until || Atomics.load(words, 0) !== 0) {
    const old = gate.stamp(0, true);
    Atomics.store(words, 2, old);
    for (let i = 0; i < rounds++ % 1000; i++) if (Atomics.load(words, 0)) seen++;
    gate.revoke(rounds % 2 ? undefined : { offset: 0, length: 1 });
    expect(Atomics.load(words, 0)).toBe(0);
  }
  Atomics.store(words, 1, 1);
  await new Promise((resolve) => worker.once('exit', resolve));
  expect(seen).toBeGreaterThan(0);
  expect(words[3]).toBeGreaterThan(0);
});

describe('random requests by both ways read what was written', () => {
  const size = 24 * MIB;
  const compare = (format: string, content: Buffer) => {
    writeFileSync(file('model'), content);
    execFileSync('qemu-img', ['compare', '-f', format, '-F', 'raw', file(), file('model')]);
  };

  test('a raw image', async () => {
    raw(size);
    await connect(disk());
    const content = Buffer.alloc(size, 0x11);
    const { quick, slow } = await mixed(1, size, content);
    expect(quick).toBeGreaterThan(3 * slow);
    await bench.drives.close();
    compare('raw', content);
  });

  test.each<[string, string[], string[]]>([
    ['qcow2', [], ['write -P 5 0 12M']],
    ['qcow2 with small clusters', ['-o', 'cluster_size=4k'], ['write -P 5 0 12M']],
    ['qcow2 with extended entries', ['-o', 'extended_l2=on'], ['write -P 5 1M 12M']],
    ['qcow2 of version 2', ['-o', 'compat=0.10'], ['write -P 5 0 3M']],
    ['qcow2 with packed clusters', [], ['write -c -P 5 0 4M', 'write -P 6 6M 6M']],
    ['qcow2 with an external data file', ['-o', 'data_file=DATA'], ['write -P 5 0 12M']],
  ])('%s', async (_, options, commands) => {
    const given = options.map((option) => option.replace('DATA', file('data')));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...given, file(), String(size)]);
    const content = Buffer.alloc(size);
    for (const command of commands) execFileSync('qemu-io', ['-c', command, file()]);
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', file(), file('model')]);
    content.set(readFileSync(file('model')));
    await connect(disk({ format: 'qcow2' }));
    const { quick } = await mixed(2, size, content);
    expect(quick).toBeGreaterThan(40);
    await bench.drives.close();
    execFileSync('qemu-img', ['check', '-q', file()]);
    compare('qcow2', content);
  });

  test('qcow2 on another image', async () => {
    writeFileSync(file('base.img'), Buffer.alloc(16 * MIB, 0x33));
    const { mtimeMs } = statSync(file('base.img'));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'raw', file(), String(size)], { cwd: bench.folder });
    const content = Buffer.alloc(size);
    content.fill(0x33, 0, 16 * MIB);
    await connect(disk({ format: 'qcow2' }));
    const { quick } = await mixed(3, size, content);
    expect(quick).toBeGreaterThan(40);
    await bench.drives.close();
    execFileSync('qemu-img', ['check', '-q', file()]);
    compare('qcow2', content);
    expect(statSync(file('base.img')).mtimeMs).toBe(mtimeMs);
  });
});
