/** Tables longer than what one refcount block counts, which clusters of 512 bytes have early: the L1 table and the refcount table itself. */
import path from 'node:path';
import { expect, it } from 'vitest';
import { createSnapshot, revertToSnapshot } from '../../../core/disk/qcow2/snapshots.ts';
import { createImage, openQcow2 } from './support/images.ts';
import { qemuCheck, qemuImg, qemuIo, scratch } from './support/qemu.ts';

const MIB = 1 << 20;
const clean = (file: string) => expect(qemuCheck(file)).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });

for (const refcountBits of [16, 64])
  it(`a disk of 700 MiB grows to 900 MiB and has snapshots, refcounts of ${refcountBits} bits`, async () => {
    const file = path.join(scratch(), 'a.qcow2');
    await createImage(file, { sizeBytes: 700 * MIB, clusterSize: 512, refcountBits });
    clean(file);
    const image = await openQcow2(file);
    await image.write(699 * MIB, new Uint8Array(MIB).fill(1));
    await createSnapshot(image, 'one', { seconds: 1, nanoseconds: 0 });
    await image.write(699 * MIB, new Uint8Array(MIB).fill(2));
    await image.resize(900 * MIB);
    await image.write(899 * MIB, new Uint8Array(MIB).fill(3));
    await image.close();
    clean(file);
    qemuIo(file, 'qcow2', 'read -P 2 699M 1M', 'read -P 3 899M 1M');
    const again = await openQcow2(file);
    await revertToSnapshot(again, 'one');
    expect(again.info.sizeBytes).toBe(700 * MIB);
    await again.close();
    clean(file);
    qemuIo(file, 'qcow2', 'read -P 1 699M 1M');
  });

it('the refcount table grows past what one block counts', async () => {
  const file = path.join(scratch(), 'a.qcow2');
  const bytes = 128 * MIB;
  // A block counts 64 clusters, and 64 clusters hold the table of 128 MiB.
  await createImage(file, { sizeBytes: bytes, clusterSize: 512, refcountBits: 64 });
  const image = await openQcow2(file);
  for (let at = 0; at < bytes; at += 4 * MIB) await image.write(at, new Uint8Array(4 * MIB).fill(1 + (at >> 22)));
  await image.close();
  clean(file);
  const raw = path.join(path.dirname(file), 'a.raw');
  qemuImg('convert', '-O', 'raw', file, raw);
  qemuIo(raw, 'raw', ...Array.from({ length: bytes / (4 * MIB) }, (_, i) => `read -P ${1 + i} ${i * 4}M 4M`));
});
