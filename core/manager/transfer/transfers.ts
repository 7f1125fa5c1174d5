/** Clone, template, import and export of whole machines. */
import { type Operation, operationWord, stateWord } from '../operationwords.ts';
import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, readdir, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ParsedParams } from '../../contract/methods.ts';
import type { Handlers } from '../../contract/server.ts';
import type { transferMethods } from '../../contract/transfer.ts';
import type { Check, VmConfig, VmSummary } from '../../contract/vm.ts';
import { freeBytes } from '../../platform/hostinfo.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { acquireLock, livingOwner } from '../../platform/locks.ts';
import { aboutWanted, CREATOR_LOCK, UNFINISHED } from '../../platform/newfile.ts';
import { fileError } from '../../platform/nodefile.ts';
import { HypervueError } from '../../util/errors.ts';
import { type Saying, say, worded } from '../../util/say.ts';
import { moveIntoLibrary } from '../createvm.ts';
import { refuseDeviceDisks, withoutDevices } from '../devicedisks.ts';
import type { Machine } from '../machine.ts';
import { LOCK_FILE, lockFolder } from '../machinelocks.ts';
import { renewedCards } from '../macs.ts';
import { folderName, freeName } from '../names.ts';
import { listed } from '../storage/knownvolumes.ts';
import type { Volumes } from '../storage/volumes.ts';
import type { TaskControl, Tasks } from '../tasks.ts';
import { CONFIG_FILE, readVmConfig, writeVmConfig } from '../vmconfigfile.ts';
import { copyMachine, linkDisks, linkMachine, refuseLinked } from './clone.ts';
import { copySnapshot, linkSnapshot } from './snapshotclone.ts';
import { exportPackage, importPackage, nameInPackage } from './ova.ts';
import { type DiskOwner, outsideNote } from './outsidedisk.ts';
import { carryFolder, copyBytes, listFolder } from './wholefolder.ts';
import { absolutePath, isBelow } from '../paths.ts';

export interface TransferParts {
  library: string;
  locks: ImageLocks;
  tasks: Tasks;
  volumes: Volumes;
  /** Tells of a file that was exported to a place of the user's choice. */
  exported(file: string): Promise<void>;
  machine(id: string): Machine;
  /** All of the library. */
  owners(): readonly DiskOwner[];
  /** Ids and names that machines have. */
  ids(): ReadonlySet<string>;
  names(): readonly string[];
  /** An address for a network card that no machine has, and whether one has it. */
  newMac(): string;
  macTaken(mac: string): boolean;
  withName<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Runs `publish` while nobody else looks at the library or changes it. */
  exclusively<T>(publish: () => Promise<T>): Promise<T>;
  /** A folder that has just appeared in the library becomes a machine. */
  take(folder: string, config: VmConfig, how: string): VmSummary;
}

/** Notes as the contract carries them. */
const noted = (notes: readonly Saying[]) => ({ notes: notes.map(({ text }) => text), saidNotes: notes.map(({ said }) => said) });

export class Transfers {
  readonly handlers: Pick<Handlers, keyof typeof transferMethods>;
  private readonly parts: TransferParts;

  constructor(parts: TransferParts) {
    this.parts = parts;
    this.handlers = {
      'vm.clone': (wanted) => this.clone(wanted),
      'vm.setTemplate': ({ id, template }) => this.setTemplate(id, template),
      'vm.inspectFolder': ({ folder }) => this.inspect(folder),
      'vm.import': ({ folder, how }) => this.import(folder, how),
      'vm.export': ({ id, folder }) => this.export(id, folder),
      'vm.importOva': ({ file }) => this.importOva(file),
      'vm.exportOva': ({ id, file, passphrase }) => this.exportOva(id, file, passphrase),
    };
  }

  private async clone({ id, name, linked, passphrase }: ParsedParams<'vm.clone'>): Promise<VmSummary> {
    const machine = this.parts.machine(id);
    this.refuseSaved(machine, 'clone');
    return this.parts.withName(name, () =>
      this.parts.tasks.run('vm.clone', machine.name, (control) =>
        this.holding(machine, 'clone', async (config) => {
          const source = { folder: machine.folder, config };
          await refuseDeviceDisks(config, machine.folder, 'clone');
          if (linked) await refuseLinked(source);
          return this.building(name, control, async (building) => {
            const options = { name, newMac: this.parts.newMac, passphrase, locks: this.parts.locks, control };
            if (!linked) return { config: await copyMachine(source, building, options), how: `a clone of ${machine.name}` };
            const clone = await linkMachine(source, building, options);
            if (!config.template) await this.standAside(machine, config, passphrase);
            return { config: clone, how: `a linked clone of ${machine.name}` };
          });
        }),
      ),
    );
  }

