/** Which volumes there are, what lies on what, and what may be done to each of them: who uses it decides. */
import path from 'node:path';
import { MACHINES_POOL, usersOf, type Volume } from '../../contract/storage.ts';
import { type DiskFormat, diskFormats, type Drive } from '../../contract/vm.ts';
import { removeCutOffCompacts } from '../../platform/compactimage.ts';
import { fixHolder, saidHolder } from '../../platform/holderwords.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { imagesOnTop } from '../../platform/imagesontop.ts';
import { errorFrom, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { removeUnfinished } from '../createvm.ts';
import { readImageFacts } from './headers.ts';
import type { Pools } from './pools.ts';
import { keyOf, type ScanPlace, Scanner, type UsedDrive } from './scan.ts';
import { absolutePath, isBelow } from '../paths.ts';

/** A machine as far as storage has to do with it. */
export interface StorageMachine {
  id: string;
  name: string;
  folder: string;
  drives: readonly Drive[];
  /** It never runs, so that its disks can lie below others. */
  template: boolean;
  /** It goes on from a state that knows its disks as they are. */
  saved: boolean;
}

export interface KnownVolumesParts {
  pools: Pools;
  locks: ImageLocks;
  library: string;
  machines(): readonly StorageMachine[];
}

export const isDiskFormat = (format: string): format is DiskFormat => (diskFormats as readonly string[]).includes(format);

export class KnownVolumes {
  private readonly places: KnownVolumesParts;
  private readonly scanner: Scanner;

  constructor(places: KnownVolumesParts) {
    this.places = places;
    this.scanner = new Scanner(places.locks);
  }

  /** Folders that may hold volumes. */
  private folders(machines: readonly StorageMachine[]): ScanPlace[] {
    return [
      ...this.places.pools
        .settings()
        .filter(({ id }) => id !== MACHINES_POOL)
        .map(({ id, folder }) => ({ pool: id, folder, machine: null })),
      ...machines.map(({ id, name, folder }) => ({ pool: MACHINES_POOL, folder, machine: { id, name } })),
    ];
  }

  list(): Promise<Volume[]> {
    const machines = this.places.machines();
    const drives = machines.flatMap(({ id, name, folder, drives: all }): UsedDrive[] =>
      all.flatMap((drive) =>
        drive.path === null ? [] : [{ machine: { id, name }, file: path.resolve(folder, drive.path), format: drive.format }],
      ),
    );
    return this.scanner.scan(this.folders(machines), drives);
  }

  /** Removes what creating files in pools and compacting anywhere left behind when their process was killed. Returns the paths. */
  async tidy(): Promise<string[]> {
    const removed: string[] = [];
    for (const { folder, machine } of this.folders(this.places.machines())) {
      if (!machine) removed.push(...(await removeUnfinished(folder)));
      removed.push(...(await removeCutOffCompacts(folder, this.places.locks)));
    }
    return removed;
  }

  /** The volume at `file`. Nothing but what a pool or a machine's folder holds is ever worked on. */
  async get(file: string): Promise<Volume> {
    const wanted = path.resolve(file);
    const volume = (await this.list()).find((each) => each.path === wanted);
    if (!volume) throw new HypervueError('not-found', say('noImageInPool', { file }), { path: file }, say('fixNoImageInPool'));
    return volume;
  }

  /** A volume that can be a disk of `machine`. */
  async attachable(file: string): Promise<Volume> {
    const volume = await this.writable(file, 'attach');
    refuseBroken(volume, 'attach');
    const machine = volume.usedBy.find(({ kind }) => kind === 'machine');
    if (machine)
      throw new HypervueError(
        'in-use',
        say('diskOfAlready', { name: volume.name, machine: machine.name }),
        { object: volume.name, holder: machine.name, operation: 'attach' },
        say('fixDiskOfAlready', { machine: machine.name }),
      );
    return volume;
  }

  /** Names of what lies on top of an image, at whatever distance: machines, or files that are none's. */
  async imagesAbove(file: string, known?: readonly Volume[]): Promise<string[]> {
    const wanted = path.resolve(file);
    const key = await keyOf(wanted);
    const volumes = known ?? (await this.list());
    const names = new Set<string>();
    for (const volume of volumes)
      for (const lower of volume.path === wanted ? [] : volume.below)
        if (lower.path === wanted || (key !== undefined && (await keyOf(lower.path)) === key)) {
          names.add(volume.machine?.name ?? volume.name);
          break;
        }
    // Disks that lie in no pool. A raw one lies on nothing, whatever its guest wrote into it.
    const listedPaths = new Set(volumes.map((volume) => volume.path));
    for (const { name, folder, drives } of this.places.machines()) {
      const others = drives
        .filter((drive) => drive.path !== null && drive.format !== 'raw')
        .map((drive) => path.resolve(folder, drive.path!))
        .filter((each) => !listedPaths.has(each));
      if (others.length && key !== undefined && (await imagesOnTop(wanted, others)).length) names.add(name);
    }
    return [...names];
  }

  /** Names of the images on top of a volume: those directly on it, else those for which one between them that is no volume leads here. */
  async overlays(volume: Volume, known?: readonly Volume[]): Promise<string[]> {
    const direct = volume.usedBy.filter(({ kind }) => kind === 'overlay').map(({ name }) => name);
    return direct.length ? direct : this.imagesAbove(volume.path, known);
  }

  /** Names of machines outside `folder` whose disks lie on top of images in it. */
  async dependants(folder: string): Promise<string[]> {
    const inside = (file: string) => isBelow(path.resolve(folder), file);
    const names = (await this.list())
      .filter((volume) => !inside(volume.path) && volume.below.some((lower) => inside(lower.path)))
      .map((volume) => volume.machine?.name ?? volume.name);
    return [...new Set(names)];
  }

  /** A volume of whatever format. */
  protected async readable(file: string): Promise<Volume> {
    const volume = await this.get(file);
    const { problem } = volume;
    if (problem) throw errorFrom(problem);
    return volume;
  }

  protected async usable(file: string): Promise<Volume> {
    const volume = await this.readable(file);
    if (!isDiskFormat(volume.format))
      throw new HypervueError(
        'unsupported',
        say('formatOnlyRead', { name: volume.name, format: volume.format }),
        { path: volume.path },
        say('fixConvertItFirst'),
      );
    return volume;
  }

  /** A volume that may be written to. One with others on top of it may not, for they would change with it. */
  protected async writable(file: string, operation: string, keepsContents = false): Promise<Volume> {
    const volume = await this.usable(file);
    if (volume.link !== null)
      throw new HypervueError(
        'unsupported',
        say('isLink', { name: volume.name, target: volume.link }),
        { path: volume.path, operation },
        say('fixIsLink'),
      );
    if (volume.lockedBy !== null)
      throw new HypervueError(
        'in-use',
        say('volumeInUse', { name: volume.name, holder: saidHolder(volume.lockedBy) }),
        { object: volume.name, path: volume.path, holder: volume.lockedBy, operation },
        fixHolder(volume.lockedBy),
      );
    const saved = this.places.machines().find((machine) => machine.saved && volume.usedBy.some(({ id }) => id === machine.id));
    if (saved)
      throw new HypervueError(
        'invalid-state',
        say('savedNeedsVolume', { machine: saved.name, name: volume.name }),
        { object: volume.name, path: volume.path, holder: saved.name, operation },
        say('fixSavedNeedsVolume', { machine: saved.name }),
      );
    const above = keepsContents ? [] : await this.overlays(volume);
    if (above.length)
      throw new HypervueError(
        'in-use',
        say(above.length > 1 ? 'lieOnTop' : 'liesOnTop', { names: listed(above), name: volume.name }),
        { object: volume.name, path: volume.path, holder: above[0]!, operation },
        say('fixWorkOnClone'),
      );
    return volume;
  }

  /** An image that others may lie on top of. It need not be a volume; then it only has to be readable. */
  protected async base(file: string): Promise<{ path: string; format: DiskFormat; sizeBytes: number; encrypted: boolean }> {
    const wanted = path.resolve(absolutePath(file));
    const known = (await this.list()).find((volume) => volume.path === wanted);
    const { format, sizeBytes, problem, encrypted } = known ?? (await readImageFacts(wanted));
    if (problem) throw errorFrom(problem);
    if (known) refuseBroken(known, 'create');
    if (!isDiskFormat(format) || !sizeBytes)
      throw new HypervueError('unsupported', say('notBelow', { path: file }), { path: file }, say('fixRawOrQcow2'));
    if (known?.lockedBy)
      throw new HypervueError(
        'in-use',
        say('holderChanges', { name: known.name, holder: saidHolder(known.lockedBy) }),
        { path: file, holder: known.lockedBy },
        fixHolder(known.lockedBy),
      );
    const writer = known?.usedBy.find(({ kind }) => kind === 'machine');
    if (writer && !this.isTemplate(writer.id))
      throw new HypervueError(
        'in-use',
        say('machineWrites', { name: known!.name, machine: writer.name }),
        { path: file, holder: writer.name },
        say('fixMachineWrites', { machine: writer.name }),
      );
    // Whole sectors: a raw file may end anywhere.
    return { path: wanted, format, sizeBytes: Math.ceil(sizeBytes / 512) * 512, encrypted };
  }

  private isTemplate(id: string | undefined): boolean {
    return this.places.machines().some((machine) => machine.id === id && machine.template);
  }

  /** What others need is not deleted. Rejects with 'in-use'. */
  protected async refuseUsed(volume: Volume): Promise<void> {
    const { name, path: file } = volume;
    const users = usersOf(volume);
    const [user] = users;
    const names = user ? users.map((each) => each.name) : volume.usedBy.length ? [] : await this.imagesAbove(file);
    if (!names.length) return;
    throw new HypervueError(
      'in-use',
      say('usedBy', { name, names: listed(names) }),
      { object: name, path: file, holder: names[0]!, operation: 'delete' },
      user?.kind === 'machine' ? say('fixRemoveFrom', { name: names[0] }) : say('fixDeleteOrRebase', { name: names[0] }),
    );
  }
}

/** Throws when an image below is not found, or the images lie on each other in a circle: nobody could read the image. */
function refuseBroken({ path: file, below, circular }: Volume, operation: string): void {
  const missing = below.find(({ exists }) => !exists);
  if (missing)
    throw new HypervueError(
      'not-found',
      say('backingUnopened', { top: file, below: missing.path }),
      { path: missing.path, operation },
      say('fixBackingUnopened'),
    );
  if (circular)
    throw new HypervueError('corrupt', say('backingItself', { path: file }), { path: file, operation }, say('fixBackingItself'));
}

/** "a", "a and b", "a, b and 3 more". */
export function listed(names: readonly string[]): string {
  if (names.length <= 1) return names[0] ?? '';
  if (names.length === 2) return `${names[0]} and ${names[1]}`;
  return `${names[0]}, ${names[1]} and ${names.length - 2} more`;
}
