/** Machines made from a snapshot of another: with copies of its disks as they were then, or with disks on top of them. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { VmConfig } from '../../contract/vm.ts';
import { convertImage } from '../../platform/convertimage.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { makeFile } from '../../platform/newfile.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { freeFileName } from '../names.ts';
import { readImageFacts } from '../storage/headers.ts';
import { type CloneOptions, type CloneSource, newConfig, type NewMachine } from './clone.ts';
import { isInside, plainPaths } from './inside.ts';

export interface SnapshotSource extends CloneSource {
  /** Of the snapshot. */
  id: string;
  disks: readonly { drive: string; path: string }[];
  /** What the snapshot is called inside the images. */
  tag: string;
}

/** Options that both ways need. */
type Options = Omit<CloneOptions, 'locks'>;

/**
 * The file that holds a disk as it was in a snapshot, for machines that lie on top of it. A snapshot inside an image can't be below another image, so the first such machine has
 * it written, once, into the folder of the original.
 */
export const baseOf = (folder: string, snapshot: string, disk: { drive: string; path: string }): string =>
  path.join(folder, `${stem(disk.path)}-${disk.drive}-${snapshot}.qcow2`);

const stem = (file: string): string => path.basename(file).replace(/\.[a-z0-9]{1,8}$/i, '');

/** Copies of the machine's disks as they were, in `target`; gives the configuration of the new machine. The original may be running. */
export async function copySnapshot(source: SnapshotSource, target: string, options: Options): Promise<VmConfig> {
  const taken: string[] = [];
  const disks = new Map<string, string>();
  for (const { drive, path: file } of source.disks) {
    const to = freeFileName(path.basename(file), taken);
    taken.push(to);
    await copyDisk(source, file, path.join(target, to), options, disks.size);
    disks.set(drive, to);
  }
  return withDisks(source, options, disks);
}

/** Disks in `target`, a folder of the library, on top of the original's as they were. The original may be running and change: what lies below does not. */
export async function linkSnapshot(source: SnapshotSource, target: string, options: Options): Promise<VmConfig> {
  if (source.disks.length === 0)
    throw new HypervueError(
      'unsupported',
      say('noDiskToShare', { name: source.config.name }),
      { object: source.config.name, operation: 'linked clone' },
      say('fixFullCopy'),
    );
  const taken: string[] = [];
  const disks = new Map<string, string>();
  for (const disk of source.disks) {
    const base = baseOf(source.folder, source.id, disk);
    const there = await stat(base).catch(() => undefined);
    if (!there) await makeFile(base, (temporary) => copyDisk(source, disk.path, temporary, options, disks.size));
    const { sizeBytes, encrypted } = await readImageFacts(base);
    if (!sizeBytes) throw new HypervueError('corrupt', say('baseNoSize', { base }), { path: base });
    const to = freeFileName(`${stem(disk.path)}.qcow2`, taken);
    taken.push(to);
    // Relative to its folder, so that the library can be moved as a whole.
    const backingFile = path.relative(target, base);
    const passphrase = encrypted ? options.passphrase : undefined;
    await createDisk(path.join(target, to), { format: 'qcow2', sizeBytes, backingFile, backingFormat: 'qcow2', passphrase });
    disks.set(disk.drive, to);
  }
  return withDisks(source, options, disks);
}

async function copyDisk(
  { folder, disks, tag }: SnapshotSource,
  file: string,
  to: string,
  { control, passphrase }: Options,
  before: number,
): Promise<void> {
  const from = path.resolve(folder, file);
  const sealed = (await readImageFacts(from)).encrypted ? passphrase : undefined;
  await convertImage({
    from: { path: from, format: 'qcow2', snapshot: tag, passphrase },
    to: { path: to, format: 'qcow2', passphrase: sealed },
    signal: control.signal,
    progress: (done, of) => control.progress((before + done / Math.max(1, of)) / disks.length, path.basename(file)),
  });
}

/** The hardware of then with these disks. */
function withDisks({ folder, config: then }: SnapshotSource, made: NewMachine, disks: ReadonlyMap<string, string>): VmConfig {
  const config = plainPaths(then, folder);
  const drives = config.drives.map((drive) => {
    const own = disks.get(drive.id);
    if (own !== undefined) return { ...drive, path: own, format: 'qcow2' as const };
    // What lies in the original's folder and never changes is used where it is.
    return drive.path !== null && isInside(drive.path) ? { ...drive, path: path.resolve(folder, drive.path), readOnly: true } : drive;
  });
  const { kernel } = config.boot;
  const outside = (file: string) => (isInside(file) ? path.resolve(folder, file) : file);
  const boot = kernel
    ? { ...config.boot, kernel: { ...kernel, path: outside(kernel.path), initrd: kernel.initrd === null ? null : outside(kernel.initrd) } }
    : config.boot;
  return newConfig(config, made, drives, boot);
}