  /** A machine with copies of the disks as they were in a snapshot, or with disks on top of them, and the hardware of then. The original may be running. */
  fromSnapshot(
    machine: Machine,
    then: { id: string; config: VmConfig; name: string; disks: readonly { drive: string; path: string }[] },
    tag: string,
    { name, linked, passphrase }: { name: string; linked: boolean; passphrase?: string | undefined },
  ): Promise<VmSummary> {
    return this.parts.withName(name, () =>
      this.parts.tasks.run('snapshot.clone', machine.name, (control) =>
        this.building(name, control, async (building) => {
          const { id, config, disks } = then;
          const make = linked ? linkSnapshot : copySnapshot;
          return {
            config: await make({ folder: machine.folder, id, config, disks, tag }, building, {
              name,
              newMac: this.parts.newMac,
              passphrase,
              control,
            }),
            how: `a ${linked ? 'linked ' : ''}clone of ${machine.name} as it was in "${then.name}"`,
          };
        }),
      ),
    );
  }

  /** A machine whose disks others lie on goes on with disks on top of them too. Its configuration switches in one write, so a crash leaves old or new. */
  private async standAside(machine: Machine, config: VmConfig, passphrase: string | undefined): Promise<void> {
    const before = await readdir(machine.folder);
    const taken = [...before];
    const remove = async (names: string[]) => {
      for (const name of names) await rm(path.join(machine.folder, name), { force: true }).catch(() => {});
    };
    try {
      const drives = await linkDisks({ folder: machine.folder, config }, machine.folder, taken, passphrase);
      const tops = new Map(config.drives.flatMap((drive, i) => (drive.path === drives[i]!.path ? [] : [[drive.path, drives[i]!]])));
      // Whoever changed its drives meanwhile keeps them: only the disks that are shared from now on become others.
      await machine.settings.replace((now) => ({
        ...now,
        drives: now.drives.map((drive) => {
          const top = drive.kind === 'disk' && !drive.readOnly ? tops.get(drive.path) : undefined;
          return top ? { ...drive, path: top.path, format: top.format } : drive;
        }),
      }));
    } catch (error) {
      await remove(taken.slice(before.length));
      throw error;
    }
    const used = new Set(machine.config?.drives.map(({ path: file }) => file));
    await remove(taken.slice(before.length).filter((name) => !used.has(name)));
    machine.record('info', 'manager', 'its disks are shared with a linked clone; it goes on with new ones on top of them');
  }

  private async setTemplate(id: string, template: boolean): Promise<VmSummary> {
    const machine = this.parts.machine(id);
    if (machine.active)
      throw new HypervueError(
        'invalid-state',
        say('cantDo', { operation: operationWord('make a template'), name: machine.name, what: stateWord(machine.state) }),
        { object: machine.name, operation: 'template' },
        say('fixTurnOff'),
      );
    this.refuseSaved(machine, 'make a template');
    if (template) await refuseDeviceDisks(machine.settings.usable('make a template'), machine.folder, 'template');
    if (!template) {
      const clones = await this.parts.volumes.dependants(machine.folder);
      if (clones.length)
        throw new HypervueError(
          'in-use',
          say('disksSharedWouldChange', { names: listed(clones), name: machine.name }),
          { object: machine.name, holder: clones[0]!, operation: 'template' },
          say('fixSharedWouldChange'),
        );
    }
    await machine.settings.update({ template });
    return machine.summary();
  }

  private refuseSaved(machine: Machine, operation: Operation): void {
    if (machine.state !== 'saved') return;
    throw new HypervueError(
      'invalid-state',
      say('cantDo', { operation: operationWord(operation), name: machine.name, what: say('nowSavedAlone') }),
      { object: machine.name, operation },
      say('fixSavedStart'),
    );
  }

