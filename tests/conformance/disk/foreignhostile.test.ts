import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { openImage } from '../../../core/platform/openimage.ts';
import { HypervueError } from '../../../core/util/errors.ts';
import { qemuImg, scratch } from './support/qemu.ts';
import { randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const ROUNDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1) * 60;

/** Byte ranges of headers and tables, by format: damage elsewhere is guest data. */
const kinds: [qemu: string, ours: 'vmdk' | 'vdi' | 'vhd' | 'vhdx', options: string, places: [number, number][]][] = [
  [
    'vmdk',
    'vmdk',
    'subformat=monolithicSparse',
    [
      [0, 80],
      [512, 700],
      [21 * 512, 16384],
    ],
  ],
  [
    'vmdk',
    'vmdk',
    'subformat=streamOptimized',
    [
      [0, 80],
      [512, 700],
      [65536, 8192],
    ],
  ],
  [
    'vdi',
    'vdi',
    'static=off',
    [
      [64, 448],
      [512, 64],
    ],
  ],
  [
    'vpc',
    'vhd',
    'subformat=dynamic',
    [
      [0, 512],
      [512, 1024],
      [1536, 64],
    ],
  ],
  [
    'vhdx',
    'vhdx',
    'subformat=dynamic',
    [
      [65536, 96],
      [131072, 96],
      [196608, 128],
      [2 * MIB, 512],
      [2 * MIB + 65536, 256],
      [3 * MIB, 64],
    ],
  ],
];

/** Reads all of a disk that is not too large, and pieces of others. */
async function use(file: string, format: 'vmdk' | 'vdi' | 'vhd' | 'vhdx'): Promise<Buffer | string> {
  let disk: Awaited<ReturnType<typeof openImage>>;
  try {
    disk = await openImage(file, { readOnly: true, format });
  } catch (error) {
    if (!(error instanceof HypervueError)) throw error;
    return error.kind;
  }
  try {
    const size = Math.min(8 * MIB, disk.info.sizeBytes);
    const bytes = Buffer.alloc(size);
    await disk.read(0, bytes);
    await disk.read(disk.info.sizeBytes - 512, Buffer.alloc(512));
    return bytes;
  } catch (error) {
    if (!(error instanceof HypervueError)) throw error;
    return error.kind;
  } finally {
    await disk.close();
  }
}

for (const [qemu, ours, options, places] of kinds)
  it(`damaged images of ${ours} (${options}) give an answer, and data only where qemu-img reads the same`, async () => {
    const folder = scratch();
    const raw = path.join(folder, 'a.raw');
    const content = Buffer.alloc(5 * MIB);
    for (let i = 0; i < 2 * MIB; i++) content[i] = (i * 7 + (i >> 9)) & 0xff;
    writeFileSync(raw, content);
    const sample = path.join(folder, 'sample');
    qemuImg('convert', '-f', 'raw', '-O', qemu, '-o', options, raw, sample);
    const good = readFileSync(sample);
    const random = randomNumbers(options.length * 7 + 11);
    const file = path.join(folder, 'a');
    const answers = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      let bytes = Buffer.from(good);
      for (let n = 0; n < 1 + random(3); n++) {
        const [start, length] = places[random(places.length)]!;
        const at = Math.min(start + random(length), bytes.length - 8);
        const what = random(4);
        if (what === 0) bytes[at] = random(256);
        else if (what === 1) bytes[at]! ^= 1 << random(8);
        else bytes.writeUInt32LE([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, random(1 << 20)][random(6)]!, at & ~3);
      }
      if (random(8) === 0) bytes = bytes.subarray(0, random(bytes.length));
      writeFileSync(file, bytes);
      const before = process.memoryUsage().rss;
      const started = Date.now();
      const answer = await use(file, ours).catch((error) => {
        throw new Error(`round ${round}: ${(error as Error).stack}`);
      });
      expect(Date.now() - started, `round ${round} hangs`).toBeLessThan(20_000);
      expect(process.memoryUsage().rss - before, `round ${round} takes memory`).toBeLessThan(300 * MIB);
      const name = typeof answer === 'string' ? answer : 'read';
      answers.set(name, (answers.get(name) ?? 0) + 1);
      if (typeof answer === 'string' || random(4)) continue;
      // Where both read it, both read the same.
      const theirs = path.join(folder, 'theirs.raw');
      const result = spawnSync('qemu-img', ['dd', '-f', qemu, '-O', 'raw', `if=${file}`, `of=${theirs}`, 'bs=1M', 'count=8'], {
        timeout: 20_000,
      });
      if (result.status !== 0) continue;
      const reference = readFileSync(theirs);
      const length = Math.min(reference.length, answer.length);
      expect(
        Buffer.compare(answer.subarray(0, length), reference.subarray(0, length)),
        `round ${round} of ${options}: other data than qemu-img`,
      ).toBe(0);
    }
    expect(answers.get('read'), JSON.stringify([...answers])).toBeGreaterThan(0);
    expect((answers.get('corrupt') ?? 0) + (answers.get('unsupported') ?? 0)).toBeGreaterThan(0);
  }, 300_000);
