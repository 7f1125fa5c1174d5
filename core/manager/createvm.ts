import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { CpuModel } from '../contract/cpumodels.ts';
import { busOf } from '../contract/drives.ts';
import { defaultNic } from '../contract/defaultnic.ts';
import { checkConfig } from './configrules.ts';
import { type VmConfig, type VmCreate, vmConfigSchema } from '../contract/vm.ts';
import { syncFolder } from '../platform/atomicfile.ts';
import { convertImage } from '../platform/convertimage.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import { copyImage } from '../platform/diskfile.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { acquireLock, livingOwner } from '../platform/locks.ts';
import { aboutWanted, CREATOR_LOCK, makeFile, UNFINISHED } from '../platform/newfile.ts';
import { fileError } from '../platform/nodefile.ts';
import type { Disposable } from '../util/disposable.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { folderName, freeName } from './names.ts';
import { type ImageWork, planMachine, type PlanParts } from './newmachinedisks.ts';
import { readImageFacts } from './storage/headers.ts';
import type { TaskControl } from './tasks.ts';
import { writeVmConfig } from './vmconfigfile.ts';

export interface CreateParts extends PlanParts {
  /** When the request names none. */
  cpuModel: CpuModel;
  /** An address that no card of the library has. */
  newMac(): string;
  locks: ImageLocks;
  /** Runs `publish` while nobody else looks at the library or changes it. */
  exclusively<T>(publish: () => Promise<T>): Promise<T>;
}

/** True for an encrypted image whose file is all of it. */
async function isSealed(file: string): Promise<boolean> {
  const { encrypted, backing, dataFile } = await readImageFacts(file);
  return encrypted && backing === null && dataFile === null;
}

/** Copies or makes an image at `target`. */
async function makeImage(work: ImageWork, target: string, name: string, locks: ImageLocks, control: TaskControl): Promise<void> {
  if (work.kind === 'make') {
    const { format, sizeBytes, passphrase } = work;
    await createDisk(target, { format, sizeBytes, passphrase });
    return;
  }
  const { from, format } = work;
  // Nobody may write to an image in the middle of its copy.
  const source = locks.acquire(from, true, name);
  try {
    const progress = (done: number, total: number) => control.bytes(done, total, from);
    // An encrypted image that stands by itself is copied as it is: nobody has to open it for that.
    if (format === 'raw' || (await isSealed(from))) await copyImage(from, target, control.signal, progress);
    // With what lies below it: the copy stands by itself.
    else await convertImage({ from: { path: from }, to: { path: target, format }, signal: control.signal, progress });
  } finally {
    source.dispose();
  }
}

/**
 * Makes the folder of a new machine. It is built aside and renamed into place, so that it appears whole or not at all; a failure or a cancel
 * removes everything made, also in pools. `take` gets the machine in the same exclusive turn that shows its folder in the library.
 */
export async function createVm<T>(
  create: VmCreate,
  parts: CreateParts,
  control: TaskControl,
  take: (folder: string, config: VmConfig) => T,
): Promise<T> {
  const { library } = parts;
  const { drives, work, order, kernel } = await planMachine(create, parts);
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
    display: { model: create.displayModel ?? 'vga', vramMiB: create.vramMiB ?? 16, listen: create.listen ?? null },
    network: (create.network ?? []).map((card) => ({
      ...card,
      model: card.model ?? defaultNic(create.os ?? parts.os),
      mac: card.mac ?? parts.newMac(),
    })),
    usb: drives.some(({ id }) => busOf(id) === 'usb') ? {} : null,
    serial: [{ type: 'console' }, { type: 'none' }],
  });
  checkConfig(config);
  const building = path.join(library, `${UNFINISHED}${config.id}`);
  const cancelled = () => {
    if (control.signal.aborted)
      throw control.signal.reason ?? new HypervueError('cancelled', say('creatingCancelled'), { object: create.name });
  };
  let lock: Disposable | undefined;
  /** Images of it that are in pools by now. */
  const pooled: string[] = [];
  try {
    lock = acquireLock(`${building}${CREATOR_LOCK}`, create.name, create.name);
    await mkdir(building, { mode: 0o700 });
    for (const image of work) {
      cancelled();
      const inPool = path.isAbsolute(image.file);
      if (inPool) {
        await makeFile(image.file, (temporary) => makeImage(image, temporary, create.name, parts.locks, control));
        pooled.push(image.file);
      } else await makeImage(image, path.join(building, image.file), create.name, parts.locks, control);
    }
    cancelled();
    await writeVmConfig(building, config);
    return await parts.exclusively(async () => {
      cancelled();
      return take(await moveIntoLibrary(building, library, folderName(create.name)), config);
    });
  } catch (error) {
    await rm(building, { recursive: true, force: true }).catch(() => {});
    for (const file of pooled) await rm(file, { force: true }).catch(() => {});
    throw aboutWanted(fileError(error, building, 'create'), building, path.join(library, folderName(create.name)));
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
  throw new HypervueError('already-exists', say('noFreeFolder', { name: wanted, library }), { path: library });
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