  private async inspect(wanted: string) {
    const { folder, config: written } = await this.foreign(wanted);
    const { config, notes: devices } = await withoutDevices(written, folder);
    const whole = await listFolder(folder);
    const checks: Check[] = [];
    const found = (id: string, ok: boolean, severity: Check['severity'], message: Saying) =>
      checks.push({ id, ok, severity, ...worded(message) });
    const room = (neededBytes: number, freeBytes: number): Check => {
      const ok = freeBytes > neededBytes;
      const severity = ok ? ('info' as const) : ('error' as const);
      return { id: 'space', ok, severity, ...worded(say('importSpace', { neededBytes, freeBytes }), ok ? undefined : say('fixSpace')) };
    };
    const name = freeName(config.name, this.parts.names());
    if (name !== config.name) found('name', false, 'warning', say('importNameTaken', { wanted: config.name, name }));
    if (this.parts.ids().has(config.id)) found('id', false, 'warning', say('importIdTaken'));
    const free = await freeBytes(this.parts.library);
    checks.push(room(whole.bytes, free));
    for (const { drive, note } of devices) found(drive, false, 'warning', note);
    const outsideDisks: string[] = [];
    let withDisks = whole.bytes;
    for (const drive of config.drives) {
      const { path: file } = drive;
      if (file === null) continue;
      const there = await access(path.resolve(folder, file), constants.R_OK).then(
        () => true,
        () => false,
      );
      if (!there) found(drive.id, false, 'warning', say('importGone', { drive: drive.id, path: file }));
      else if (path.isAbsolute(file)) {
        found(drive.id, false, 'warning', await outsideNote({ ...drive, path: file }, this.parts.owners()));
        if (drive.kind === 'disk') {
          outsideDisks.push(drive.id);
          withDisks += await copyBytes(file, drive.format);
        }
      }
    }
    return {
      name,
      os: config.os,
      memoryMiB: config.memoryMiB,
      sizeBytes: whole.bytes,
      outsideDisks,
      withDisks: outsideDisks.length ? { sizeBytes: withDisks, space: room(withDisks, free) } : null,
      checks,
    };
  }

  private async import(wanted: string, how: 'copy' | 'copyDisks' | 'move') {
    const { folder, config } = await this.foreign(wanted);
    const { config: found, notes: devices } = await withoutDevices(config, folder);
    const name = freeName(found.name, this.parts.names());
    const id = this.parts.ids().has(found.id) ? randomUUID() : found.id;
    return this.parts.withName(name, () =>
      this.parts.tasks.run('vm.import', name, async (control) => {
        const notes: Saying[] = devices.map(({ note }) => note);
        if (name !== found.name) notes.push(say('noteName', { taken: found.name, name }));
        if (id !== found.id) notes.push(say('noteId'));
        // The same machine keeps its addresses, as far as nobody has them here.
        const sameCards = id === found.id && !found.network.some(({ mac }) => this.parts.macTaken(mac));
        if (id === found.id && !sameCards) notes.push(say('noteMac'));
        const network = sameCards ? found.network : renewedCards(found.network, this.parts.newMac);
        // Nobody may start it in the middle of this.
        const lock = acquireLock(path.join(folder, LOCK_FILE), found.name, 'an import');
        try {
          if (how === 'move') {
            await listFolder(folder);
            const machine = await this.parts.exclusively(async () => {
              const config = { ...found, id, name, autostart: null, network };
              await writeVmConfig(folder, config);
              return this.parts.take(await this.moveIn(folder, name), config, 'imported');
            });
            await rm(path.join(machine.folder, LOCK_FILE), { recursive: true, force: true });
            return { machine, ...noted(notes) };
          }
          const machine = await this.building(name, control, async (building) => {
            const options = {
              locks: this.parts.locks,
              holder: name,
              control,
              outside: how === 'copy' ? ('keep' as const) : how,
              owners: this.parts.owners(),
            };
            const carried = await carryFolder(folder, found, building, options);
            notes.push(...carried.notes);
            return { config: { ...carried.config, id, name, autostart: null, network }, how: `imported from ${folder}` };
          });
          return { machine, ...noted(notes) };
        } finally {
          lock.dispose();
        }
      }),
    );
  }

  private async moveIn(folder: string, name: string): Promise<string> {
    try {
      return await moveIntoLibrary(folder, this.parts.library, folderName(name));
    } catch (error) {
      if (!(error instanceof HypervueError) || error.context.code !== 'EXDEV') throw error;
      throw new HypervueError(
        'unsupported',
        say('otherDisk', { folder }),
        { path: folder, operation: 'import' },
        say('fixCopyInstead'),
        error,
      );
    }
  }

  private async export(id: string, wanted: string) {
    const machine = this.parts.machine(id);
    const place = await realpath(absolutePath(wanted)).catch((error) => {
      throw fileError(error, wanted, 'open');
    });
    const library = await realpath(this.parts.library);
    if (place === library || isBelow(library, place))
      throw new HypervueError('invalid-argument', say('liesInLibrary', { path: wanted }), { path: wanted }, say('fixLiesInLibrary'));
    return this.parts.tasks.run('vm.export', machine.name, (control) =>
      this.holding(machine, 'export', async (config) => {
        await refuseDeviceDisks(config, machine.folder, 'export');
        const building = path.join(place, `${UNFINISHED}${randomUUID()}`);
        const lock = acquireLock(`${building}${CREATOR_LOCK}`, machine.name, machine.name);
        try {
          await mkdir(building, { mode: 0o700 }).catch((error) => {
            throw fileError(error, place, 'create');
          });
          const options = { locks: this.parts.locks, holder: machine.name, control, outside: 'leave' as const, owners: [] };
          const carried = await carryFolder(machine.folder, config, building, options);
          await writeVmConfig(building, carried.config);
          control.signal.throwIfAborted();
          return { folder: await moveIntoLibrary(building, place, folderName(machine.name)), ...noted(carried.notes) };
        } catch (error) {
          await rm(building, { recursive: true, force: true }).catch(() => {});
          throw aboutWanted(error, building, path.join(place, folderName(machine.name)));
        } finally {
          lock.dispose();
        }
      }),
    );
  }

