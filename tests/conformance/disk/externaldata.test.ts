/** qcow2 images whose data are in another file; with `data_file_raw` that file is the disk by itself, byte by byte. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { createSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, scratch } from './support/qemu.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';

const MIB = 1 << 20;
const SEEDS = Number(process.env.HYPERVUE_DISK_SEEDS ?? 1);

for (const [name, options, raw] of [
  ['raw', 'data_file_raw=on', true],
  ['raw, clusters of 4 KiB', 'data_file_raw=on,cluster_size=4k', true],
  ['raw, extended L2', 'data_file_raw=on,extended_l2=on,cluster_size=16k', true],
  ['raw, preallocated', 'data_file_raw=on,preallocation=metadata', true],
  ['clusters anywhere', 'data_file_raw=off', false],
  ['clusters anywhere, 512 bytes', 'data_file_raw=off,cluster_size=512', false],
] as [string, string, boolean][])
  it.each(Array.from({ length: SEEDS }, (_, i) => i))(
    `external data, ${name}, seed %i: random operations and sizes give what QEMU reads`,
    async (seed) => {
      const folder = scratch();
      const file = path.join(folder, 'a.qcow2');
      const data = path.join(folder, 'a.data');
      let size = 4 * MIB;
      qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${data},${options}`, file, String(size));
      const random = randomNumbers(seed * 7919 + name.length);
      let bytes: Uint8Array = new Uint8Array(size);
      for (const next of [4, 5, 3, 6, 6]) {
        const image = await openQcow2(file);
        if (next * MIB !== size) {
          size = next * MIB;
          await image.resize(size);
          const now = new Uint8Array(size);
          now.set(bytes.subarray(0, size));
          bytes = now;
        }
        const model = new DiskModel(bytes, random);
        for (let i = 0; i < 40; i++) await model.step(image);
        const got = new Uint8Array(size);
        await image.read(0, got);
        expect(Buffer.compare(got, bytes)).toBe(0);
        await image.close();
        expect(qemuCheck(file)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
        const out = path.join(folder, 'out.raw');
        qemuImg('convert', '-O', 'raw', file, out);
        expect(Buffer.compare(readFileSync(out), bytes)).toBe(0);
        if (raw) expect(Buffer.compare(readFileSync(data), bytes)).toBe(0);
      }
      const image = await openQcow2(file);
      await expect(createSnapshot(image, 's', { seconds: 1, nanoseconds: 0 })).rejects.toMatchObject({
        kind: 'unsupported',
        fix: expect.stringContaining('qcow2'),
      });
      await image.close();
    },
  );
