import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { CpuModel } from '../contract/cpumodels.ts';
import { defaultBus } from '../contract/defaultbus.ts';
import { type DriveBus, freePlace } from '../contract/drives.ts';
import { checkConfig } from './configrules.ts';
import { type DiskFormat, type Drive, isDiskFormat, type VmConfig, type VmCreate, vmConfigSchema } from '../contract/vm.ts';
import { syncFolder } from '../platform/atomicfile.ts';
import { convertImage } from '../platform/convertimage.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import { copyImage } from '../platform/diskfile.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { acquireLock, livingOwner } from '../platform/locks.ts';
import { CREATOR_LOCK, UNFINISHED } from '../platform/newfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { imageFormat, machineFormat } from '../platform/openimage.ts';
import type { Disposable } from '../util/disposable.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { folderName, freeName } from './names.ts';
import { readImageFacts } from './storage/headers.ts';
import type { TaskControl } from './tasks.ts';
import { writeVmConfig } from './vmconfigfile.ts';

export interface CreateParts {
  library: string;
  sampleImage: string;
  /** Of the medium, as far as it says. */
  os: string;
  /** What the table of systems says of the medium's system. */
  knownBus?: DriveBus | undefined;
  /** Of a new disk when the caller does not say. */
  diskFormat: DiskFormat;
  /** When the request names none. */
  cpuModel: CpuModel;
  locks: ImageLocks;
  /** Runs `publish` while nobody else looks at the library or changes it. */
  exclusively<T>(publish: () => Promise<T>): Promise<T>;
}

/** The format that the machine's disk will have: a copy of an image that can only be read becomes qcow2. */
async function sourceFormatOf(source: { path: string; copy: boolean }): Promise<DiskFormat> {
  if (!source.copy) return machineFormat(source.path);
  const format = await imageFormat(source.path);
  return isDiskFormat(format) ? format : 'qcow2';
}

/** True for an encrypted image whose file is all of it. */
async function isSealed(file: string): Promise<boolean> {
  const { encrypted, backing, dataFile } = await readImageFacts(file);
  return encrypted && backing === null && dataFile === null;
}

/** Boot order and drives of a new machine, with the images that are to be made in its folder. */
function plan(
  create: VmCreate,
  { sampleImage, diskFormat, os, knownBus }: CreateParts,
  formats: { source: DiskFormat; attach: DiskFormat },
) {
  const drives: Drive[] = [];
  const copies: { from: string; to: string; format: DiskFormat }[] = [];
  /** Where the next disk goes; nobody creates a machine with more disks than a bus has places. */
  const place = () =>
    freePlace(
      create.bus ?? defaultBus(create.os ?? os, create.source.type, knownBus),
      drives.map(({ id }) => id),
    )!;
  const disk = (id: Drive['id'], file: string, format: DiskFormat, readOnly = false): Drive => ({
    id,
    kind: 'disk',
    path: file,
    format,
    readOnly,
  });
  const ending = (format: DiskFormat) => (format === 'raw' ? 'img' : format);
  let images = 0;
  /** Names of images in the machine's folder: disk.qcow2, disk2.img. */
  const imageName = (format: DiskFormat) => `disk${++images > 1 ? images : ''}.${ending(format)}`;
  const existing = (from: { path: string; copy: boolean; readOnly: boolean }, format: DiskFormat) => {
    const name = imageName(format);
    const file = from.copy ? name : from.path;
    if (from.copy) copies.push({ from: from.path, to: file, format });
    drives.push(disk(place(), file, format, from.readOnly));
  };
  const { source } = create;
  let order: VmConfig['boot']['order'] = ['disk', 'cdrom', 'floppy'];
  let disc: string | null = null;
  let kernel: VmConfig['boot']['kernel'] = null;
  switch (source.type) {
    case 'iso':
      disc = source.path;
      order = ['cdrom', 'disk', 'floppy'];
      break;
    case 'floppy':
      // Read-only, so that no guest changes the user's image and several machines can start from it.
      drives.push({ id: 'fd0', kind: 'floppy', path: source.path, format: 'raw', readOnly: true });
      order = ['floppy', 'disk', 'cdrom'];
      break;
    case 'sample':
      // It starts from a floppy too; as a disk it has one to show on its disk page, and to write to.
      copies.push({ from: sampleImage, to: 'check.img', format: 'raw' });
      drives.push(disk('ide0', 'check.img', 'raw'));
      break;
    case 'disk':
      existing(source, formats.source);
      break;
    case 'kernel':
      kernel = { path: source.path, initrd: source.initrd, cmdline: source.cmdline };
      break;
    case 'blank':
      order = ['cdrom', 'disk', 'floppy'];
      break;
  }
  const newFormat = create.newDisk?.format ?? diskFormat;
  if (create.attach) existing(create.attach, formats.attach);
  const newDisk = create.newDisk ? imageName(newFormat) : '';
  if (create.newDisk) drives.push(disk(place(), newDisk, newFormat));
  drives.push({ id: 'ide2', kind: 'cdrom', path: disc, format: 'raw', readOnly: true });
  return { drives, copies, order, kernel, newDisk, newFormat };
}

