/** All machines to another folder, with everything that lies in the library. */
import { randomUUID } from 'node:crypto';
import { renameSync, rmdirSync } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Result } from '../../contract/methods.ts';
import { syncFolder } from '../../platform/atomicfile.ts';
import { chooseLibrary } from '../../platform/chosenlibrary.ts';
import { freeBytes } from '../../platform/hostinfo.ts';
import type { Lock } from '../../platform/locks.ts';
import { fileError } from '../../platform/nodefile.ts';
import { imagesBelow } from '../../platform/openimage.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { ManagerContext } from '../context.ts';
import { lockFolder } from '../machinelocks.ts';
import { existingPart, isBelow } from '../paths.ts';
import { listed } from '../storage/knownvolumes.ts';
import type { Volumes } from '../storage/volumes.ts';
import type { TaskControl } from '../tasks.ts';
import {
  displace,
  endMoveJournal,
  finishRename,
  lockMove,
  type MoveJournal,
  place,
  placesOf,
  unmake,
  writeMoveJournal,
} from './journal.ts';
import { imageLinks, repoint } from './repoint.ts';
import { changedFile, copyTree, listTree, type Tree } from './tree.ts';

export interface MovePlace {
  /** The library with all links followed, and the folder that it is to be in. */
  real: string;
  folder: string;
  missing: boolean;
}

export type MovePlan = Omit<Result<'host.planMove'>, 'refusal'>;

/** What the move takes and what keeps it from being done; throws nothing of the latter. */
export async function planMove(
  { options, machines }: ManagerContext,
  volumes: Volumes,
  { real, folder, missing }: MovePlace,
): Promise<MovePlan & { refusal: HypervueError | null }> {
  let refusal: HypervueError | null = null;
  let tree: Tree = { files: [], folders: [], bytes: 0 };
  try {
    await refuseTarget(folder, missing);
    tree = await listTree(real);
    await imageLinks({ from: [...new Set([options.library, real])], to: folder }, real, tree);
    await refuseAbove(machines.all(), volumes, [options.library, real]);
  } catch (error) {
    refusal = asHypervueError(error, { path: folder });
  }
  const sameDisk = await onSameDisk(real, folder);
  const free = await freeBytes(folder);
  if (!refusal && !sameDisk && tree.bytes > free)
    refusal = new HypervueError(
      'no-space',
      say('moveNoRoom', { neededBytes: tree.bytes, freeBytes: free, folder }),
      { path: folder, operation: 'move' },
      say('fixMoveNoRoom'),
    );
  const all = machines.all();
  const outside = all.flatMap((machine) => machine.settings.images()).filter((file) => !isIn([options.library, real], file));
  return {
    folder,
    missing,
    sameDisk,
    machines: all.length,
    sizeBytes: tree.bytes,
    freeBytes: free,
    outside: [...new Set(outside)],
    refusal,
  };
}

const isIn = (places: readonly string[], file: string) => places.some((each) => isBelow(path.resolve(each), file));

async function refuseTarget(folder: string, missing: boolean): Promise<void> {
  if (!missing && (await readdir(folder)).length)
    throw new HypervueError('already-exists', say('moveTargetFull', { folder }), { path: folder }, say('fixMoveTargetFull'));
}

/** Images that stay must not lie on those that go. */
async function refuseAbove(
  machines: ReturnType<ManagerContext['machines']['all']>,
  volumes: Volumes,
  places: readonly string[],
): Promise<void> {
  const names = new Set<string>();
  for (const { path: file, name, below } of await volumes.list())
    if (!isIn(places, file) && below.some((lower) => isIn(places, lower.path))) names.add(name);
  for (const { folder, config } of machines)
    for (const drive of config?.drives ?? []) {
      if (drive.kind !== 'disk' || drive.path === null) continue;
      const file = path.resolve(folder, drive.path);
      if (isIn(places, file)) continue;
      const below = await imagesBelow(file, drive.format).catch(() => []);
      if (below.some((lower) => isIn(places, lower))) names.add(path.basename(file));
    }
  if (names.size)
    throw new HypervueError(
      'in-use',
      say(names.size > 1 ? 'moveOnTop' : 'moveOnTopOne', { names: listed([...names]) }),
      { operation: 'move' },
      say('fixMoveOnTop'),
    );
}

