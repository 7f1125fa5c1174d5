import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs, { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HypervueError } from '../util/errors.ts';
import { ImageLocks } from './imagelocks.ts';
import { acquireLock, livingOwner } from './locks.ts';

/** Locks that several go for at once. */
const ROUNDS = 200;
const CONTENDERS = 6;

/** What link(2) does on FAT and exFAT: look whether something is there, and refuse. */
const WITHOUT_LINKS = `fs.linkSync = (from, to) => {
  const code = fs.existsSync(to) ? 'EEXIST' : 'EPERM';
  throw Object.assign(new Error(code), { code });
};`;
const linkSync = fs.linkSync;

let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-locks-'));
});

afterEach(() => {
  fs.linkSync = linkSync;
  syncBuiltinESMExports();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function failure(action: () => unknown): HypervueError {
  try {
    action();
  } catch (error) {
    return error as HypervueError;
  }
  throw new Error('it should have failed');
}

/** A process that only lives. */
async function otherProcess(): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', 'process.stdout.write("up"); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return child as ChildProcess & { pid: number };
}

async function endOf(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** The file of a lock that says whose it is. */
const saying = (lock: string): string => (statSync(lock).isDirectory() ? path.join(lock, 'owner') : lock);

/** Writes the lock that another process would have made. */
function lockOf(file: string, pid: number, changes: object = {}): void {
  const lock = acquireLock(`${file}.model`, 'x', 'Other');
  const owner = JSON.parse(readFileSync(saying(`${file}.model`), 'utf8'));
  if (statSync(`${file}.model`).isDirectory()) mkdirSync(file, { recursive: true });
  lock.dispose();
  writeFileSync(fs.existsSync(file) ? saying(file) : file, JSON.stringify({ ...owner, pid, startTime: '', ...changes }));
}

describe.each([
  ['a lock file', true],
  ['a lock where there are no hard links', false],
])('%s', (_name, links) => {
  beforeEach(() => {
    if (links) return;
    new Function('fs', WITHOUT_LINKS)(fs);
    syncBuiltinESMExports();
  });

  test('is one step: a file, or a folder with its owner in it', () => {
    const file = path.join(folder, 'lock');
    const lock = acquireLock(file, 'x', 'Mine');
    expect(statSync(file).isDirectory()).toBe(!links);
    expect(readdirSync(folder)).toEqual(['lock']);
    lock.dispose();
  });

  test('of the other kind, copied with its folder, is understood: held by the living, taken over from the dead', async () => {
    const file = path.join(folder, 'lock');
    const other = await otherProcess();
    lockOf(path.join(folder, 'model'), other.pid);
    const says = readFileSync(saying(path.join(folder, 'model')));
    rmSync(path.join(folder, 'model'), { recursive: true });
    if (links) mkdirSync(file);
    writeFileSync(links ? path.join(file, 'owner') : file, says);
    expect(failure(() => acquireLock(file, 'x', 'Mine')).message).toContain('in use by Other');
    await endOf(other);
    const lock = acquireLock(file, 'x', 'Mine');
    expect(livingOwner(file)?.holder).toBe('Mine');
    lock.dispose();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('that is an empty folder keeps nobody out', () => {
    const file = path.join(folder, 'lock');
    mkdirSync(file);
    expect(livingOwner(file)).toBeUndefined();
    acquireLock(file, 'x', 'Mine').dispose();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('is held by one, names the holder to others, and is free again afterwards', () => {
    const file = path.join(folder, 'lock');
    const lock = acquireLock(file, 'disk.img', 'Debian');
    expect(livingOwner(file)?.holder).toBe('Debian');
    const error = failure(() => acquireLock(file, 'disk.img', 'Alpine'));
    expect(error.kind).toBe('in-use');
    expect(error.message).toContain('disk.img is in use by Debian');
    expect(error.fix).toContain('Stop Debian');
    lock.dispose();
    expect(livingOwner(file)).toBeUndefined();
    acquireLock(file, 'disk.img', 'Alpine').dispose();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of a living process is respected, and taken over once that process is dead', async () => {
    const file = path.join(folder, 'lock');
    const other = await otherProcess();
    lockOf(file, other.pid);
    expect(failure(() => acquireLock(file, 'disk.img', 'Mine')).message).toContain(`in use by Other (process ${other.pid})`);
    await endOf(other);
    const lock = acquireLock(file, 'disk.img', 'Mine');
    expect(livingOwner(file)?.holder).toBe('Mine');
    lock.dispose();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of a pid that now belongs to a later process is stale', () => {
    const file = path.join(folder, 'lock');
    lockOf(file, process.pid, { startTime: '1' });
    acquireLock(file, 'x', 'Mine').dispose();
  });

  test('made before the last boot of this computer is stale', () => {
    const file = path.join(folder, 'lock');
    lockOf(file, process.pid, { bootId: '00000000-0000-0000-0000-000000000000' });
    acquireLock(file, 'x', 'Mine').dispose();
  });

  test('made on another computer counts as held, and the way out names the file', () => {
    const file = path.join(folder, 'lock');
    lockOf(file, 1, { host: `not-${hostname()}` });
    const error = failure(() => acquireLock(file, 'x', 'Mine'));
    expect(error.message).toContain(`on not-${hostname()}`);
    expect(error.fix).toContain(file);
  });

  test.each([
    ['empty', ''],
    ['garbage', '\0\xff{{{'],
    ['null', 'null'],
    ['a list', '[]'],
    ['without holder', '{"pid":1,"host":"h"}'],
    ['with pid 0, which would mean our own group', '{"pid":0,"host":"h","holder":"x"}'],
    ['with a negative pid', '{"pid":-1,"host":"h","holder":"x"}'],
  ])('that is %s does not keep anybody out', (_what, content) => {
    const file = path.join(folder, 'lock');
    writeFileSync(file, content);
    expect(livingOwner(file)).toBeUndefined();
    acquireLock(file, 'x', 'Mine').dispose();
  });

  test('shared with a second process stays held when its maker dies, until that one is gone too', async () => {
    const file = path.join(folder, 'lock');
    const vm = await otherProcess();
    const lock = acquireLock(file, 'disk.img', 'Debian');
    lock.share(vm.pid);
    lock.share(vm.pid);
    // The manager dies without letting go: what is left is its file, with a pid that no longer lives.
    const dead = await otherProcess();
    await endOf(dead);
    const owner = JSON.parse(readFileSync(saying(file), 'utf8'));
    expect(owner.others).toHaveLength(1);
    writeFileSync(saying(file), JSON.stringify({ ...owner, pid: dead.pid, startTime: '' }));
    const error = failure(() => acquireLock(file, 'disk.img', 'Next'));
    expect(error.message).toContain(`in use by Debian (process ${vm.pid})`);
    await endOf(vm);
    acquireLock(file, 'disk.img', 'Next').dispose();
  });

  test('is let go after it was shared', () => {
    const file = path.join(folder, 'lock');
    const lock = acquireLock(file, 'x', 'Mine');
    lock.share(process.pid);
    lock.dispose();
    lock.dispose();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('is not removed by a former owner from whom it was taken', () => {
    const file = path.join(folder, 'lock');
    const lost = acquireLock(file, 'x', 'First');
    rmSync(file, { recursive: true });
    const now = acquireLock(file, 'x', 'Second');
    lost.dispose();
    expect(livingOwner(file)?.holder).toBe('Second');
    now.dispose();
  });

  test.runIf(process.platform === 'linux')('of a zombie is stale', async () => {
    // What the shell turns into never waits for a child that ends, so this one stays a zombie.
    const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(parent);
    const pid = Number(await new Promise((resolve) => parent.stdout!.once('data', resolve)));
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), { timeout: 10_000 }).toContain(') Z');
    const file = path.join(folder, 'lock');
    lockOf(file, pid);
    acquireLock(file, 'x', 'Mine').dispose();
  });

  test('goes to exactly one of several that take over a stale one at once', { timeout: 60_000 }, async () => {
    const dead = await otherProcess();
    await endOf(dead);
    for (let round = 0; round < ROUNDS; round++) lockOf(path.join(folder, `lock${round}`), dead.pid);
    // Threads, as what they share puts them in step; the lock only knows what lies in the folder.
    const script = `const { parentPort, workerData } = require('node:worker_threads');
      const fs = require('node:fs');
      ${links ? '' : WITHOUT_LINKS}
      require('node:module').syncBuiltinESMExports();
      import(workerData.module).then(({ acquireLock }) => {
        const arrived = new Int32Array(workerData.arrived);
        const said = [];
        for (let round = 0; round < workerData.rounds; round++) {
          Atomics.add(arrived, 0, 1);
          while (Atomics.load(arrived, 0) < (round + 1) * workerData.contenders);
          try { acquireLock(workerData.lock + round, 'x', 'c'); said.push('won'); } catch (error) { said.push(error.kind); }
        }
        parentPort.postMessage(said);
      });`;
    const arrived = new SharedArrayBuffer(4);
    const module = new URL('./locks.ts', import.meta.url).href;
    const contender = async () => {
      const worker = new Worker(script, {
        eval: true,
        workerData: { arrived, module, rounds: ROUNDS, contenders: CONTENDERS, lock: path.join(folder, 'lock') },
      });
      const [said] = (await once(worker, 'message')) as [string[]];
      return said;
    };
    const all = await Promise.all(Array.from({ length: CONTENDERS }, contender));
    const rounds = Array.from({ length: ROUNDS }, (_, round) => all.map((said) => said[round]).sort());
    expect(
      rounds.filter((said) => said.filter((word) => word === 'won').length !== 1 || said.some((word) => !/^(won|in-use)$/.test(word!))),
    ).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(ROUNDS);
  });

  test('whose taking over was itself cut off is taken over', async () => {
    const file = path.join(folder, 'lock');
    const dead = await otherProcess();
    await endOf(dead);
    lockOf(file, dead.pid);
    const stale = readFileSync(saying(file), 'utf8');
    const right = `${file}.${createHash('sha256').update(stale).digest('hex').slice(0, 16)}.over`;
    // A second process died with the right to replace the lock in its hand.
    lockOf(right, dead.pid, { unique: 'second' });
    const lock = acquireLock(file, 'x', 'Mine');
    expect(livingOwner(file)?.holder).toBe('Mine');
    expect(readdirSync(folder)).toEqual(['lock']);
    lock.dispose();
    // One that lives is about to have it.
    writeFileSync(file, stale);
    lockOf(right, (await otherProcess()).pid);
    expect(failure(() => acquireLock(file, 'x', 'Mine')).kind).toBe('in-use');
    expect(readFileSync(saying(file), 'utf8')).toBe(stale);
  });
});

describe('image locks', () => {
  test('allow one writer or many readers, by whatever path, and name who refuses', () => {
    const image = path.join(folder, 'disk.img');
    const link = path.join(folder, 'link.img');
    writeFileSync(image, 'x');
    symlinkSync(image, link);
    const locks = new ImageLocks(path.join(folder, 'locks'));
    const others = new ImageLocks(path.join(folder, 'locks'));

    const writer = locks.acquire(image, false, 'Debian');
    expect(failure(() => others.acquire(link, false, 'A')).message).toContain('in use by Debian');
    expect(failure(() => others.acquire(link, true, 'A')).kind).toBe('in-use');
    expect(others.conflict(link, true)).toBe('Debian');
    writer.dispose();
    expect(others.conflict(link, false)).toBeUndefined();

    const readers = [locks.acquire(image, true, 'R1'), others.acquire(link, true, 'R2')];
    expect(failure(() => locks.acquire(image, false, 'W')).message).toMatch(/in use by R[12]/);
    expect(locks.conflict(image, true)).toBeUndefined();
    readers[0]!.dispose();
    expect(locks.conflict(image, false)).toBe('R2');
    readers[1]!.dispose();
    locks.acquire(image, false, 'W').dispose();
    // Nothing is left, neither beside the image nor among the locks.
    expect(readdirSync(folder).sort()).toEqual(['disk.img', 'link.img', 'locks']);
    expect(readdirSync(path.join(folder, 'locks'))).toEqual([]);
  });

  test('of dead readers do not keep a writer out', async () => {
    const image = path.join(folder, 'disk.img');
    writeFileSync(image, 'x');
    const locks = new ImageLocks(path.join(folder, 'locks'));
    locks.acquire(image, true, 'R');
    const file = path.join(folder, 'locks', readdirSync(path.join(folder, 'locks'))[0]!);
    const dead = await otherProcess();
    await endOf(dead);
    lockOf(file, dead.pid);
    expect(locks.conflict(image, false)).toBeUndefined();
    locks.acquire(image, false, 'W').dispose();
    expect(readdirSync(path.join(folder, 'locks'))).toEqual([]);
  });

  test('name a missing image', () => {
    const locks = new ImageLocks(path.join(folder, 'locks'));
    expect(failure(() => locks.acquire(path.join(folder, 'none.img'), true, 'M')).kind).toBe('not-found');
  });
});
