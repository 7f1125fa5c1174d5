import { statSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { VmConfig } from '../contract/vm.ts';
import { machineShape } from '../engine/builtin/machineshape.ts';
import { syncFolder, writeFileAtomic } from '../platform/atomicfile.ts';
import { imageStamp, stampMedia } from '../platform/mediastamps.ts';
import { fileError } from '../platform/nodefile.ts';
import { StateFileReader } from '../platform/statefilereader.ts';
import { type MediumStamp, metaFromTree, shapeDifferences, type StateMeta } from '../snapshot/machinestate.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** State of a machine that was saved and turned off, in its folder. */
export const SAVED_STATE = 'saved.state';
/** What the disks look like since a snapshot of the saved machine changed their files, though not what the guest sees of them. */
export const STAMPS = 'saved.disks.json';
const LEFTOVER = /^saved\.state\.[0-9a-f]+\.tmp$/;
/** File systems keep times of 2 s at worst (FAT), and so do archives that folders are moved in. */
const TIME_TOLERANCE_MS = 2000;

export interface SavedInfo {
  /** ISO 8601. */
  at: string;
  bytes: number;
}

/** Whether the machine in this folder has a saved state. */
export function savedInfo(folder: string): SavedInfo | null {
  try {
    const { mtime, size } = statSync(path.join(folder, SAVED_STATE));
    return { at: mtime.toISOString(), bytes: size };
  } catch {
    return null;
  }
}

const stampsSchema = z.object({
  /** The state that this belongs to. */
  state: z.object({ sizeBytes: z.number(), modifiedMs: z.number() }),
  disks: z.array(z.object({ drive: z.string(), sizeBytes: z.number(), modifiedMs: z.number() })).max(64),
});

const stateStamp = async (folder: string) => {
  const { size, mtimeMs } = await stat(path.join(folder, SAVED_STATE));
  return { sizeBytes: size, modifiedMs: mtimeMs };
};

/** The disks' files are as the saved state wants them, though others than it says: only our own bookkeeping in them has changed. */
export async function stampSavedDisks(folder: string, config: VmConfig): Promise<void> {
  const disks = (await stampMedia(config.drives, folder))
    .filter(({ removable }) => !removable)
    .map(({ drive, sizeBytes, modifiedMs }) => ({ drive, sizeBytes, modifiedMs }));
  await writeFileAtomic(path.join(folder, STAMPS), JSON.stringify({ state: await stateStamp(folder), disks }));
}

/** How the disks have to look for the state. */
async function wantedStamps(folder: string, meta: StateMeta): Promise<Pick<MediumStamp, 'drive' | 'sizeBytes' | 'modifiedMs'>[]> {
  try {
    const { state, disks } = stampsSchema.parse(JSON.parse(await readFile(path.join(folder, STAMPS), 'utf8')));
    const now = await stateStamp(folder);
    if (now.sizeBytes === state.sizeBytes && now.modifiedMs === state.modifiedMs) return disks;
  } catch {
    // None, or of another state.
  }
  return meta.media;
}

/** A disk, as vm.json names it, that is not what the saved state wants; undefined when all are. */
async function changedDisk(folder: string, config: VmConfig, meta: StateMeta): Promise<string | undefined> {
  const wanted = await wantedStamps(folder, meta);
  for (const { id, kind, path: image } of config.drives) {
    if (kind !== 'disk' || image === null) continue;
    const now = await imageStamp(path.resolve(folder, image));
    const then = wanted.find(({ drive }) => drive === id);
    if (!now || !then) continue;
    if (now.sizeBytes !== then.sizeBytes || Math.abs(now.modifiedMs - then.modifiedMs) > TIME_TOLERANCE_MS) return image;
  }
  return undefined;
}

/** Whether the machine has a saved state that could be gone on from with its disks as they are. */
export async function sameSavedDisks(folder: string, config: VmConfig): Promise<boolean> {
  if (!savedInfo(folder)) return false;
  const meta = await readStateMeta(path.join(folder, SAVED_STATE)).catch(() => undefined);
  return meta !== undefined && (await changedDisk(folder, config, meta)) === undefined;
}

/** What the state says about itself. Rejects with 'corrupt', 'unsupported', 'not-found', ... */
export async function readStateMeta(file: string): Promise<StateMeta> {
  const reader = await StateFileReader.open(file);
  try {
    return metaFromTree(await reader.tree('META'), file);
  } finally {
    await reader.close();
  }
}

/** A state that was saved with the configuration `now` goes with `next` as well. */
export function fitsSaved(now: VmConfig, next: VmConfig): boolean {
  const disks = (config: VmConfig) => JSON.stringify(config.drives.filter(({ kind }) => kind === 'disk'));
  return !shapeDifferences(machineShape(now), machineShape(next)).length && disks(now) === disks(next);
}

/**
 * Refuses a state that does not fit the machine any more: other hardware, or a disk that was written to since. `despiteDisks`: the disks are what they
 * were, only their files' times are not (a folder that was copied).
 */
export async function checkSavedState(folder: string, config: VmConfig, despiteDisks: boolean): Promise<void> {
  const file = path.join(folder, SAVED_STATE);
  let meta: StateMeta;
  try {
    meta = await readStateMeta(file);
  } catch (error) {
    if (!(error instanceof HypervueError)) throw error;
    throw new HypervueError(
      error.kind,
      say('cantGoOn', { name: config.name, problem: error.saying() }),
      { ...error.context, object: config.name },
      error.sayingFix() ?? say('fixDiscardState'),
    );
  }
  const differences = shapeDifferences(meta.shape, machineShape(config));
  if (differences.length)
    throw new HypervueError(
      'invalid-state',
      say('savedHardwareOther', { name: config.name, differences: differences.join('; ') }),
      { object: config.name, path: file, operation: 'start' },
      say('fixUndoOrDiscard'),
    );
  if (despiteDisks) return;
  const image = await changedDisk(folder, config, meta);
  if (image === undefined) return;
  throw new HypervueError(
    'invalid-state',
    say('savedDiskOther', { image, name: config.name }),
    { object: config.name, path: path.resolve(folder, image), operation: 'start', reason: 'disks-changed' },
    say('fixDiscardOrDespite'),
  );
}

/** The state is gone for good. */
export async function removeSavedState(folder: string): Promise<void> {
  const file = path.join(folder, SAVED_STATE);
  try {
    await rm(file);
    await rm(path.join(folder, STAMPS), { force: true });
    await syncFolder(folder);
  } catch (error) {
    throw fileError(error, file, 'discard');
  }
}

/** What a save that was cut off left. Only while nobody runs the machine. */
export async function removeStateLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [] as string[]))
    if (LEFTOVER.test(name) || (name === STAMPS && !savedInfo(folder))) await rm(path.join(folder, name), { force: true });
}