async function onSameDisk(real: string, folder: string): Promise<boolean> {
  const above = await existingPart(folder);
  const [one, other] = await Promise.all([stat(real), stat(above.real)]);
  return one.dev === other.dev;
}

/** Moves the library; when it resolves the new one is chosen, and the old one goes when that was opened. When it rejects everything is as it was. `stillAlone` throws when something else began meanwhile. */
export async function moveLibrary(
  { options, machines }: ManagerContext,
  { real, folder, missing }: MovePlace,
  sameDisk: boolean,
  control: TaskControl,
  stillAlone: () => void,
): Promise<void> {
  const { configFolder, library, log } = options;
  const journal: MoveJournal = {
    from: path.resolve(library),
    real,
    to: folder,
    how: sameDisk ? 'rename' : 'copy',
    stage: sameDisk ? 'placing' : 'copying',
    names: await readdir(real),
    made: missing,
    staging: `.moving-${randomUUID()}`,
  };
  const held: Lock[] = [lockMove(configFolder)];
  try {
    // Nobody starts one of them, or works on it, in the middle of this.
    const folders = machines.all().map((machine) => lockFolder(machine.folder, machine.name, 'works on'));
    held.push(...folders);
    if (sameDisk && (await renamed(configFolder, journal, folders))) return await finishRename(configFolder, journal, log);
    for (const machine of sameDisk ? machines.all() : []) held.push(lockFolder(machine.folder, machine.name, 'works on'));
    await copied(configFolder, { ...journal, how: 'copy', stage: 'copying' }, control, stillAlone);
  } finally {
    for (const lock of held.reverse()) lock.dispose();
  }
}

/** False where the two places are one file system, and yet nothing can be renamed from one to the other (bind mounts). */
async function renamed(config: string, journal: MoveJournal, folders: readonly Lock[]): Promise<boolean> {
  const { real, to, made } = journal;
  await mkdir(path.dirname(to), { recursive: true, mode: 0o700 }).catch((error) => {
    throw fileError(error, to, 'create');
  });
  await writeMoveJournal(config, journal);
  // Before the rename: what follows it can't fail in a way that leaves another library chosen than there is.
  try {
    await chooseLibrary(config, to);
  } catch (error) {
    await endMoveJournal(config);
    throw error;
  }
  // The locks would go along and hold the machines there.
  for (const lock of folders) lock.dispose();
  try {
    if (!made) rmdirSync(to);
    renameSync(real, to);
  } catch (error) {
    if (!made) await mkdir(to, { recursive: true, mode: 0o700 }).catch(() => {});
    await chooseLibrary(config, journal.from);
    await endMoveJournal(config);
    if (['EXDEV', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw fileError(error, to, 'move');
  }
  for (const folder of [path.dirname(to), path.dirname(real)]) await syncFolder(folder).catch(() => {});
  return true;
}

async function copied(config: string, journal: MoveJournal, control: TaskControl, stillAlone: () => void): Promise<void> {
  const { real, to, staging } = journal;
  const there = path.join(to, staging);
  await writeMoveJournal(config, journal);
  try {
    await mkdir(there, { recursive: true, mode: 0o700 }).catch((error) => {
      throw fileError(error, to, 'create');
    });
    const tree = await listTree(real);
    await copyTree(tree, real, there, control);
    await repoint(placesOf(journal), there, await listTree(there));
    const changed = changedFile(tree, await listTree(real));
    if (changed !== undefined)
      throw new HypervueError(
        'in-use',
        say('moveChanged', { path: path.join(real, changed) }),
        { path: path.join(real, changed), operation: 'move' },
        say('fixMoveChanged'),
      );
    control.signal.throwIfAborted();
    stillAlone();
    await writeMoveJournal(config, { ...journal, stage: 'placing' });
    await place(journal);
    await chooseLibrary(config, to);
  } catch (error) {
    // First of all, and it needs no room: the next start must not go on with a copy that is older than what people do here meanwhile.
    await endMoveJournal(config);
    await displace(journal).catch(() => {});
    await unmake(journal);
    throw error;
  }
  // It is chosen; without this the next start finds the same out.
  await writeMoveJournal(config, { ...journal, stage: 'removing' }).catch(() => {});
}
