import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Drive, type VmConfig, type VmCreate, vmConfigSchema } from '../contract/vm.ts';
import { syncFolder } from '../platform/atomicfile.ts';
import { copyImage, createRawDisk } from '../platform/diskfile.ts';
import { acquireLock, livingOwner } from '../platform/locks.ts';
import { fileError } from '../platform/nodefile.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { folderName, freeName } from './names.ts';
import type { TaskControl } from './tasks.ts';
import { writeVmConfig } from './vmconfigfile.ts';

/** A machine under construction lies in a folder of this name until it is complete. */
const UNFINISHED = '.creating-';
const CREATOR_LOCK = '.creator';

export interface CreateParts {
  library: string;
  sampleImage: string;
  os: string;
}

/** Boot order and drives of a new machine, with the images that are to be made in its folder. */
function plan(create: VmCreate, sampleImage: string) {
  const drives: Drive[] = [];
  const copies: { from: string; to: string }[] = [];
  const disk = (id: Drive['id'], file: string, readOnly = false): Drive => ({ id, kind: 'disk', path: file, format: 'raw', readOnly });
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
      copies.push({ from: sampleImage, to: 'check.img' });
      drives.push({ id: 'fd0', kind: 'floppy', path: 'check.img', format: 'raw', readOnly: false });
      order = ['floppy', 'disk', 'cdrom'];
      break;
    case 'disk':
      if (source.copy) copies.push({ from: source.path, to: 'disk.img' });
      drives.push(disk('ide0', source.copy ? 'disk.img' : source.path, source.readOnly));
      break;
    case 'kernel':
      kernel = { path: source.path, initrd: source.initrd, cmdline: source.cmdline };
      break;
    case 'blank':
      order = ['cdrom', 'disk', 'floppy'];
      break;
  }
  const newDisk = source.type === 'disk' ? 'disk2.img' : 'disk.img';
  if (create.newDisk) drives.push(disk(source.type === 'disk' ? 'ide1' : 'ide0', newDisk));
  drives.push({ id: 'ide2', kind: 'cdrom', path: disc, format: 'raw', readOnly: true });
  return { drives, copies, order, kernel, newDisk };
}

/**
 * Makes the folder of a new machine. It is built aside and renamed into place, so that it appears whole or not at all; a failure or a cancel
 * removes everything made. Returns the folder and the configuration in it.
 */
export async function createVm(create: VmCreate, parts: CreateParts, control: TaskControl): Promise<{ folder: string; config: VmConfig }> {
  const { library } = parts;
  const { drives, copies, order, kernel, newDisk } = plan(create, parts.sampleImage);
  const config = vmConfigSchema.parse({
    schema: 1,
    id: randomUUID(),
    name: create.name,
    description: create.description ?? '',
    createdAt: new Date().toISOString(),
    os: create.os ?? parts.os,
    cpu: {},
    memoryMiB: create.memoryMiB,
    boot: { order, menu: create.bootMenu ?? false, kernel },
    drives,
    display: { vramMiB: create.vramMiB ?? 16, listen: create.listen ?? null },
    serial: [{ type: 'console' }, { type: 'none' }],
  });
  const building = path.join(library, `${UNFINISHED}${config.id}`);
  const cancelled = () => {
    if (control.signal.aborted)
      throw control.signal.reason ?? new HypervueError('cancelled', 'creating the machine was cancelled', { object: create.name });
  };
  try {
    await mkdir(building, { mode: 0o700 });
    const lock = acquireLock(path.join(building, CREATOR_LOCK), create.name, create.name);
    try {
      for (const { from, to } of copies)
        await copyImage(from, path.join(building, to), control.signal, (done, total) => control.progress(done / total, from));
      cancelled();
      if (create.newDisk) await createRawDisk(path.join(building, newDisk), create.newDisk.sizeBytes);
      await writeVmConfig(building, config);
      cancelled();
    } finally {
      lock.dispose();
    }
    const folder = await moveIntoLibrary(building, library, folderName(create.name));
    return { folder, config };
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    throw error instanceof HypervueError ? error : asHypervueError(fileError(error, building, 'create'));
  }
}

/** Renames `from` to a free folder name in the library; returns its new path. */
export async function moveIntoLibrary(from: string, library: string, wanted: string): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const folder = path.join(library, freeName(wanted, await readdir(library)));
    try {
      await rename(from, folder);
      await syncFolder(library);
      return folder;
    } catch (error) {
      // Somebody else took the name meanwhile.
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EEXIST' && code !== 'ENOTEMPTY') throw fileError(error, from, 'rename');
    }
  }
  throw new HypervueError('already-exists', `no free folder name for ${wanted} in ${library}`, { path: library });
}

/** Removes what a manager that died in the middle of creating left behind. */
export async function removeUnfinished(library: string): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(library)) {
    const folder = path.join(library, name);
    if (!name.startsWith(UNFINISHED) || livingOwner(path.join(folder, CREATOR_LOCK))) continue;
    await rm(folder, { recursive: true, force: true });
    removed.push(folder);
  }
  return removed;
}
