import { stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { PlanStep } from '../../contract/snapshots.ts';
import type { VmConfig } from '../../contract/vm.ts';
import { machineShape } from '../../engine/builtin/machineshape.ts';
import { allocatedBytes } from '../../platform/diskfile.ts';
import { shapeDifferences } from '../../snapshot/machinestate.ts';
import { readableBytes } from '../../util/bytes.ts';
import { listed } from '../storage/knownvolumes.ts';
import { baseOf } from '../transfer/snapshotclone.ts';
import { roomOffDisk } from './offdisks.ts';
import { type Manifest, type StoredSnapshot, tagOf } from './store.ts';

export interface PlanContext {
  folder: string;
  config: VmConfig;
  active: boolean;
  saved: boolean;
  manifest: Manifest;
}

type Texts = { [K in PlanStep['code']]: (params: Record<string, string | number>) => string };

const texts: Texts = {
  turnsOff: ({ name }) => `${name} is turned off at once, like pulling the plug`,
  losesPresent: () => 'What its disks and memory hold now, and no snapshot has, is lost',
  keepsPresent: ({ name }) => `A snapshot "${name}" of the present is taken first`,
  revertsDisk: ({ drive, path: file }) => `${drive} (${file}) becomes what it was then`,
  revertsHardware: ({ changes }) => `The hardware becomes what it was then (${changes})`,
  startsFrom: ({ state }) => `The machine goes on from the memory of that moment (${state})`,
  staysOff: () => 'The machine is off afterwards: this snapshot has no memory',
  dropsSaved: () => 'The saved state of the present is discarded',
  mediumGone: ({ drive, path: file }) => `${drive} is empty afterwards, as ${file} is no longer there`,
  deletesSnapshot: ({ name }) => `The snapshot "${name}" can't be reverted to any more`,
  childrenMove: ({ count }) => `${count} later ones stay, and go on from the one before`,
  freesMemory: ({ size }) => `${size} of memory, and what only it keeps in the disks, become free`,
  freesRoom: ({ size, memory, disks }) => `${size} become free: ${memory} of memory, and ${disks} that only it keeps in the disks`,
  freesBase: ({ path: file, size }) => `${file}, which no linked clone lies on any more, goes to the trash (${size})`,
  keepsBase: ({ path: file, name }) => `${file} stays: ${name} lies on it`,
  writesBase: ({ drive, path: file, size }) =>
    `${drive} as it was then is written to ${file}, at most ${size}, once for all linked clones of this snapshot`,
  linksDisk: ({ drive, path: file, name }) => `${drive} lies on ${file} and holds what changes; ${name} can't be deleted before it`,
  copiesDisk: ({ drive, size }) => `${drive} is copied as it was then: at most ${size}. The copy needs nothing of the original`,
  withoutMemory: () => 'The new machine starts from its disks: the memory of the snapshot is not taken over',
  overlaysDisk: ({ drive, path: file }) =>
    `${drive} goes on with a qcow2 image on top of ${file}, which stays as it is now and is still needed: raw images keep no snapshots`,
  standsShortly: () => 'The guest runs on while its memory is written, and stands for a moment at the end',
  takesDisksOnly: () => 'Its memory is left out: after a revert the machine is off, as after a power cut',
  keepsMemory: () => 'Its memory is kept too: after a revert it goes on from there',
  sealsMemory: () => 'Its memory is encrypted with the key of its disks',
};

const DESTRUCTIVE: readonly PlanStep['code'][] = ['turnsOff', 'losesPresent', 'dropsSaved', 'deletesSnapshot'];

export function step(code: PlanStep['code'], params: Record<string, string | number> = {}): PlanStep {
  return { code, params, text: texts[code](params), destructive: DESTRUCTIVE.includes(code) };
}

/** Nothing but what people call it is other in one configuration than in the other. */
export function sameMachine(now: VmConfig, then: VmConfig): boolean {
  const known = ({ name: _name, description: _description, createdAt: _created, ...rest }: VmConfig) => rest;
  return isDeepStrictEqual(known(now), known(then));
}

export async function planRevert(
  { folder, config, active, saved }: PlanContext,
  to: StoredSnapshot,
  keepAs: string | null,
): Promise<PlanStep[]> {
  const steps: PlanStep[] = [];
  if (keepAs !== null) steps.push(step('keepsPresent', { name: keepAs }));
  // A machine that is as it was then goes on in the same process.
  if (active && (to.kind !== 'memory' || !sameMachine(config, to.config))) steps.push(step('turnsOff', { name: config.name }));
  if (saved && keepAs === null) steps.push(step('dropsSaved'));
  if (keepAs === null) steps.push(step('losesPresent'));
  for (const { drive, path: file } of to.disks) steps.push(step('revertsDisk', { drive, path: file }));
  const changes = shapeDifferences(machineShape(config), machineShape(to.config));
  if (changes.length)
    steps.push(step('revertsHardware', { changes: changes.map((change) => change.replace(/ when it was saved, .*$/, ' now')).join('; ') }));
  for (const { id, kind, path: file } of to.config.drives)
    if (kind !== 'disk' && file !== null && !(await exists(path.resolve(folder, file))))
      steps.push(step('mediumGone', { drive: id, path: file }));
  steps.push(to.kind === 'memory' ? step('startsFrom', { state: to.state }) : step('staysOff'));
  return steps;
}

export async function planDelete(
  { folder, manifest }: PlanContext,
  snapshot: StoredSnapshot,
  imagesAbove: (file: string) => Promise<string[]>,
): Promise<PlanStep[]> {
  const bases: PlanStep[] = [];
  for (const disk of snapshot.disks) {
    const base = baseOf(folder, snapshot.id, disk);
    if (!(await exists(base))) continue;
    const above = await imagesAbove(base);
    const file = path.basename(base);
    bases.push(
      above.length
        ? step('keepsBase', { path: file, name: listed(above) })
        : step('freesBase', { path: file, size: readableBytes(await allocatedBytes(base)) }),
    );
  }
  const children = manifest.snapshots.filter(({ parent }) => parent === snapshot.id).length;
  return [
    step('deletesSnapshot', { name: snapshot.name }),
    ...(children ? [step('childrenMove', { count: children })] : []),
    await freed(folder, snapshot),
    ...bases,
  ];
}

/** How much room its deletion gives. A disk that can't be looked at now is no reason to keep a snapshot. */
async function freed(folder: string, snapshot: StoredSnapshot): Promise<PlanStep> {
  const memory = snapshot.memoryBytes;
  try {
    let disks = 0;
    for (const disk of snapshot.disks) disks += await roomOffDisk(folder, disk, tagOf(snapshot.id));
    return step('freesRoom', { size: readableBytes(memory + disks), memory: readableBytes(memory), disks: readableBytes(disks) });
  } catch {
    return step('freesMemory', { size: readableBytes(memory) });
  }
}

export async function planClone({ folder, config }: PlanContext, snapshot: StoredSnapshot, linked: boolean): Promise<PlanStep[]> {
  const steps: PlanStep[] = [];
  for (const disk of snapshot.disks) {
    const { drive } = disk;
    const size = readableBytes(await allocatedBytes(path.resolve(folder, disk.path)).catch(() => 0));
    if (!linked) {
      steps.push(step('copiesDisk', { drive, size }));
      continue;
    }
    const base = baseOf(folder, snapshot.id, disk);
    const file = path.basename(base);
    if (!(await exists(base))) steps.push(step('writesBase', { drive, path: file, size }));
    steps.push(step('linksDisk', { drive, path: file, name: config.name }));
  }
  if (snapshot.kind === 'memory') steps.push(step('withoutMemory'));
  return steps;
}

export const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
