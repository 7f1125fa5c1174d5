/** What can be done with the volumes of the pools: each operation as a task, on an image that nobody uses, into a file that appears whole or not at all. */
import path from 'node:path';
import { TASK_HOLDER } from '../../contract/holders.ts';
import type { ErrorDto } from '../../contract/errors.ts';
import type { Readable } from 'node:stream';
import type { Volume, VolumeCheckReport, VolumeDetails } from '../../contract/storage.ts';
import type { ParsedParams } from '../../contract/methods.ts';
import type { DiskFormat } from '../../contract/vm.ts';
import { imageFormats } from '../../contract/vm.ts';
import { fixHolder, saidHolder } from '../../platform/holderwords.ts';
import { makeFile, refuseTaken } from '../../platform/newfile.ts';
import { receiveFile } from '../../platform/receivefile.ts';
import { asHypervueError, errorFrom, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { Disks } from '../disks.ts';
import { inspectMedia } from '../inspectmedia.ts';
import { fixOf, mediumProblem } from '../preflight.ts';
import { isDiskFormat, KnownVolumes, type KnownVolumesParts, listed } from './knownvolumes.ts';
import { moveToTrash } from '../trash.ts';
import type { TaskControl, Tasks } from '../tasks.ts';
import { needRoom, readAs } from './requirements.ts';
import { RAW_ENDINGS } from './scan.ts';
import { absolutePath, isBelow } from '../paths.ts';

export interface VolumesParts extends KnownVolumesParts {
  tasks: Tasks;
  /** Pools or volumes changed. */
  changed(): void;
  trashChanged(): void;
}

export class Volumes extends KnownVolumes {
  private readonly parts: VolumesParts;
  private readonly disks: Disks;

  constructor(parts: VolumesParts) {
    super(parts);
    this.parts = parts;
    this.disks = new Disks(parts.locks, async () => (await this.list()).map((volume) => volume.path));
  }

  async info(file: string): Promise<VolumeDetails> {
    const volume = await this.get(file);
    // Of an image that is being written to, the tables in the file are half the truth.
    if (volume.problem || volume.lockedBy !== null || !isDiskFormat(volume.format)) return { volume, map: null };
    const { version, clusterBytes, refcountBits, compression, extendedL2, encryption, dirty, damaged, snapshots } = await this.disks.info(
      volume.path,
      volume.format,
      volume.encrypted,
    );
    // What shows from below an encrypted one is not told by its tables alone.
    const unseen = volume.encrypted && volume.below.length > 0;
    const map = { data: 0, compressed: 0, zero: 0, backing: 0 };
    if (volume.format === 'raw') {
      map.data = Math.min(volume.allocatedBytes, volume.fileBytes);
      map.zero = volume.fileBytes - map.data;
    } else if (!dirty && !damaged && !unseen)
      for (const { kind, length } of await this.disks.map(volume.path, volume.format, volume.encrypted)) map[kind] += length;
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
      map: dirty || damaged || unseen ? null : map,
    };
  }

  async create(wanted: ParsedParams<'storage.create'>): Promise<Volume> {
    const file = await this.place(wanted.pool, wanted.name, wanted.format === 'raw' ? 'raw' : undefined);
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
    const file = await this.place(wanted.pool, wanted.name, wanted.format === 'raw' ? 'raw' : undefined);
    const from = path.resolve(absolutePath(wanted.from));
    // What a machine says of an image counts more than what its guest has written into it.
    const known = (await this.list()).find((volume) => volume.path === from);
    if (known?.problem && wanted.fromFormat === undefined) throw errorFrom(known.problem);
    const format = wanted.fromFormat ?? imageFormats.find((each) => each === known?.format);
    if (format === undefined && known === undefined) await refuseNoImage(from);
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
    const file = await this.place(pool, name, 'img');
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
      const { errors, leaks, errorsFixed, leaksFixed, messages, belowProblem, saidMessages, saidBelow } = report;
      return { errors, leaks, errorsFixed, leaksFixed, messages, belowProblem, saidMessages, ...(saidBelow ? { saidBelow } : {}) };
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

  async rebase({ path: file, backing, passphrase, nameOnly }: ParsedParams<'storage.rebase'>): Promise<Volume> {
    const volume = await this.writable(file, 'rebase', true);
    if (volume.format !== 'qcow2')
      throw new HypervueError(
        'unsupported',
        say('rawLiesOnNothing', { name: volume.name }),
        { path: volume.path, operation: 'rebase' },
        say('fixToQcow2'),
      );
    if (nameOnly && backing === null)
      throw new HypervueError(
        'invalid-argument',
        say('nameOfNone', { name: volume.name }),
        { path: volume.path, operation: 'rebase' },
        say('fixNameOfNone'),
      );
    const base = backing === null ? undefined : await this.base(backing);
    const options = base ? { backingFile: this.nameFor(volume.path, base.path), backingFormat: base.format } : {};
    return this.changing('disk.rebase', volume, (control) =>
      this.disks.opening(passphrase).rebase(volume.path, { ...options, unsafe: nameOnly, ...watched(control) }),
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
          say('openIn', { name: volume.name, holder: saidHolder(volume.lockedBy) }),
          { object: volume.name, path: volume.path, holder: volume.lockedBy, operation: 'delete' },
          volume.lockedBy === TASK_HOLDER ? fixHolder(volume.lockedBy) : say('fixCloseHolder', { holder: volume.lockedBy }),
        );
    } catch (error) {
      refusal = asHypervueError(error).toJSON();
    }
    return { bytes: volume.allocatedBytes, refusal };
  }

  /** Path for a new file in a pool; with `ending`, which what is or may be a raw image needs to be known again, where its name has none. */
  private async place(pool: string, name: string, ending?: string): Promise<string> {
    const file = ending === undefined || RAW_ENDINGS.test(name) ? name : `${name}.${ending}`;
    return path.join(await this.parts.pools.folderFor(pool), file);
  }

  /** How an image names the one below it: relative while both lie in one pool or in the library, so that the folder can be moved. */
  private nameFor(file: string, base: string): string {
    const roots = [path.dirname(file), path.dirname(this.parts.library)];
    return roots.some((root) => isBelow(root, base) && isBelow(root, file)) ? path.relative(path.dirname(file), base) : base;
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

/** What becomes a volume has to look like an image, unless somebody says what it is. Rejects with 'invalid-argument', and when the file can't be read. */
async function refuseNoImage(file: string): Promise<void> {
  const { format = 'raw', kind, bootable, content, problems } = await inspectMedia(file);
  if (format !== 'raw') return;
  const context = { path: file, operation: 'import', reason: 'not-an-image' };
  const wrong = problems.find(({ severity }) => severity === 'error');
  if (wrong && kind !== 'unknown') throw new HypervueError('invalid-argument', mediumProblem(file, wrong), context, fixOf(wrong));
  const looks = kind === 'iso' || kind === 'floppy' || (kind === 'disk' && (bootable || content || RAW_ENDINGS.test(file)));
  if (!looks)
    throw new HypervueError(
      'invalid-argument',
      wrong ? mediumProblem(file, wrong) : say('notAnImage', { name: path.basename(file) }),
      context,
      say('fixNotAnImage'),
    );
}

const watched = (control: TaskControl) => ({
  signal: control.signal,
  progress: (done: number, total: number) => control.bytes(done, total),
});
