import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createQcow2, type Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import type { Qcow2Image } from '../../../core/disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshot, readSnapshots, revertToSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { qemuCheck, scratch } from './support/qemu.ts';
import { PowerCutFile } from './support/powercutfile.ts';
import { randomNumbers } from './support/randomdisk.ts';
import { openStamped, readAfterCut, SECTOR, stamp } from './support/stampeddisk.ts';

const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1) * 12;
const SIZE = 1 << 20;
const SECTORS = SIZE / SECTOR;

class Cut extends Error {}

const variants: [string, Partial<Qcow2Options>][] = [
  ['64 KiB', {}],
  ['4 KiB', { clusterSize: 4096 }],
  ['512 bytes, wide refcounts', { clusterSize: 512, refcountBits: 64 }],
  ['extended L2', { extendedL2: true, clusterSize: 16384 }],
];

/** Writes, flushes and takes snapshots until the power goes; returns what was promised. */
async function work(image: Qcow2Image, random: (below: number) => number, steps: number, snapshots: boolean) {
  /** By sector: numbers that it may hold after the cut; the promised one and everything written since. */
  const allowed = Array.from({ length: SECTORS }, () => new Set([0]));
  const latest = new Uint32Array(SECTORS);
  const taken = new Map<string, Uint32Array>();
  let number = 0;
  let busyWith = '';
  const done = (promised: Uint32Array, from = 0, to = SECTORS) => {
    for (let i = from; i < to; i++) allowed[i] = new Set([promised[i]!]);
  };
  try {
    for (let step = 0; step < steps; step++) {
      const what = random(snapshots ? 12 : 10);
      busyWith = '';
      if (what < 8) {
        // Several at once, in places that do not overlap.
        const writes: Promise<void>[] = [];
        for (let i = 0, at = random(SECTORS); i < 1 + random(5) && at < SECTORS; i++) {
          const count = Math.min(1 + random(random(4) ? 8 : 200), SECTORS - at);
          number++;
          for (let s = at; s < at + count; s++) {
            allowed[s]!.add(number);
            latest[s] = number;
          }
          writes.push(image.write(at * SECTOR, stamp(number, count)));
          at += count + random(40);
        }
        const failed = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
        if (failed) throw failed.reason;
      } else if (what < 9) {
        const at = random(SECTORS);
        const count = Math.min(1 + random(300), SECTORS - at);
        for (let s = at; s < at + count; s++) {
          allowed[s]!.add(0);
          latest[s] = 0;
        }
        await image.writeZeroes(at * SECTOR, count * SECTOR, random(2) === 0);
      } else if (what < 10) {
        const promised = latest.slice();
        await image.flush();
        done(promised);
      } else if (what < 11 || !taken.size) {
        const name = `s${step}`;
        busyWith = name;
        await createSnapshot(image, name, { seconds: 1, nanoseconds: 0 });
        done(latest);
        taken.set(name, latest.slice());
      } else {
        const names = [...taken.keys()];
        const name = names[random(names.length)]!;
        if (random(2)) {
          busyWith = name;
          for (let s = 0; s < SECTORS; s++) allowed[s]!.add(taken.get(name)![s]!);
          await revertToSnapshot(image, name);
          latest.set(taken.get(name)!);
          done(latest);
        } else {
          busyWith = name;
          await deleteSnapshot(image, name);
          taken.delete(name);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
  }
  return { allowed, taken, busyWith };
}

describe('qcow2 when the power goes', () => {
  for (const [name, options] of variants)
    for (const snapshots of [false, true])
      it(`${name}${snapshots ? ', with snapshots' : ''}: nothing but leaks, every flushed write and every snapshot is there`, async () => {
        for (let seed = 1; seed <= SEEDS; seed++) {
          const random = randomNumbers(seed * 7919 + name.length + (snapshots ? 1 : 0));
          const file = new PowerCutFile('cut.qcow2');
          await createQcow2(file, { sizeBytes: SIZE, ...options });
          const image = await openStamped(file);
          let left = 20 + random(400);
          file.before = () => {
            if (left-- <= 0) throw new Cut('power cut');
          };
          const { allowed, taken, busyWith } = await work(image, random, 60, snapshots);
          const after = file.afterPowerCut(random);
          const where = `${name}, seed ${seed}`;
          const { image: reopened, bytes, view } = await readAfterCut(after, where);
          for (let s = 0; s < SECTORS; s++) {
            const got = view.getUint32(s * SECTOR);
            if (!allowed[s]!.has(got) || view.getUint32(s * SECTOR + 508) !== got)
              expect.fail(`${where}: sector ${s} holds ${got}, ${[...allowed[s]!].join(' or ')} was promised`);
          }
          if (snapshots) {
            const there = (await readSnapshots(reopened)).entries.map((entry) => entry.name);
            for (const entry of taken.keys()) if (entry !== busyWith) expect(there, where).toContain(entry);
            for (const entry of there) {
              const want = taken.get(entry);
              if (!want) continue;
              await revertToSnapshot(reopened, entry);
              await reopened.read(0, bytes);
              for (let s = 0; s < SECTORS; s++) expect(view.getUint32(s * SECTOR), `${where}: ${entry}, sector ${s}`).toBe(want[s]);
            }
          }
          if (seed % 20 === 0) {
            const host = path.join(scratch(), 'a.qcow2');
            writeFileSync(host, after);
            // Leaks are all that it mends.
            const theirs = qemuCheck(host, 'qcow2', 'leaks');
            expect(theirs, `${where}: ${theirs.text}`).toMatchObject({ errors: 0, corruptions: 0 });
          }
        }
      });
});
