import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import type { ImageFormat } from '../../contract/vm.ts';
import type { TaskOptions } from '../../disk/task.ts';
import { writeVmdk } from '../../disk/vmdk/write.ts';
import { nodeCodec } from '../diskcodec.ts';
import { createExclusive } from '../diskfile.ts';
import { makeFile } from '../newfile.ts';
import { NodeFile } from '../nodefile.ts';
import { openImage } from '../openimage.ts';
import { digestOf } from './manifest.ts';
import { type OvfDescription, writeOvf } from './ovfwrite.ts';
import { TAR_BLOCK, tarHeader, WindowFile } from './tar.ts';

export interface ExportOvaOptions extends TaskOptions {
  machine: Omit<OvfDescription, 'disks'>;
  disks: { path: string; format: ImageFormat }[];
  /** Opens encrypted disks. They are not encrypted in the package. */
  passphrase?: string | undefined;
}

const up = (bytes: number): number => Math.ceil(bytes / TAR_BLOCK) * TAR_BLOCK;

/**
 * Writes a machine as one OVA file: descriptor, manifest (SHA-256), disks as streamOptimized VMDK. Never overwrites; it appears whole or not at all.
 */
export async function exportOva(file: string, options: ExportOvaOptions): Promise<void> {
  await makeFile(file, async (temporary) => {
    await (await createExclusive(temporary)).close();
    const target = await NodeFile.open(temporary, false);
    try {
      await write(target, path.basename(file).replace(/\.ova$/i, ''), options);
      await target.sync();
    } finally {
      await target.close();
    }
  });
}

async function write(target: NodeFile, label: string, options: ExportOvaOptions): Promise<void> {
  // Names in the archive are plain: other programs are particular about them.
  const base =
    label
      .normalize('NFKD')
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[-.]+/, '')
      .slice(0, 60) || 'machine';
  const disks = options.disks.map((disk, i) => ({
    ...disk,
    name: `${base}-disk${i + 1}.vmdk`,
    fileBytes: 0,
    capacityBytes: 0,
    digest: '0'.repeat(64),
  }));
  const ovfName = `${base}.ovf`;
  const sources = await sizesOf(disks, options.passphrase);
  disks.forEach((disk, i) => {
    disk.capacityBytes = sources[i]!;
  });
  const total = sources.reduce((sum, bytes) => sum + bytes, 0) || 1;
  const descriptor = () =>
    Buffer.from(
      writeOvf({
        ...options.machine,
        disks: disks.map(({ name, fileBytes, capacityBytes }) => ({ file: name, fileBytes, capacityBytes })),
      }),
    );
  const manifest = (ovf: string) =>
    Buffer.from([`SHA256(${ovfName})= ${ovf}`, ...disks.map(({ name, digest }) => `SHA256(${name})= ${digest}`), ''].join('\n'));
  // Sizes and digests come later; the room that they take is known.
  const ovfAt = TAR_BLOCK;
  const ovfBytes = descriptor().length;
  const manifestAt = ovfAt + up(ovfBytes) + TAR_BLOCK;
  const manifestBytes = manifest('0'.repeat(64)).length;
  let at = manifestAt + up(manifestBytes);
  let done = 0;
  for (const disk of disks) {
    const window = new WindowFile(target, disk.name, at + TAR_BLOCK, 0);
    const source = await openImage(disk.path, { readOnly: true, format: disk.format, passphrase: options.passphrase });
    try {
      await writeVmdk(source, window, {
        subformat: 'streamOptimized',
        codec: nodeCodec,
        name: disk.name,
        contentId: (randomBytes(4).readUInt32BE() >>> 1).toString(16).padStart(8, '0'),
        signal: options.signal,
        progress: (bytes) => options.progress?.(done + bytes, total),
      });
    } finally {
      await source.close();
    }
    done += disk.capacityBytes;
    disk.fileBytes = await window.size();
    disk.digest = await digestOf(window, 'sha256', { signal: options.signal });
    await target.write(at, tarHeader(disk.name, disk.fileBytes));
    at += TAR_BLOCK + up(disk.fileBytes);
  }
  const ovf = descriptor();
  await target.write(0, tarHeader(ovfName, ovf.length));
  await target.write(ovfAt, ovf);
  await target.write(manifestAt - TAR_BLOCK, tarHeader(`${base}.mf`, manifestBytes));
  await target.write(manifestAt, manifest(createHash('sha256').update(ovf).digest('hex')));
  // Two blocks of zeros end an archive.
  await target.truncate(at + 2 * TAR_BLOCK);
}

async function sizesOf(disks: readonly { path: string; format: ImageFormat }[], passphrase: string | undefined): Promise<number[]> {
  const sizes: number[] = [];
  for (const disk of disks) {
    const source = await openImage(disk.path, { readOnly: true, format: disk.format, passphrase });
    sizes.push(source.info.sizeBytes);
    await source.close();
  }
  return sizes;
}
