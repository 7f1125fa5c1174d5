import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Qcow2Image } from '../../core/disk/qcow2/image.ts';
import { convertImage } from '../../core/platform/convertimage.ts';
import { openImage } from '../../core/platform/openimage.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * The qcow2 code beside qemu-img, on the same files, in turn: sequential conversion (both end with what they wrote on the disk), and 4 KiB reads and writes
 * all over a filled image, as many at a time as `qemu-img bench` has. HYPERVUE_BENCH_MIB sets the size.
 */
const SIZE_MIB = Number(process.env.HYPERVUE_BENCH_MIB ?? 512);
const ROUNDS = 3;
const REQUESTS = 20_000;
const BLOCK = 4096;
/** From one request to the next, in blocks: a prime, so that all of the disk is visited and nothing lies in order. */
const STEP_BLOCKS = 7919;
const DEPTHS = [1, 16];

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Data that does not pack well, with a hole in every fourth MiB. */
function makeRaw(file: string): void {
  const fd = openSync(file, 'w');
  const bytes = Buffer.alloc(1 << 20);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (Math.imul(i, 2654435761) >>> 13) & 0xff;
  for (let mib = 0; mib < SIZE_MIB; mib++) {
    bytes.writeUInt32LE(mib, 0);
    if (mib % 4 !== 3 || mib === SIZE_MIB - 1) writeSync(fd, bytes, 0, bytes.length, mib << 20);
  }
  closeSync(fd);
}

async function seconds(work: () => unknown): Promise<number> {
  const started = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - started) / 1e9;
}

/** Both in turn, so that other work on this computer hits both. */
async function inTurn(ours: () => Promise<number>, theirs: () => Promise<number>): Promise<[ours: number, theirs: number]> {
  const results: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    results[0].push(await ours());
    results[1].push(await theirs());
  }
  return [median(results[0]), median(results[1])];
}

async function convert(folder: string, from: string, fromFormat: 'raw' | 'qcow2', to: 'raw' | 'qcow2'): Promise<Row> {
  const target = path.join(folder, 'target');
  const again = (work: () => unknown) => async () => {
    rmSync(target, { force: true });
    return seconds(work);
  };
  const [ours, theirs] = await inTurn(
    again(() => convertImage({ from: { path: from, format: fromFormat }, to: { path: target, format: to } })),
    // Its default for the target ignores flushes; with this it ends as ours does, with everything on the disk.
    again(() => execFileSync('qemu-img', ['convert', '-t', 'writeback', '-f', fromFormat, '-O', to, from, target])),
  );
  rmSync(target, { force: true });
  const speed = (time: number) => `${fixed(SIZE_MIB / time, 0)} MiB/s`;
  return {
    what: `disk: convert ${fromFormat} to ${to}`,
    ours: speed(ours),
    peer: speed(theirs),
    ratio: `${fixed(theirs / ours, 2)}x`,
    note: `${SIZE_MIB} MiB`,
  };
}

/** The requests of `qemu-img bench -S`: one step on each time, around the end. */
async function requests(image: Qcow2Image, depth: number, write: boolean): Promise<void> {
  const blocks = image.info.sizeBytes / BLOCK;
  let next = 0;
  const worker = async () => {
    const buffer = new Uint8Array(BLOCK).fill(0x5a);
    while (next < REQUESTS) {
      const at = ((next++ * STEP_BLOCKS) % blocks) * BLOCK;
      await (write ? image.write(at, buffer) : image.read(at, buffer));
    }
  };
  await Promise.all(Array.from({ length: depth }, worker));
}

async function random(file: string, depth: number, write: boolean): Promise<Row> {
  const step = STEP_BLOCKS * BLOCK;
  const args = ['bench', '-f', 'qcow2', '-t', 'writeback', '-c', `${REQUESTS}`, '-d', `${depth}`, '-s', `${BLOCK}`, '-S', `${step}`];
  const [ours, theirs] = await inTurn(
    async () => {
      const image = (await openImage(file, { readOnly: !write, format: 'qcow2' })) as Qcow2Image;
      try {
        return await seconds(() => requests(image, depth, write));
      } finally {
        await image.close();
      }
    },
    async () => {
      const out = execFileSync('qemu-img', [...args, ...(write ? ['-w'] : []), file], { encoding: 'utf8' });
      return Number(/completed in ([\d.]+) seconds/.exec(out)?.[1] ?? Number.NaN);
    },
  );
  const rate = (time: number) => `${fixed(REQUESTS / time / 1000, 1)} k/s`;
  return {
    what: `disk: 4 KiB ${write ? 'writes' : 'reads'} all over, ${depth} at a time`,
    ours: rate(ours),
    peer: rate(theirs),
    ratio: `${fixed(theirs / ours, 2)}x`,
  };
}

export const disk: Bench = async () => {
  const folder = mkdtempSync(path.join(process.env.HYPERVUE_BENCH_FOLDER ?? tmpdir(), 'hypervue-bench-disk-'));
  try {
    const raw = path.join(folder, 'a.raw');
    const qcow2 = path.join(folder, 'a.qcow2');
    makeRaw(raw);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2]);
    const rows: Row[] = [];
    for (const [from, file] of [
      ['raw', raw],
      ['qcow2', qcow2],
    ] as const)
      for (const to of ['raw', 'qcow2'] as const) rows.push(await convert(folder, file, from, to));
    // Filled, so that writes find their places.
    const filled = path.join(folder, 'b.qcow2');
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-S', '0', raw, filled]);
    for (const write of [false, true]) for (const depth of DEPTHS) rows.push(await random(filled, depth, write));
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
