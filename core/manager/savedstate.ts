import { statSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { VmConfig } from '../contract/vm.ts';
import { machineShape } from '../engine/builtin/machineshape.ts';
import { syncFolder } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { StateFileReader } from '../platform/statefile.ts';
import { metaFromTree, shapeDifferences, type StateMeta } from '../snapshot/machinestate.ts';
import { HypervueError } from '../util/errors.ts';

/** State of a machine that was saved and turned off, in its folder. */
export const SAVED_STATE = 'saved.state';
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

const WAYS_OUT = 'Undo the change, or discard the saved state and start the machine anew.';

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
      `${config.name} can't go on from its saved state: ${error.message}`,
      { ...error.context, object: config.name },
      error.fix ?? 'Discard the saved state and start the machine anew; its disks are as they were then.',
    );
  }
  const differences = shapeDifferences(meta.shape, machineShape(config));
  if (differences.length)
    throw new HypervueError(
      'invalid-state',
      `the saved state of ${config.name} does not fit its present hardware (${differences.join('; ')})`,
      { object: config.name, path: file, operation: 'start' },
      WAYS_OUT,
    );
  if (despiteDisks) return;
  for (const { id, kind, path: image } of config.drives) {
    if (kind !== 'disk' || image === null) continue;
    const now = await stat(path.resolve(folder, image)).catch(() => undefined);
    const then = meta.media.find(({ drive }) => drive === id);
    if (!now || !then) continue;
    if (now.size === then.sizeBytes && Math.abs(now.mtimeMs - then.modifiedMs) <= TIME_TOLERANCE_MS) continue;
    throw new HypervueError(
      'invalid-state',
      `${image} was changed after the state of ${config.name} was saved; going on from it would damage what is on the disk`,
      { object: config.name, path: path.resolve(folder, image), operation: 'start', reason: 'disks-changed' },
      'Discard the saved state and start the machine anew. If the file was only copied or moved, start it with --despite-disks.',
    );
  }
}

/** The state is gone for good. */
export async function removeSavedState(folder: string): Promise<void> {
  const file = path.join(folder, SAVED_STATE);
  try {
    await rm(file);
    await syncFolder(folder);
  } catch (error) {
    throw fileError(error, file, 'discard');
  }
}

/** What a save that was cut off left. Only while nobody runs the machine. */
export async function removeStateLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [] as string[]))
    if (LEFTOVER.test(name)) await rm(path.join(folder, name), { force: true });
}
