/** The storage part of the contract: pools, volumes and the trash. */
import path from 'node:path';
import type { RiskKind } from '../../contract/snapshots.ts';
import type { storageMethods, TrashItem, Volume } from '../../contract/storage.ts';
import type { Handlers } from '../../contract/server.ts';
import { busOf, driveBuses, freePlace } from '../../contract/drives.ts';
import type { Drive } from '../../contract/vm.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { Machine } from '../machine.ts';
import { isVolume, listTrash, measured, removeFromTrash, restoreVolume, trashHolds } from '../trash.ts';
import { refuseRemoval, refuseRestore, type Trashed } from '../trashneeds.ts';
import type { WebFiles } from './webfiles.ts';
import { listed } from './knownvolumes.ts';
import type { Volumes, VolumesParts } from './volumes.ts';

export interface StorageServiceParts extends Pick<VolumesParts, 'pools' | 'library' | 'tasks' | 'changed' | 'trashChanged'> {
  volumes: Volumes;
  files: WebFiles;
  machine(id: string): Machine;
  /** Brings a machine back from the trash of the library; gives its folder. */
  restoreMachine(trashId: string): Promise<Machine>;
  /** Before something risky is done to a machine. */
  before(machine: Machine, risk: RiskKind): Promise<void>;
  /** Runs `work` while nobody else looks at the library or changes it. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

export class StorageService {
  readonly handlers: Pick<Handlers, keyof typeof storageMethods>;
  private readonly parts: StorageServiceParts;

  constructor(parts: StorageServiceParts) {
    this.parts = parts;
    const { pools, volumes } = parts;
    /** Tells clients after a change of pools. */
    const told = async <T>(work: Promise<T>): Promise<T> => {
      const result = await work;
      parts.changed();
      return result;
    };
    this.handlers = {
      'storage.pools': () => pools.list(),
      'storage.addPool': ({ name, folder, create }) => told(pools.add(name, folder, create)),
      'storage.renamePool': ({ id, name }) => told(pools.rename(id, name)),
      'storage.removePool': async ({ id }) => {
        await told(pools.remove(id));
        return null;
      },
      'storage.volumes': () => volumes.list(),
      'storage.info': ({ path: file }) => volumes.info(file),
      'storage.create': (wanted) => volumes.create(wanted),
      'storage.convert': (wanted) => volumes.convert(wanted),
      'storage.linkedClone': ({ path: file, pool, name, passphrase }) => volumes.linkedClone(file, pool, name, passphrase),
      'storage.resize': ({ path: file, sizeBytes, passphrase }) => this.resize(file, sizeBytes, passphrase),
      'storage.check': ({ path: file, repair }) => volumes.check(file, repair),
      'storage.commit': ({ path: file, passphrase }) => volumes.commit(file, passphrase),
      'storage.rebase': (wanted) => volumes.rebase(wanted),
      'storage.compact': ({ path: file, passphrase }) => volumes.compact(file, passphrase),
      'storage.compare': ({ path: file, with: other, passphrase }) => volumes.compare(file, other, passphrase),
      'storage.download': ({ path: file }, caller) => parts.files.offer(file, caller?.tokenId ?? null),
      'storage.upload': (wanted, caller) => parts.files.expect(wanted, caller?.tokenId ?? null),
      'storage.planDelete': ({ path: file }) => volumes.planDelete(file),
      'storage.delete': ({ path: file }) => volumes.delete(file),
      'storage.attach': ({ path: file, machine }) => this.attach(file, machine),
      'storage.detach': ({ path: file, machine }) => this.detach(file, machine),
      'trash.list': async () => {
        const items: TrashItem[] = [];
        for (const { root, ...entry } of await this.trash()) {
          const item = await measured(root, entry).catch(() => undefined);
          if (item) items.push(item);
        }
        return items;
      },
      'trash.restore': ({ id }) => this.restore(id),
      'trash.remove': ({ ids }) => this.remove(ids),
    };
  }

  /** Removes what tasks left behind that were cut off; gives the paths. */
  tidy(): Promise<string[]> {
    return this.parts.volumes.tidy();
  }

  /** Every volume that there is. */
  known(): Promise<Volume[]> {
    return this.parts.volumes.list();
  }

  /** Throws 'in-use' when the machine would write to an image that others lie on top of. `known`: what there is, for who asks of several machines. */
  async refuseBases(machine: Machine, operation = 'start', known: () => Promise<Volume[]> = () => this.known()): Promise<void> {
    const own = (machine.config?.drives ?? []).filter(({ kind, path: file, readOnly }) => kind === 'disk' && file !== null && !readOnly);
    if (own.length === 0) return;
    const volumes = await known();
    for (const drive of own) {
      const file = path.resolve(machine.folder, drive.path!);
      const volume = volumes.find((each) => each.path === file);
      const above = await (volume ? this.parts.volumes.overlays(volume, volumes) : this.parts.volumes.imagesAbove(file, volumes));
      if (above.length)
        throw new HypervueError(
          'in-use',
          say(above.length > 1 ? 'lieOnTop' : 'liesOnTop', { names: listed(above), name: path.basename(file) }),
          { object: machine.name, path: file, holder: above[0]!, operation },
          say('fixGiveClone', { name: machine.name }),
        );
    }
  }

  /** The disk of a machine that runs here grows in it; its guest sees that at once. */
  private async resize(file: string, sizeBytes: number, passphrase?: string): Promise<Volume> {
    const volume = await this.parts.volumes.get(file);
    for (const user of volume.usedBy) {
      const machine = user.kind === 'machine' && user.id !== undefined ? this.parts.machine(user.id) : undefined;
      const drive = machine?.config?.drives.find(
        (each) => each.kind === 'disk' && each.path !== null && path.resolve(machine.folder, each.path) === volume.path,
      );
      if (!machine?.active || !drive) continue;
      await this.parts.tasks.run('disk.resize', volume.name, () => machine.drives.grow(drive.id, sizeBytes));
      this.parts.changed();
      return this.parts.volumes.get(file);
    }
    if (volume.sizeBytes !== null && sizeBytes < volume.sizeBytes)
      for (const { kind, id } of volume.usedBy)
        if (kind === 'machine' && id !== undefined) await this.parts.before(this.parts.machine(id), 'shrink');
    return this.parts.volumes.resize(file, sizeBytes, passphrase);
  }

  private async attach(file: string, id: string): Promise<{ drive: string; waits: boolean }> {
    const machine = this.parts.machine(id);
    const volume = await this.parts.volumes.attachable(file);
    const drives = machine.config?.drives ?? [];
    // Where its other disks are: a guest that has a driver for them sees this one too.
    const taken = drives.map((drive) => drive.id);
    const first = drives.find(({ kind }) => kind === 'disk');
    const bus = first ? busOf(first.id) : 'ide';
    const free = [bus, ...driveBuses].map((each) => freePlace(each, taken)).find((place) => place !== undefined);
    if (free === undefined)
      throw new HypervueError(
        'resource-limit',
        say('drivesTaken', { name: machine.name }),
        { object: machine.name, operation: 'attach' },
        say('fixDrivesTaken'),
      );
    const inside = path.dirname(volume.path) === machine.folder;
    const drive: Drive = {
      id: free,
      kind: 'disk',
      path: inside ? volume.name : volume.path,
      format: volume.format as Drive['format'],
      readOnly: false,
    };
    await machine.settings.update({ drives: [...drives, drive] });
    this.parts.changed();
    return { drive: free, waits: machine.settings.pending };
  }

  private async detach(file: string, id: string): Promise<{ waits: boolean }> {
    const machine = this.parts.machine(id);
    const wanted = path.resolve(file);
    const drives = machine.config?.drives ?? [];
    const uses = (drive: Drive) => drive.kind === 'disk' && drive.path !== null && path.resolve(machine.folder, drive.path) === wanted;
    if (!drives.some(uses))
      throw new HypervueError('not-found', say('noDiskOf', { file, name: machine.name }), {
        object: machine.name,
        path: file,
        operation: 'detach',
      });
    if (!machine.active) await this.parts.before(machine, 'drives');
    await machine.settings.update({ drives: drives.filter((drive) => !uses(drive)) });
    this.parts.changed();
    return { waits: machine.settings.pending };
  }

  /** Folders with a trash of their own: the library, and every pool. */
  private roots(): string[] {
    return [...new Set([this.parts.library, ...this.parts.pools.settings().map(({ folder }) => folder)])];
  }

  private async trash(): Promise<Trashed[]> {
    const items = (await Promise.all(this.roots().map(async (root) => (await listTrash(root)).map((item) => ({ ...item, root }))))).flat();
    return items.sort((a, b) => (a.deletedAt < b.deletedAt ? 1 : -1));
  }

  private async rootOf(id: string): Promise<string> {
    for (const root of this.roots()) if (await trashHolds(root, id)) return root;
    throw new HypervueError('not-found', say('trashGone'), { object: id }, say('fixTrashGone'));
  }

  /** Brings a machine back from the trash of the library. */
  async restoreMachine(id: string): Promise<Machine> {
    await this.refuseRestore(id);
    return this.parts.restoreMachine(id);
  }

  private async refuseRestore(id: string): Promise<void> {
    const trash = await this.trash();
    const item = trash.find((each) => each.id === id);
    if (item) await refuseRestore(item, trash);
  }

  private async restore(id: string): Promise<{ path: string }> {
    const root = await this.rootOf(id);
    await this.refuseRestore(id);
    try {
      if (await isVolume(root, id)) return { path: await this.parts.exclusively(() => restoreVolume(root, id)) };
      if (root !== this.parts.library)
        throw new HypervueError('unsupported', say('trashFolderNoMachine'), { path: root }, say('fixByHand'));
      return { path: (await this.parts.restoreMachine(id)).folder };
    } finally {
      this.parts.trashChanged();
      this.parts.changed();
    }
  }

  private async remove(ids: readonly string[]): Promise<null> {
    const trash = await this.trash();
    await refuseRemoval(ids, trash);
    const names = trash.filter(({ id }) => ids.includes(id)).map(({ name }) => name);
    return this.parts.tasks.run('trash.remove', listed(names), async (control) => {
      try {
        for (const [index, id] of ids.entries()) {
          control.signal.throwIfAborted();
          const root = await this.rootOf(id);
          await this.parts.exclusively(() => removeFromTrash(root, id));
          control.progress((index + 1) / ids.length);
        }
        return null;
      } finally {
        this.parts.trashChanged();
      }
    });
  }
}
