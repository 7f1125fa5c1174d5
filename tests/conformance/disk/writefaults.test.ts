/** One write or sync of the host fails, at each point of a sequence in turn; the guest hears of it and goes on. */
import { describe, expect, it } from 'vitest';
import { checkImage } from '../../../core/disk/qcow2/check.ts';
import { createQcow2, type Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import type { Qcow2Image } from '../../../core/disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshot, readSnapshots, revertToSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { HypervueError } from '../../../core/util/errors.ts';
import { PowerCutFile } from './support/powercutfile.ts';
import { randomNumbers } from './support/randomdisk.ts';
import { openStamped, SECTOR, stamp } from './support/stampeddisk.ts';

const SIZE = 1 << 19;
const SECTORS = SIZE / SECTOR;
const STEPS = 40;
/** At most so many points of each sequence, spread over it; all of them, and of more sequences, where HYPERVUE_DISK_SEEDS says how many. */
const POINTS = process.env.HYPERVUE_DISK_SEEDS ? Number.POSITIVE_INFINITY : 60;
const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);

/** What is known of the disk: the numbers that a sector may hold, and of the snapshots that were taken the numbers of theirs. */
interface Model {
  sectors: Set<number>[];
  snapshots: Map<string, Set<number>[]>;
  /** Failed in the middle: there or not. */
  doubtful: Set<string>;
  /** Errors that somebody was told. */
  told: number;
}
const copyOf = (sectors: readonly Set<number>[]): Set<number>[] => sectors.map((numbers) => new Set(numbers));

async function work(image: Qcow2Image, random: (below: number) => number): Promise<Model> {
  const model: Model = { sectors: Array.from({ length: SECTORS }, () => new Set([0])), snapshots: new Map(), doubtful: new Set(), told: 0 };
  /** What fails may be done in part. */
  const attempt = async (action: () => Promise<void>): Promise<boolean> => {
    try {
      await action();
      return true;
    } catch (error) {
      if (!(error instanceof HypervueError)) throw error;
      model.told++;
      return false;
    }
  };
  const put = async (at: number, count: number, number: number, action: () => Promise<void>) => {
    const whole = await attempt(action);
    for (let s = at; s < at + count; s++) model.sectors[s] = whole ? new Set([number]) : model.sectors[s]!.add(number);
  };
  for (let step = 1; step <= STEPS; step++) {
    const what = random(12);
    const at = random(SECTORS);
    const count = Math.min(1 + random(random(4) ? 8 : 200), SECTORS - at);
    if (what < 7) await put(at, count, step, () => image.write(at * SECTOR, stamp(step, count)));
    else if (what < 9) {
      const unmap = random(2) === 0;
      await put(at, count, 0, () => image.writeZeroes(at * SECTOR, count * SECTOR, unmap));
    } else if (what < 10) await attempt(() => image.flush());
    else if (what < 11 || !model.snapshots.size) {
      const name = `s${step}`;
      const of = copyOf(model.sectors);
      if (!(await attempt(() => createSnapshot(image, name, { seconds: 1, nanoseconds: 0 }).then(() => {})))) model.doubtful.add(name);
      model.snapshots.set(name, of);
    } else {
      const names = [...model.snapshots.keys()].filter((name) => !model.doubtful.has(name));
      const name = names[random(names.length)];
      if (name === undefined) continue;
      if (random(2)) {
        const to = model.snapshots.get(name)!;
        const whole = await attempt(() => revertToSnapshot(image, name).then(() => {}));
        model.sectors = whole ? copyOf(to) : model.sectors.map((numbers, s) => new Set([...numbers, ...to[s]!]));
      } else if (await attempt(() => deleteSnapshot(image, name).then(() => {}))) model.snapshots.delete(name);
      else model.doubtful.add(name);
    }
  }
  return model;
}

function expectHolds(bytes: Uint8Array, sectors: readonly Set<number>[], where: string): void {
  const view = new DataView(bytes.buffer);
  for (let s = 0; s < SECTORS; s++) {
    const got = view.getUint32(s * SECTOR);
    if (!sectors[s]!.has(got) || view.getUint32(s * SECTOR + 508) !== got)
      expect.fail(`${where}: sector ${s} holds ${got}, ${[...sectors[s]!].join(' or ')} was promised`);
  }
}

const variants: [string, Partial<Qcow2Options>][] = [
  ['64 KiB', {}],
  ['4 KiB', { clusterSize: 4096 }],
  ['512 bytes, wide refcounts', { clusterSize: 512, refcountBits: 64 }],
  ['extended L2', { extendedL2: true, clusterSize: 16384 }],
];

describe('qcow2 when one request of the host fails', () => {
  for (const [name, options] of variants)
    it(`${name}: somebody is told, and what was written before and after is there`, async () => {
      /** Runs the sequence; its `failing`th request fails. */
      const run = async (seed: number, failing: number) => {
        const file = new PowerCutFile('fault.qcow2');
        await createQcow2(file, { sizeBytes: SIZE, ...options });
        const image = await openStamped(file);
        let requests = 0;
        file.before = () => {
          if (++requests === failing) throw new HypervueError('io-error', 'a request fails', { path: file.path });
        };
        const model = await work(image, randomNumbers(seed * 7919 + name.length));
        return { file, image, model, requests };
      };
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { requests } = await run(seed, 0);
        const step = Math.max(1, Math.ceil(requests / POINTS));
        for (let failing = 1; failing <= requests; failing += step) {
          const where = `${name}, seed ${seed}, request ${failing} of ${requests}`;
          const { file, image, model } = await run(seed, failing);
          const bytes = new Uint8Array(SIZE);
          await image.read(0, bytes);
          expectHolds(bytes, model.sectors, `${where}, as the guest sees it`);
          await image.flush();
          await image.close();
          const reopened = await openStamped(file, true);
          const report = await checkImage(reopened, { repair: 'none' });
          expect(report.errors, `${where}: ${report.messages.join('\n')}`).toBe(0);
          await reopened.read(0, bytes);
          expectHolds(bytes, model.sectors, `${where}, opened again`);
          const there = (await readSnapshots(reopened)).entries.map((entry) => entry.name);
          for (const entry of model.snapshots.keys()) if (!model.doubtful.has(entry)) expect(there, where).toContain(entry);
          for (const entry of there) {
            expect([...model.snapshots.keys()], where).toContain(entry);
            await revertToSnapshot(reopened, entry);
            await reopened.read(0, bytes);
            expectHolds(bytes, model.snapshots.get(entry)!, `${where}, ${entry}`);
          }
        }
      }
    });
});