/**
 * Makes the folder of a new machine. It is built aside and renamed into place, so that it appears whole or not at all; a failure or a cancel
 * removes everything made. `take` gets the machine in the same exclusive turn that shows its folder in the library.
 */
export async function createVm<T>(
  create: VmCreate,
  parts: CreateParts,
  control: TaskControl,
  take: (folder: string, config: VmConfig) => T,
): Promise<T> {
  const { library } = parts;
  const formats = {
    source: create.source.type === 'disk' ? await sourceFormatOf(create.source) : ('raw' as const),
    attach: create.attach ? await sourceFormatOf(create.attach) : ('raw' as const),
  };
  const { drives, copies, order, kernel, newDisk, newFormat } = plan(create, parts, formats);
  const config = vmConfigSchema.parse({
    schema: 1,
    id: randomUUID(),
    name: create.name,
    description: create.description ?? '',
    createdAt: new Date().toISOString(),
    os: create.os ?? parts.os,
    cpu: { model: create.cpuModel ?? parts.cpuModel },
    memoryMiB: create.memoryMiB,
    firmware: create.firmware ?? 'bios',
    boot: { order, menu: create.bootMenu ?? false, kernel },
    drives,
    display: { vramMiB: create.vramMiB ?? 16, listen: create.listen ?? null },
    serial: [{ type: 'console' }, { type: 'none' }],
  });
  checkConfig(config);
  const building = path.join(library, `${UNFINISHED}${config.id}`);
  const cancelled = () => {
    if (control.signal.aborted)
      throw control.signal.reason ?? new HypervueError('cancelled', 'creating the machine was cancelled', { object: create.name });
  };
  let lock: Disposable | undefined;
  try {
    lock = acquireLock(`${building}${CREATOR_LOCK}`, create.name, create.name);
    await mkdir(building, { mode: 0o700 });
    for (const { from, to, format } of copies) {
      // Nobody may write to an image in the middle of its copy.
      const source = parts.locks.acquire(from, true, create.name);
      try {
        const target = path.join(building, to);
        const progress = (done: number, total: number) => control.bytes(done, total, from);
        // An encrypted image that stands by itself is copied as it is: nobody has to open it for that.
        if (format === 'raw' || (await isSealed(from))) await copyImage(from, target, control.signal, progress);
        // With what lies below it: the copy stands by itself.
        else await convertImage({ from: { path: from }, to: { path: target, format }, signal: control.signal, progress });
      } finally {
        source.dispose();
      }
    }
    cancelled();
    if (create.newDisk) {
      const { sizeBytes, passphrase } = create.newDisk;
      await createDisk(path.join(building, newDisk), { format: newFormat, sizeBytes, passphrase });
    }
    await writeVmConfig(building, config);
    return await parts.exclusively(async () => {
      cancelled();
      return take(await moveIntoLibrary(building, library, folderName(create.name)), config);
    });
  } catch (error) {
    await rm(building, { recursive: true, force: true }).catch(() => {});
    throw error instanceof HypervueError ? error : asHypervueError(fileError(error, building, 'create'));
  } finally {
    lock?.dispose();
  }
}

/** Renames `from` to a free folder name in the library; returns its new path. */
export async function moveIntoLibrary(from: string, library: string, wanted: string): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const folder = path.join(library, freeName(wanted, await readdir(library)));
    try {
      await rename(from, folder);
    } catch (error) {
      // Somebody else took the name meanwhile.
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EEXIST' && code !== 'ENOTEMPTY' && code !== 'ENOTDIR') throw fileError(error, from, 'rename');
      continue;
    }
    // It is there; that it survives a power cut can only be hoped for when this fails.
    await syncFolder(library).catch(() => {});
    return folder;
  }
  throw new HypervueError('already-exists', `no free folder name for ${wanted} in ${library}`, { path: library });
}

/** Removes from a library or a pool what a manager that died in the middle of creating left behind; what can't be removed stays. */
export async function removeUnfinished(library: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(library).catch(() => [])) {
    if (!name.startsWith(UNFINISHED)) continue;
    const place = path.join(library, name);
    const lock = name.endsWith(CREATOR_LOCK) ? place : `${place}${CREATOR_LOCK}`;
    try {
      if (livingOwner(lock)) continue;
      await rm(place, { recursive: true, force: true });
      if (place !== lock) removed.push(place);
    } catch {
      // Tried again at the next start.
    }
  }
  return removed;
}
