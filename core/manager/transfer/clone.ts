/** Copies of machines: full ones, and linked ones whose disks lie on top of the original's. */
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Drive, VmConfig } from '../../contract/vm.ts';
import { convertImage } from '../../platform/convertimage.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { allocatedBytes, copyImage } from '../../platform/diskfile.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { renewedCards } from '../macs.ts';
import { freeFileName } from '../names.ts';
import { SNAPSHOTS_FOLDER } from '../snapshots/store.ts';
import { readImageFacts } from '../storage/headers.ts';
import type { TaskControl } from '../tasks.ts';
import { isInside, plainPaths } from './inside.ts';

export interface CloneSource {
  folder: string;
  config: VmConfig;
}

export interface NewMachine {
  name: string;
  /** An address for a network card that no machine has. */
  newMac(): string;
  /** Opens encrypted disks, and those of the new machine. */
  passphrase?: string | undefined;
}

export interface CloneOptions extends NewMachine {
  locks: ImageLocks;
  control: TaskControl;
}

/** What a new machine has of its own: another id, and nothing that two machines can't have at the same time. */
export function newConfig(config: VmConfig, { name, newMac }: NewMachine, drives: Drive[], boot: VmConfig['boot']): VmConfig {
  return {
    ...config,
    id: randomUUID(),
    name,
    createdAt: new Date().toISOString(),
    template: false,
    // Two machines for one that starts by itself is nobody's wish.
    autostart: null,
    drives,
    boot,
    // A port or a socket serves one machine.
    display: { ...config.display, listen: null },
    debug: { gdb: null, wait: false },
    network: renewedCards(config.network, newMac),
  };
}

/** Both machines would write to it, or it lies in the folder that is not the new machine's. */
const needsCopy = (drive: Drive) => drive.path !== null && (isInside(drive.path) || (!drive.readOnly && drive.kind !== 'cdrom'));

/** Writes copies of everything that the machine needs of its own into `target`; gives the configuration of the new machine. */
export async function copyMachine(source: CloneSource, target: string, options: CloneOptions, taken: string[] = []): Promise<VmConfig> {
  const { folder } = source;
  const config = plainPaths(source.config, folder);
  const jobs: { from: string; to: string; drive: Drive | undefined; bytes: number }[] = [];
  const plan = async (file: string, drive?: Drive) => {
    const from = path.resolve(folder, file);
    const to = freeFileName(path.basename(file), taken);
    taken.push(to);
    jobs.push({ from, to, drive, bytes: await allocatedBytes(from) });
    return to;
  };
  const drives: Drive[] = [];
  for (const drive of config.drives) drives.push(needsCopy(drive) ? { ...drive, path: await plan(drive.path!, drive) } : drive);
  const { kernel } = config.boot;
  const own = async (file: string) => (isInside(file) ? plan(file) : file);
  const boot = kernel
    ? {
        ...config.boot,
        kernel: { ...kernel, path: await own(kernel.path), initrd: kernel.initrd === null ? null : await own(kernel.initrd) },
      }
    : config.boot;
  const total = jobs.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const { from, to, drive, bytes } of jobs) {
    const lock = options.locks.acquire(from, true, options.name);
    try {
      const progress = (done: number, of: number) =>
        options.control.bytes(before + (of ? (done / of) * bytes : 0), total, path.basename(from));
      const file = path.join(target, to);
      // With what lies below it: the copy stands by itself.
      if (drive?.kind === 'disk' && drive.format !== 'raw') {
        // The copy of a secret is none the less one.
        const sealed = (await readImageFacts(from)).encrypted ? options.passphrase : undefined;
        await convertImage({
          from: { path: from, format: drive.format, passphrase: options.passphrase },
          to: { path: file, format: drive.format, passphrase: sealed },
          signal: options.control.signal,
          progress,
        });
      } else await copyImage(from, file, options.control.signal, progress);
    } finally {
      lock.dispose();
    }
    before += bytes;
  }
  return newConfig(config, options, drives, boot);
}

/** Throws 'unsupported' when the machine can't share its disks, naming why. */
export async function refuseLinked({ folder, config }: CloneSource): Promise<void> {
  const refuse = (why: 'noLinkedDisk' | 'noLinkedSnapshots') =>
    new HypervueError(
      'unsupported',
      say(why, { name: config.name }),
      { object: config.name, operation: 'linked clone' },
      say('fixFullClone'),
    );
  const disks = config.drives.filter(({ kind }) => kind === 'disk');
  if (disks.length === 0) throw refuse('noLinkedDisk');
  const kept = await readdir(path.join(folder, SNAPSHOTS_FOLDER), { withFileTypes: true }).catch(() => []);
  if (!config.template && kept.some((entry) => entry.isDirectory())) throw refuse('noLinkedSnapshots');
  for (const { path: file } of disks) {
    const facts = await readImageFacts(path.resolve(folder, file!));
    if (facts.snapshots && !config.template) throw refuse('noLinkedSnapshots');
  }
}

/**
 * New images in `target`, a folder of the library, on top of the disks of the machine, which are not to change from now on. They name the images below
 * relative to their folder, so that the library can be moved as a whole. `taken` are file names, those of the new images among them afterwards.
 * On top of an encrypted disk the new one is encrypted with the same `passphrase`.
 */
export async function linkDisks(source: CloneSource, target: string, taken: string[], passphrase: string | undefined): Promise<Drive[]> {
  const drives: Drive[] = [];
  for (const drive of source.config.drives) {
    if (drive.kind !== 'disk' || drive.path === null || drive.readOnly) {
      drives.push(drive);
      continue;
    }
    const base = path.resolve(source.folder, drive.path);
    const facts = await readImageFacts(base);
    const sizeBytes = drive.format === 'raw' ? (facts.sizeBytes ?? (await allocatedBytes(base))) : facts.sizeBytes;
    if (!sizeBytes) throw new HypervueError('corrupt', say('baseNoSize', { base }), { path: base });
    const to = freeFileName(`${path.basename(drive.path).replace(/\.[a-z0-9]{1,8}$/i, '')}.qcow2`, taken);
    taken.push(to);
    await createDisk(path.join(target, to), {
      format: 'qcow2',
      sizeBytes: Math.ceil(sizeBytes / 512) * 512,
      backingFile: isInside(drive.path) ? path.relative(target, base) : base,
      backingFormat: drive.format,
      passphrase: drive.format === 'qcow2' && facts.encrypted ? passphrase : undefined,
    });
    drives.push({ ...drive, path: to, format: 'qcow2' });
  }
  return drives;
}

/** A machine in `target` whose disks lie on top of the source's; everything else it needs is copied. */
export async function linkMachine(source: CloneSource, target: string, options: CloneOptions): Promise<VmConfig> {
  const taken: string[] = [];
  const linked = await linkDisks(source, target, taken, options.passphrase);
  const rest = { ...source.config, drives: source.config.drives.filter((drive) => drive.kind !== 'disk' || drive.readOnly) };
  const copied = await copyMachine({ ...source, config: rest }, target, options, taken);
  const byId = new Map(copied.drives.map((drive) => [drive.id, drive]));
  return { ...copied, drives: linked.map((drive) => byId.get(drive.id) ?? drive) };
}