  private async importOva(wanted: string) {
    const file = absolutePath(wanted);
    const found = await nameInPackage(file);
    const name = freeName(found, this.parts.names());
    return this.parts.withName(name, () =>
      this.parts.tasks.run('vm.importOva', name, async (control) => {
        const notes: Saying[] = [];
        if (name !== found) notes.push(say('noteName', { taken: found, name }));
        const machine = await this.building(name, control, async (building) => {
          const made = await importPackage(file, { name, newMac: this.parts.newMac }, building, control);
          notes.push(...made.notes);
          return { config: made.config, how: `imported from ${file}` };
        });
        return { machine, ...noted(notes) };
      }),
    );
  }

  private async exportOva(id: string, wanted: string, passphrase?: string) {
    const machine = this.parts.machine(id);
    const file = absolutePath(wanted);
    return this.parts.tasks.run('vm.exportOva', machine.name, (control) =>
      this.holding(machine, 'export', async (config) => {
        await refuseDeviceDisks(config, machine.folder, 'export');
        const { notes } = await exportPackage(machine.folder, config, file, { locks: this.parts.locks, control, passphrase });
        await this.parts.exported(file);
        return { file, ...noted(notes) };
      }),
    );
  }

  /** A machine's folder that is not in the library, with its configuration. */
  private async foreign(wanted: string): Promise<{ folder: string; config: VmConfig }> {
    const folder = await realpath(absolutePath(wanted)).catch((error) => {
      throw fileError(error, wanted, 'open');
    });
    const library = await realpath(this.parts.library);
    if (folder === library || isBelow(library, folder) || isBelow(folder, library))
      throw new HypervueError('already-exists', say('ofLibraryAlready', { folder }), { path: folder }, say('fixElsewhere'));
    if (
      await access(path.join(folder, CONFIG_FILE)).then(
        () => false,
        (error) => error.code === 'ENOENT',
      )
    )
      throw new HypervueError('not-found', say('noMachineIn', { folder }), { path: folder, operation: 'import' }, say('fixNoMachineIn'));
    const config = await readVmConfig(folder);
    const owner = livingOwner(path.join(folder, LOCK_FILE));
    if (owner)
      throw new HypervueError(
        'in-use',
        say('machineInUse', { name: config.name, holder: owner.holder }),
        { object: config.name, path: folder, holder: owner.holder },
        say('fixOffThere'),
      );
    return { folder, config };
  }

  /** Keeps the machine from being started, by whatever manager, while `work` reads its disks. */
  private async holding<T>(machine: Machine, operation: Operation, work: (config: VmConfig) => Promise<T>): Promise<T> {
    if (machine.active)
      throw new HypervueError(
        'invalid-state',
        say('cantDo', { operation: operationWord(operation), name: machine.name, what: stateWord(machine.state) }),
        { object: machine.name, operation },
        say('fixTurnOff'),
      );
    const lock = lockFolder(machine.folder, machine.name, 'works on');
    try {
      return await work(await readVmConfig(machine.folder));
    } finally {
      lock.dispose();
    }
  }

  /** Builds a machine's folder aside; it appears in the library whole or not at all. */
  private async building(
    name: string,
    control: TaskControl,
    make: (building: string) => Promise<{ config: VmConfig; how: string }>,
  ): Promise<VmSummary> {
    const { library } = this.parts;
    const building = path.join(library, `${UNFINISHED}${randomUUID()}`);
    const lock = acquireLock(`${building}${CREATOR_LOCK}`, name, name);
    try {
      await mkdir(building, { mode: 0o700 });
      const { config, how } = await make(building);
      await writeVmConfig(building, config);
      return await this.parts.exclusively(async () => {
        control.signal.throwIfAborted();
        return this.parts.take(await moveIntoLibrary(building, library, folderName(name)), config, how);
      });
    } catch (error) {
      await rm(building, { recursive: true, force: true }).catch(() => {});
      throw aboutWanted(fileError(error, building, 'create'), building, path.join(library, folderName(name)));
    } finally {
      lock.dispose();
    }
  }
}
