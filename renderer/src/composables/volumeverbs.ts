import { TASK_HOLDER } from '../../../core/contract/holders.ts';
import { usersOf, type Volume } from '../../../core/contract/storage.ts';

export const volumeVerbs = [
  'attach',
  'detach',
  'resize',
  'clone',
  'linkedClone',
  'convert',
  'check',
  'compare',
  'compact',
  'commit',
  'rebase',
  'download',
  'delete',
] as const;
export type VolumeVerb = (typeof volumeVerbs)[number];

/** Key under `storage.reason.*` with its parameter. */
export interface Reason {
  key: string;
  name: string;
}

const because = (key: string, name = ''): Reason => ({ key, name });
const lockedReason = (holder: string): Reason => (holder === TASK_HOLDER ? because('busy') : because('locked', holder));
/** Verbs that change the file. */
const writes: readonly VolumeVerb[] = ['resize', 'compact', 'commit', 'rebase', 'attach'];
/** Verbs that need only the file itself, whatever is the matter with those below it. */
const alone: readonly VolumeVerb[] = ['check', 'rebase', 'download'];
const reads: readonly VolumeVerb[] = ['clone', 'convert', 'compare', 'download'];

/** Why a verb can't be used on the volume now; null when it can. `isTemplate` tells of a machine that never runs. */
export function volumeReason(verb: VolumeVerb, volume: Volume, isTemplate: (machine: string) => boolean): Reason | null {
  const machine = volume.usedBy.find(({ kind }) => kind === 'machine');
  const above = volume.usedBy.find(({ kind }) => kind === 'overlay');
  if (verb === 'delete') {
    const [user] = usersOf(volume);
    if (user) return because('used', user.name);
    return volume.lockedBy === null ? null : lockedReason(volume.lockedBy);
  }
  if (verb === 'detach') {
    if (!machine) return because('notAttached');
    return volume.lockedBy === null ? null : lockedReason(volume.lockedBy);
  }
  if (volume.problem) return because('problem');
  // The machine that runs from it makes it larger itself.
  if (verb === 'resize' && machine && volume.lockedBy === machine.name) return null;
  if (volume.lockedBy !== null) return lockedReason(volume.lockedBy);
  const workable = volume.format === 'raw' || volume.format === 'qcow2';
  if (!workable && !reads.includes(verb)) return because('foreign');
  if (writes.includes(verb) && volume.link !== null) return because('link');
  if (writes.includes(verb) && volume.needsRepair) return because('repairFirst');
  if (!alone.includes(verb)) {
    const missing = volume.below.find(({ exists }) => !exists);
    if (missing) return because('belowMissing', fileName(missing.path));
    if (volume.circular) return because('circular');
  }
  switch (verb) {
    case 'check':
      return volume.format === 'raw' ? because('rawCheck') : null;
    case 'attach':
      return machine ? because('attached', machine.name) : above ? because('below', above.name) : null;
    case 'resize':
      return above ? because('below', above.name) : null;
    case 'linkedClone':
      return machine && !isTemplate(machine.id ?? '') ? because('written', machine.name) : null;
    case 'rebase':
      return volume.format === 'raw' ? because('rawRebase') : null;
    case 'download':
      return volume.below.length > 0 || volume.dataFile ? because('notAlone') : null;
    case 'commit':
      return volume.below.length === 0 ? because('noBelow') : null;
    default:
      return null;
  }
}

/** Key under `storage.place.nameProblem.*` for a name that no file of a pool can have; null for a good one. The contract checks it again. */
export function nameProblem(name: string, taken: (name: string) => boolean): string | null {
  if (name === '') return 'empty';
  // The contract's own rule (volumeNameSchema), told apart to say which part is broken.
  if (/[/\\:*?"<>|\p{Cc}]/u.test(name)) return 'characters';
  if (/^[.\s]|[.\s]$/.test(name)) return 'dot';
  if (name.length > 200) return 'long';
  return taken(name) ? 'taken' : null;
}

/** A name for a copy that no other volume has: "debian 2.qcow2". */
export function freeVolumeName(stem: string, ending: string, taken: (name: string) => boolean): string {
  for (let number = 1; ; number++) {
    const name = `${stem}${number === 1 ? '' : ` ${number}`}.${ending}`;
    if (!taken(name)) return name;
  }
}

const fileName = (file: string): string => file.split(/[\\/]/).at(-1) || file;

/** Why a volume can't lie below another one; null when it can. */
export function baseReason(volume: Volume, isTemplate: (machine: string) => boolean): Reason | null {
  if (volume.format !== 'raw' && volume.format !== 'qcow2') return because('foreign');
  return volumeReason('linkedClone', volume, isTemplate);
}

export const endingOf = (format: string): string => (format === 'raw' ? 'img' : format);
export const stemOf = (name: string): string => name.replace(/\.[a-z0-9]{1,8}$/i, '') || name;
