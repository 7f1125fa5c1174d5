/** What can be done with the volumes of the pools: each operation as a task, on an image that nobody uses, into a file that appears whole or not at all. */
import path from 'node:path';
import type { ErrorDto } from '../../contract/errors.ts';
import type { Readable } from 'node:stream';
import { MACHINES_POOL, type Volume, type VolumeCheckReport, type VolumeDetails } from '../../contract/storage.ts';
import type { ParsedParams } from '../../contract/methods.ts';
import type { DiskFormat, Drive } from '../../contract/vm.ts';
import { diskFormats, imageFormats } from '../../contract/vm.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { makeFile, refuseTaken } from '../../platform/newfile.ts';
import { receiveFile } from '../../platform/receivefile.ts';
import { asHypervueError, errorFrom, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { Disks } from '../disks.ts';
import { moveToTrash } from '../trash.ts';
import type { TaskControl, Tasks } from '../tasks.ts';
import { imagesOnTop } from '../../platform/imagesontop.ts';
import { readImageFacts } from './headers.ts';
import { needRoom, readAs } from './requirements.ts';
import type { Pools } from './pools.ts';
import { keyOf, type ScanPlace, Scanner, type UsedDrive } from './scan.ts';

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

export interface VolumesParts {
  pools: Pools;
  locks: ImageLocks;
  library: string;
  tasks: Tasks;
  machines(): readonly StorageMachine[];
  /** Pools or volumes changed. */
  changed(): void;
  trashChanged(): void;
}

const isDiskFormat = (format: string): format is DiskFormat => (diskFormats as readonly string[]).includes(format);

export class Volumes {
  private readonly parts: VolumesParts;
  private readonly disks: Disks;
  private readonly scanner: Scanner;

  constructor(parts: VolumesParts) {
    this.parts = parts;
    this.disks = new Disks(parts.locks, async () => (await this.list()).map((volume) => volume.path));
    this.scanner = new Scanner(parts.locks);
  }

  list(): Promise<Volume[]> {
    const machines = this.parts.machines();
    const drives = machines.flatMap(({ id, name, folder, drives: all }): UsedDrive[] =>
      all.flatMap((drive) =>
        drive.path === null ? [] : [{ machine: { id, name }, file: path.resolve(folder, drive.path), format: drive.format }],
      ),
    );
    const places: ScanPlace[] = [
      ...this.parts.pools
        .settings()
        .filter(({ id }) => id !== MACHINES_POOL)
        .map(({ id, folder }) => ({ pool: id, folder, machine: null })),
      ...machines.map(({ id, name, folder }) => ({ pool: MACHINES_POOL, folder, machine: { id, name } })),
    ];
    return this.scanner.scan(places, drives);
  }

  /** The volume at `file`. Nothing but what a pool or a machine's folder holds is ever worked on. */
  async get(file: string): Promise<Volume> {
    const wanted = path.resolve(file);
    const volume = (await this.list()).find((each) => each.path === wanted);
    if (!volume) throw new HypervueError('not-found', say('noImageInPool', { file }), { path: file }, say('fixNoImageInPool'));
    return volume;
  }

  async info(file: string): Promise<VolumeDetails> {
    const volume = await this.get(file);
    // Of an image that is being written to, the tables in the file are half the truth.
    if (volume.problem || volume.lockedBy !== null || !isDiskFormat(volume.format)) return { volume, map: null };
    const { version, clusterBytes, refcountBits, compression, extendedL2, encryption, dirty, damaged, snapshots } = await this.disks.info(
      volume.path,
      volume.format,
    );
    const map = { data: 0, compressed: 0, zero: 0, backing: 0 };
    if (volume.format === 'raw') {
      map.data = Math.min(volume.allocatedBytes, volume.fileBytes);
      map.zero = volume.fileBytes - map.data;
    } else if (!dirty && !damaged) for (const { kind, length } of await this.disks.map(volume.path, volume.format)) map[kind] += length;
    const known = <T>(name: string, value: T | undefined) => (value === undefined ? {} : { [name]: value });
    return {
      volume,
      ...known('version', version),
      ...known('clusterBytes', clusterBytes),
      ...known('refcountBits', refcountBits),
      ...known('compression', compression),
      ...known('extendedL2', extendedL2),
      ...known('encryption', encryption),
      ...known('dirty', dirty),
      ...known('damaged', damaged),
      ...known('snapshots', snapshots),
      map: dirty || damaged ? null : map,
    };
  }

  async create(wanted: ParsedParams<'storage.create'>): Promise<Volume> {
    const file = await this.place(wanted.pool, wanted.name);
    const qcow2Only = (['clusterBytes', 'extendedL2', 'compression', 'backing', 'passphrase'] as const).find(
      (name) => wanted[name] !== undefined,
    );
    if (wanted.format === 'raw' && (qcow2Only || wanted.preallocation === 'metadata'))
      throw new HypervueError(
        'invalid-argument',
        say('rawHasNo', { option: qcow2Only ?? 'metadata' }),
        { path: file, field: qcow2Only ?? 'preallocation' },
        say('fixQcow2OrLeave'),
      );
    let { sizeBytes } = wanted;
    let below: { backingFile: string; backingFormat: string } | undefined;
    if (wanted.backing !== undefined) {
      const base = await this.base(wanted.backing);
      sizeBytes ??= base.sizeBytes;
      below = { backingFile: this.nameFor(file, base.path), backingFormat: base.format };
    }
    if (sizeBytes === undefined)
      throw new HypervueError('invalid-argument', say('noSize'), { path: file, field: 'sizeBytes' }, say('fixNoSize'));
    const size = sizeBytes;
    if (wanted.preallocation === 'falloc' || wanted.preallocation === 'full') await needRoom(file, size);
    return this.making('disk.create', file, (temporary, control) =>
      this.disks.create(temporary, {
        format: wanted.format,
        sizeBytes: size,
        preallocation: wanted.preallocation,
        ...(wanted.clusterBytes ? { clusterSize: wanted.clusterBytes } : {}),
        ...(wanted.extendedL2 ? { extendedL2: true } : {}),
        ...(wanted.compression ? { compression: wanted.compression } : {}),
        ...below,
        passphrase: wanted.passphrase,
        ...watched(control),
      }),
    );
  }

  async convert(wanted: ParsedParams<'storage.convert'>): Promise<Volume> {
    const file = await this.place(wanted.pool, wanted.name);
    if (!path.isAbsolute(wanted.from))
      throw new HypervueError('invalid-argument', say('notAbsolute', { path: wanted.from }), { path: wanted.from }, say('fixAbsolute'));
    const from = path.resolve(wanted.from);
    // What a machine says of an image counts more than what its guest has written into it.
    const known = (await this.list()).find((volume) => volume.path === from);
    if (known?.problem) throw errorFrom(known.problem);
    const format = wanted.fromFormat ?? imageFormats.find((each) => each === known?.format);
    return this.making(known ? 'disk.convert' : 'disk.import', file, (temporary, control) =>
      this.disks.convert({
        from: { path: from, format, passphrase: wanted.passphrase },
        to: { path: temporary, format: wanted.format, passphrase: wanted.encrypt },
        compress: wanted.compress,
        signal: control.signal,
        progress: (done, total) => control.bytes(done, total, from),
      }),
    );
  }

  /** Rejects when `upload` would from the start. */
  async expectUpload(pool: string, name: string, sizeBytes: number): Promise<string> {
    const file = await this.place(pool, name);
    await needRoom(file, sizeBytes);
    await refuseTaken(file);
    return file;
  }

  /** A new file with what comes from `source`. */
  async upload(pool: string, name: string, sizeBytes: number, source: Readable): Promise<Volume> {
    const file = await this.expectUpload(pool, name, sizeBytes);
    return this.making('disk.upload', file, (temporary, control) =>
      receiveFile(temporary, sizeBytes, source, { signal: control.signal, progress: (done, total) => control.bytes(done, total) }),
    );
  }

  async linkedClone(source: string, pool: string, name: string, passphrase?: string): Promise<Volume> {
    const file = await this.place(pool, name);
    const base = await this.base(source);
    return this.making('disk.clone', file, (temporary) =>
      this.disks.create(temporary, {
        format: 'qcow2',
        sizeBytes: base.sizeBytes,
        backingFile: this.nameFor(file, base.path),
        backingFormat: base.format,
        passphrase: base.encrypted ? passphrase : undefined,
      }),
    );
  }

  async resize(file: string, sizeBytes: number, passphrase?: string): Promise<Volume> {
    const volume = await this.writable(file, 'resize');
    return this.changing('disk.resize', volume, (control) =>
      // The contract's method is the word that it may become smaller; it does only when nothing is cut off.
      this.disks
        .opening(passphrase)
        .resize(volume.path, sizeBytes, { format: volume.format as DiskFormat, shrink: true, ...watched(control) }),
    );
  }

  async check(file: string, repair: 'none' | 'leaks' | 'all'): Promise<VolumeCheckReport> {
    const volume = repair === 'none' ? await this.usable(file) : await this.writable(file, 'repair', true);
    return this.parts.tasks.run(repair === 'none' ? 'disk.check' : 'disk.repair', volume.name, async (control) => {
      const report = await this.disks.check(volume.path, repair, {
        signal: control.signal,
        progress: (done, total) => control.progress(total ? done / total : null),
      });
      if (repair !== 'none') this.parts.changed();
      const { errors, leaks, errorsFixed, leaksFixed, messages, belowProblem } = report;
      return { errors, leaks, errorsFixed, leaksFixed, messages, belowProblem };
    });
  }

  /** What lies below must be a volume too, of which nobody else makes use: it is written to. */
  async commit(file: string, passphrase?: string): Promise<Volume> {
    const volume = await this.writable(file, 'commit', true);
    const lower = volume.below[0];
    if (!lower)
      throw new HypervueError(
        'invalid-argument',
        say('nothingBelow', { name: volume.name }),
        { path: volume.path, operation: 'commit' },
        say('fixOverlay'),
      );
    const base = await this.writable(lower.path, 'commit', true);
    const others = base.usedBy.filter((user) => user.path !== volume.path).map(({ name }) => name);
    if (others.length)
      throw new HypervueError(
        'in-use',
        say('sharedChange', { name: base.name, names: listed(others) }),
        { object: volume.name, path: base.path, holder: others[0]!, operation: 'commit' },
        say('fixRebase'),
      );
    return this.changing('disk.commit', volume, async (control) => {
      await this.disks.opening(passphrase).commit(volume.path, watched(control));
    });
  }

  async rebase(file: string, backing: string | null, passphrase?: string): Promise<Volume> {
    const volume = await this.writable(file, 'rebase', true);
    if (volume.format !== 'qcow2')
      throw new HypervueError(
        'unsupported',
        say('rawLiesOnNothing', { name: volume.name }),
        { path: volume.path, operation: 'rebase' },
        say('fixToQcow2'),
      );
    const base = backing === null ? undefined : await this.base(backing);
    const options = base ? { backingFile: this.nameFor(volume.path, base.path), backingFormat: base.format } : {};
    return this.changing('disk.rebase', volume, (control) =>
      this.disks.opening(passphrase).rebase(volume.path, { ...options, ...watched(control) }),
    );
  }

  async compact(file: string, passphrase?: string): Promise<{ beforeBytes: number; afterBytes: number }> {
    const volume = await this.writable(file, 'compact', true);
    return this.parts.tasks.run('disk.compact', volume.name, async (control) => {
      try {
        const { before, after } = await this.disks
          .opening(passphrase)
          .compact(volume.path, { format: volume.format as DiskFormat, ...watched(control) });
        return { beforeBytes: before, afterBytes: after };
      } finally {
        this.parts.changed();
      }
    });
  }

  /** Both are only read, but nobody may write to them meanwhile. */
  async compare(file: string, other: string, passphrase?: string): Promise<{ differsAt: number | null }> {
    const [first, second] = [await this.readable(file), await this.readable(other)];
    return this.parts.tasks.run('disk.compare', `${first.name} – ${second.name}`, async (control) => {
      const formats = { a: readAs(first), b: readAs(second) };
      const at = await this.disks.opening(passphrase).compare(first.path, second.path, { formats, ...watched(control) });
      return { differsAt: at ?? null };
    });
  }

  /** To the trash of its pool, or of the library when it lies in a machine's folder. */
  async delete(file: string): Promise<{ trashId: string }> {
    const volume = await this.get(file);
    await this.refuseUsed(volume);
    return this.parts.tasks.run('disk.delete', volume.name, async (control) => {
      const lock = volume.problem ? undefined : this.parts.locks.acquire(volume.path, false, 'the trash');
      try {
        const trashId = await moveToTrash(volume.machine ? this.parts.library : path.dirname(volume.path), volume.path);
        control.undo(trashId);
        return { trashId };
      } finally {
        lock?.dispose();
        this.parts.changed();
        this.parts.trashChanged();
      }
    });
  }

  /** How much `delete` would put into the trash, or why it would not. */
  async planDelete(file: string): Promise<{ bytes: number; refusal: ErrorDto | null }> {
    const volume = await this.get(file);
    let refusal: ErrorDto | null = null;
    try {
      await this.refuseUsed(volume);
      if (volume.lockedBy !== null)
        throw new HypervueError(
          'in-use',
          say('openIn', { name: volume.name, holder: volume.lockedBy }),
          { object: volume.name, path: volume.path, holder: volume.lockedBy, operation: 'delete' },
          say('fixCloseHolder', { holder: volume.lockedBy }),
        );
    } catch (error) {
      refusal = asHypervueError(error).toJSON();
    }
    return { bytes: volume.allocatedBytes, refusal };
  }

  /** A volume that can be a disk of `machine`. */
  async attachable(file: string): Promise<Volume> {
    const volume = await this.writable(file, 'attach');
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
    for (const { name, folder, drives } of this.parts.machines()) {
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
    const inside = (file: string) => file.startsWith(`${path.resolve(folder)}${path.sep}`);
    const names = (await this.list())
      .filter((volume) => !inside(volume.path) && volume.below.some((lower) => inside(lower.path)))
      .map((volume) => volume.machine?.name ?? volume.name);
    return [...new Set(names)];
  }

  /** Free path for a new file in a pool. */
  private async place(pool: string, name: string): Promise<string> {
    return path.join(await this.parts.pools.folderFor(pool), name);
  }

  /** A volume of whatever format. */
  private async readable(file: string): Promise<Volume> {
    const volume = await this.get(file);
    const { problem } = volume;
    if (problem) throw errorFrom(problem);
    return volume;
  }

  private async usable(file: string): Promise<Volume> {
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
  private async writable(file: string, operation: string, keepsContents = false): Promise<Volume> {
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
        say('volumeInUse', { name: volume.name, holder: volume.lockedBy }),
        { object: volume.name, path: volume.path, holder: volume.lockedBy, operation },
        say('fixStopHolder', { holder: volume.lockedBy }),
      );
    const saved = this.parts.machines().find((machine) => machine.saved && volume.usedBy.some(({ id }) => id === machine.id));
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
  private async base(file: string): Promise<{ path: string; format: DiskFormat; sizeBytes: number; encrypted: boolean }> {
    if (!path.isAbsolute(file))
      throw new HypervueError('invalid-argument', say('notAbsolute', { path: file }), { path: file }, say('fixAbsolute'));
    const wanted = path.resolve(file);
    const known = (await this.list()).find((volume) => volume.path === wanted);
    const { format, sizeBytes, problem, encrypted } = known ?? (await readImageFacts(wanted));
    if (problem) throw errorFrom(problem);
    if (!isDiskFormat(format) || !sizeBytes)
      throw new HypervueError('unsupported', say('notBelow', { path: file }), { path: file }, say('fixRawOrQcow2'));
    if (known?.lockedBy)
      throw new HypervueError(
        'in-use',
        say('holderChanges', { name: known.name, holder: known.lockedBy }),
        { path: file, holder: known.lockedBy },
        say('fixStopHolder', { holder: known.lockedBy }),
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
    return this.parts.machines().some((machine) => machine.id === id && machine.template);
  }

  /** How an image names the one below it: relative while both lie in one pool or in the library, so that the folder can be moved. */
  private nameFor(file: string, base: string): string {
    const roots = [path.dirname(file), path.dirname(this.parts.library)];
    return roots.some((root) => base.startsWith(`${root}${path.sep}`) && file.startsWith(`${root}${path.sep}`))
      ? path.relative(path.dirname(file), base)
      : base;
  }

  /** What others need is not deleted. Rejects with 'in-use'. */
  private async refuseUsed(volume: Volume): Promise<void> {
    const { name, path: file, usedBy } = volume;
    const [user] = usedBy;
    const names = user ? usedBy.map((each) => each.name) : await this.imagesAbove(file);
    if (!names.length) return;
    throw new HypervueError(
      'in-use',
      say('usedBy', { name, names: listed(names) }),
      { object: name, path: file, holder: names[0]!, operation: 'delete' },
      user?.kind === 'machine' ? say('fixRemoveFrom', { name: names[0] }) : say('fixDeleteOrRebase', { name: names[0] }),
    );
  }

  private making(kind: string, file: string, make: (temporary: string, control: TaskControl) => Promise<void>): Promise<Volume> {
    return this.parts.tasks.run(kind, path.basename(file), async (control) => {
      await makeFile(file, async (temporary) => {
        await make(temporary, control);
        control.signal.throwIfAborted();
      });
      this.parts.changed();
      return this.get(file);
    });
  }

  private changing(kind: string, volume: Volume, change: (control: TaskControl) => Promise<void>): Promise<Volume> {
    return this.parts.tasks.run(kind, volume.name, async (control) => {
      try {
        await change(control);
      } finally {
        this.parts.changed();
      }
      return this.get(volume.path);
    });
  }
}

const watched = (control: TaskControl) => ({
  signal: control.signal,
  progress: (done: number, total: number) => control.bytes(done, total),
});

/** "a", "a and b", "a, b and 3 more". */
export function listed(names: readonly string[]): string {
  if (names.length <= 1) return names[0] ?? '';
  if (names.length === 2) return `${names[0]} and ${names[1]}`;
  return `${names[0]}, ${names[1]} and ${names.length - 2} more`;
}
