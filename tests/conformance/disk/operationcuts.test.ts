import { describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../core/backend/block.ts';
import { commitInto } from '../../../core/disk/operations/commit.ts';
import { reclaimInPlace } from '../../../core/disk/operations/compact.ts';
import { PaddedDisk, rebaseOnto } from '../../../core/disk/operations/rebase.ts';
import { checkImage } from '../../../core/disk/qcow2/check.ts';
import { createQcow2, type Qcow2Options } from '../../../core/disk/qcow2/create.ts';
import { Qcow2Image, readHeader } from '../../../core/disk/qcow2/image.ts';
import { nodeCodec } from '../../../core/platform/diskcodec.ts';
import { PowerCutFile } from './support/powercutfile.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1) * 4;
const SIZE = 1 << 20;

class Cut extends Error {}

const open = async (file: PowerCutFile, backing?: BlockBackend, forRepair = false) =>
  Qcow2Image.open(file, await readHeader(file), { codec: nodeCodec, readOnly: false, forRepair, ...(backing ? { backing } : {}) });

/** A new image with random contents; the file forgets what came before. */
async function filled(name: string, options: Qcow2Options, bytes: Uint8Array, random: (below: number) => number, backing?: BlockBackend) {
  const file = new PowerCutFile(name);
  await createQcow2(file, options);
  const image = await open(file, backing);
  const model = new DiskModel(bytes, random);
  for (let i = 0; i < 30; i++) await model.step(image);
  await image.flush();
  await image.flush();
  return file;
}

async function contents(disk: BlockBackend): Promise<Uint8Array> {
  const bytes = new Uint8Array(SIZE);
  await disk.read(0, bytes.subarray(0, disk.info.sizeBytes));
  return bytes;
}

async function expectSound(image: Qcow2Image, where: string): Promise<void> {
  const report = await checkImage(image, { repair: 'none' });
  expect(report.errors, `${where}: ${report.messages.join('\n')}`).toBe(0);
}

const variants: [string, Partial<Qcow2Options>][] = [
  ['64 KiB', {}],
  ['4 KiB', { clusterSize: 4096 }],
  ['512 bytes', { clusterSize: 512 }],
  ['version 2', { version: 2 }],
  ['extended L2', { extendedL2: true, clusterSize: 16384 }],
];

describe('operations on images when the power goes', () => {
  for (const [name, options] of variants)
    it(`${name}: the overlay reads as before, and nothing but leaks is wrong`, async () => {
      let finished = 0;
      for (let seed = 1; seed <= SEEDS; seed++)
        for (const operation of ['commit', 'rebase', 'compact'] as const) {
          const where = `${name}, ${operation}, seed ${seed}`;
          const random = randomNumbers(seed * 6007 + name.length + operation.length * 31);
          const baseBytes = new Uint8Array(SIZE);
          const base = await filled('base.qcow2', { sizeBytes: SIZE }, baseBytes, random);
          const otherBytes = new Uint8Array(SIZE);
          const other = await filled('other.qcow2', { sizeBytes: SIZE }, otherBytes, random);
          const want = baseBytes.slice();
          const link = { backingFile: 'base.qcow2', backingFormat: 'qcow2' };
          const top = await filled('top.qcow2', { sizeBytes: SIZE, ...options, ...link }, want, random, await open(base));

          let left = 1 + random([8, 16, 30, 80][random(4)]!);
          for (const file of [base, top])
            file.before = () => {
              if (left-- <= 0) throw new Cut('power cut');
            };
          const below = await open(base);
          const image = await open(top, operation === 'rebase' ? new PaddedDisk(below, SIZE) : below);
          try {
            if (operation === 'commit') await commitInto(image, below);
            else if (operation === 'rebase')
              await rebaseOnto(image, await open(other), { name: `${'x'.repeat(random(60))}other`, format: 'qcow2' });
            else await reclaimInPlace(image);
            await image.flush();
            finished++;
          } catch (error) {
            if (!(error instanceof Cut)) throw error;
          }

          const baseAfter = new PowerCutFile('base.qcow2', base.afterPowerCut(random));
          const topAfter = new PowerCutFile('top.qcow2', top.afterPowerCut(random));
          const lower = await open(baseAfter, undefined, true);
          await expectSound(lower, `${where}, below`);
          const { backingFile } = await readHeader(topAfter);
          expect(
            backingFile === 'base.qcow2' || (operation === 'rebase' && /^x*other$/.test(backingFile!)),
            `${where}: ${backingFile}`,
          ).toBe(true);
          const reopened = await open(topAfter, backingFile === 'base.qcow2' ? lower : await open(other), true);
          await expectSound(reopened, where);
          expect(Buffer.compare(await contents(reopened), want), where).toBe(0);
        }
      // Some cuts come too late, most do not.
      expect(finished).toBeLessThan(SEEDS * 2.75);
    });
});
