import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { BlockBackend } from '../../../core/backend/block.ts';
import { checkImage } from '../../../core/disk/qcow2/check.ts';
import { Qcow2Image, readHeader } from '../../../core/disk/qcow2/image.ts';
import { createSnapshot, readSnapshots, revertToSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { nodeCodec } from '../../../core/platform/diskcodec.ts';
import { HypervueError } from '../../../core/util/errors.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuImg, scratch } from './support/qemu.ts';
import { PowerCutFile } from './support/powercutfile.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const ROUNDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1) * 120;
/** A file that grows beyond this follows a number from the image. */
const MOST_FILE = 64 * MIB;

class BoundedFile extends PowerCutFile {
  override write(offset: number, source: Uint8Array): Promise<void> {
    if (offset + source.length > MOST_FILE) throw new HypervueError('no-space', 'the file would grow without bound');
    return super.write(offset, source);
  }
  override truncate(bytes: number): Promise<void> {
    if (bytes > MOST_FILE) throw new HypervueError('no-space', 'the file would grow without bound');
    return super.truncate(bytes);
  }
}

const zeros: BlockBackend = {
  info: { sizeBytes: MIB, readOnly: true, label: 'zeros' },
  read: async (_offset, target) => void target.fill(0),
  write: () => Promise.reject(new Error('written')),
  flush: async () => {},
  close: async () => {},
};

/** Where an image's header says that its bitmaps are listed; 0 where it has none. */
function bitmapDirectory(view: DataView): number {
  for (let at = 104 + 8, n = 0; n < 20 && at + 32 <= view.byteLength; n++) {
    const type = view.getUint32(at);
    if (type === 0x2385_2875) return Number(view.getBigUint64(at + 24));
    at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8;
  }
  return 0;
}

/** Everything one can do with an image; any HypervueError is a good answer. */
async function use(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const file = new BoundedFile('hostile.qcow2', bytes);
  const steps: ((image: Qcow2Image) => Promise<unknown>)[] = [
    async (image) => {
      const target = new Uint8Array(Math.min(4 * MIB, image.info.sizeBytes));
      await image.read(0, target);
    },
    (image) => readSnapshots(image),
    (image) => checkImage(image, { repair: 'none' }),
    (image) => image.write(0, new Uint8Array(Math.min(200_192, image.info.sizeBytes)).fill(1)),
    (image) => image.discard(0, Math.min(MIB, image.info.sizeBytes)),
    (image) => createSnapshot(image, 'x', { seconds: 1, nanoseconds: 0 }),
    (image) => revertToSnapshot(image, 'x'),
    (image) => image.resize(8 * MIB),
    (image) => checkImage(image, { repair: 'all' }),
    (image) => image.flush(),
    (image) => image.close(),
  ];
  let answer = 'worked';
  const good = (error: unknown) => {
    if (!(error instanceof HypervueError)) throw error;
    answer = error.kind;
  };
  for (const forRepair of [false, true]) {
    const copy = new BoundedFile('hostile.qcow2', bytes);
    let image: Qcow2Image;
    try {
      const header = await readHeader(forRepair ? copy : file);
      image = await Qcow2Image.open(forRepair ? copy : file, header, {
        codec: nodeCodec,
        readOnly: false,
        forRepair,
        ...(header.backingFile === undefined ? {} : { backing: zeros }),
      });
    } catch (error) {
      good(error);
      continue;
    }
    for (const step of steps) await step(image).catch(good);
  }
  return answer;
}

it('damaged images of every kind give an answer: no crash, hang, wild write or unbounded growth', async () => {
  const folder = scratch();
  const samples: Uint8Array<ArrayBuffer>[] = [];
  for (const [i, options] of [{}, { clusterSize: 4096 }, { extendedL2: true, clusterSize: 16384 }, { version: 2 as const }].entries()) {
    const file = path.join(folder, `${i}.qcow2`);
    await createImage(file, { sizeBytes: 2 * MIB, ...options });
    const image = await openQcow2(file);
    const model = new DiskModel(new Uint8Array(2 * MIB), randomNumbers(i + 1));
    for (let n = 0; n < 20; n++) await model.step(image);
    await createSnapshot(image, 'one', { seconds: 1, nanoseconds: 0 });
    for (let n = 0; n < 10; n++) await model.step(image);
    await image.close();
    if (options.version !== 2) {
      qemuImg('bitmap', '--add', '-g', '65536', file, 'tracking');
      qemuImg('bitmap', '--add', '-g', '65536', '--disable', file, 'another');
    }
    samples.push(new Uint8Array(readFileSync(file)));
  }
  const random = randomNumbers(4242);
  const answers = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const sample = samples[random(samples.length)]!;
    let bytes = sample.slice();
    const view = new DataView(bytes.buffer);
    const cluster = 2 ** view.getUint32(20);
    const tables = [0, Number(view.getBigUint64(40)), Number(view.getBigUint64(48)), Number(view.getBigUint64(64))];
    const l1 = Number(view.getBigUint64(tables[1]!) & 0x00ff_ffff_ffff_fe00n);
    if (l1) tables.push(l1);
    const bitmaps = bitmapDirectory(view);
    // The directory, and the table that its first entry has.
    if (bitmaps) tables.push(bitmaps, Number(view.getBigUint64(bitmaps)));
    for (let n = 0; n < 1 + random(4); n++) {
      const table = tables[random(tables.length)]!;
      const at = Math.min(table + random(table === 0 ? 200 : Math.min(cluster, 512)), bytes.length - 8);
      switch (random(4)) {
        case 0:
          bytes[at] = random(256);
          break;
        case 1:
          view.setUint32(at & ~3, [0, 1, 0x7fffffff, 0x80000000, 0xffffffff][random(5)]!);
          break;
        case 2:
          // Another table's place, or one behind the end.
          view.setBigUint64(
            at & ~7,
            BigInt(random(2) ? tables[random(tables.length)]! : bytes.length + cluster * random(100)) | (BigInt(random(2)) << 63n),
          );
          break;
        default:
          bytes[at]! ^= 1 << random(8);
      }
    }
    if (random(8) === 0) bytes = bytes.slice(0, random(bytes.length));
    const limit = new Promise<never>((_, reject) => {
      const timer = setTimeout(() => reject(new Error(`round ${round} hangs`)), 60_000);
      timer.unref();
    });
    const answer = await Promise.race([use(bytes), limit]).catch((error) => {
      throw new Error(`round ${round}: ${(error as Error).stack}`);
    });
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  // The damage is of all degrees.
  expect(answers.get('worked')).toBeGreaterThan(0);
  expect(answers.get('corrupt')).toBeGreaterThan(0);
}, 600_000);
