import path from 'node:path';
import type { ErrorDto } from '../contract/errors.ts';
import { type HostInfo, type Settings, settingsSchema } from '../contract/host.ts';
import type { ChannelKind, EventName, EventPayload } from '../contract/methods.ts';
import { ContractServer, type Handlers } from '../contract/server.ts';
import type { ByteChannel, Transport } from '../contract/transport.ts';
import type { VmConfig, VmCreate, VmPatch, VmSummary } from '../contract/vm.ts';
import type { Engine } from '../engine/engine.ts';
import type { Firmware } from '../platform/firmware.ts';
import { freeBytes, hostFacts } from '../platform/hostinfo.ts';
import { ImageLocks } from '../platform/imagelocks.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import { browse } from './browse.ts';
import { createVm, removeUnfinished } from './createvm.ts';
import { hardwareList } from './hardwarelist.ts';
import { HistoryKeeper } from './history/historykeeper.ts';
import { inspectMedia } from './inspectmedia.ts';
import { describeSystems, type Systems } from './systems/opensystems.ts';
import { JsonStore } from './jsonstore.ts';
import { loadVm, vmFolders } from './library.ts';
import { Machine, type MachineParts } from './machine.ts';
import { losesDisk } from './machinedrives.ts';
import { lockFolder } from './machinelocks.ts';
import { SnapshotService } from './snapshots/service.ts';
import { freeName, nameFromHint } from './names.ts';
import { preflightCreate, throwFirst, toCheck } from './preflight.ts';

import { Pools } from './storage/pools.ts';
import { StorageService } from './storage/service.ts';
import { listed, Volumes } from './storage/volumes.ts';
import { WebFiles } from './storage/webfiles.ts';
import { TaskHistory } from './taskhistory.ts';
import { stateWatch, Tasks } from './tasks.ts';
import { Transfers } from './transfer/transfers.ts';
import { moveToTrash, restoreFromTrash } from './trash.ts';

const THUMBNAIL_MS = 2000;

export interface ManagerOptions {
  /** One folder a machine; made when missing. */
  library: string;
  /** Folder of settings.json. */
  configFolder: string;
  /** Image locks, shared by all managers of this user. */
  lockFolder: string;
  engine: Engine;
  /** Looked up at every use, so that firmware installed meanwhile counts. */
  firmware: () => Firmware;
  /** The same for machines with UEFI. */
  uefi: () => Firmware;
  /** Path of the check image, whether it exists or not. */
  sampleImage: string;
  /** Operating systems; without it media are told by their words only. */
  systems?: Systems;
  version: string;
  mode: HostInfo['mode'];
  log: Logger;
}

/** The VM library and everything a client may ask of it. Desktop and headless mode put a transport before it, nothing else. */
export class Manager {
  readonly handlers: Handlers;
  private readonly options: ManagerOptions;
  private readonly settings: JsonStore<Settings>;
  private readonly machines = new Map<string, Machine>();
  private readonly clients = new Set<ContractServer>();
  private readonly tasks: Tasks;
  private readonly taskHistory: TaskHistory;
  private readonly parts: MachineParts;
  /** Downloads and uploads, for the server. */
  readonly files: WebFiles;
  private readonly volumes: Volumes;
  private readonly storage: StorageService;
  private readonly transfers: Transfers;
  private readonly snapshots: SnapshotService;
  private readonly history: HistoryKeeper;
  private readonly thumbnails: NodeJS.Timeout;
  /** Names that machines being created or renamed will have. */
  private readonly reserved = new Set<string>();
  /** What looks at the library's folders or changes them takes turns. */
  private turn: Promise<unknown> = Promise.resolve();
  private closed = false;

  private constructor(options: ManagerOptions, settings: JsonStore<Settings>, pools: Pools, taskHistory: TaskHistory) {
    this.options = options;
    this.settings = settings;
    this.taskHistory = taskHistory;
    this.tasks = new Tasks((task) => this.emit('task.changed', task), {
      before: taskHistory.tasks(),
      kept: (tasks) => taskHistory.keep(tasks),
    });
    this.parts = {
      engine: options.engine,
      firmware: options.firmware,
      uefi: options.uefi,
      locks: new ImageLocks(options.lockFolder),
      library: options.library,
      sampleImage: options.sampleImage,
      nameTaken: (name) => this.names().some((taken) => taken.toLowerCase() === name.toLowerCase()),
      changed: (machine) => {
        if (this.machines.get(machine.id) === machine) this.emit('vm.changed', machine.summary());
      },
      logged: (machine, entry) => this.emit('vm.logged', { id: machine.id, entry }),
      sampled: (machine, stats) => {
        void this.history.record(machine.id, stats);
        this.emit('vm.sampled', { id: machine.id, stats });
      },
    };
    const { library } = options;
    const { locks } = this.parts;
    const { tasks } = this;
    const changed = () => this.emit('storage.changed', {});
    const trashChanged = () => this.emit('trash.changed', {});
    const machine = (id: string) => this.machine(id);
    const exclusively = <T>(work: () => Promise<T>) => this.exclusively(work);
    const machines = () =>
      [...this.machines.values()].map(({ id, name, folder, config, state }) => ({
        id,
        name,
        folder,
        drives: config?.drives ?? [],
        template: config?.template ?? false,
        saved: state === 'saved',
      }));
    this.volumes = new Volumes({ pools, locks, library, tasks, machines, changed, trashChanged });
    const restoreMachine = async (trashId: string) => (await this.restore(trashId)).folder;
    this.files = new WebFiles({ pools, volumes: this.volumes, locks });
    this.storage = new StorageService({
      files: this.files,
      pools,
      library,
      tasks,
      volumes: this.volumes,
      changed,
      trashChanged,
      machine,
      restoreMachine,
      exclusively,
      before: (one, risk) => this.snapshots.before(one, risk),
    });
    this.transfers = new Transfers({
      library,
      locks,
      tasks,
      volumes: this.volumes,
      exported: (file) => this.files.allow(file),
      machine,
      ids: () => new Set(this.machines.keys()),
      names: () => this.names(),
      withName: (name, work) => this.withName(name, work),
      exclusively,
      take: (folder, config, how) => this.take(folder, config, how),
    });
    this.snapshots = new SnapshotService({
      tasks,
      machine,
      refuseBases: (one) => this.storage.refuseBases(one),
      clone: (one, snapshot, tag, how) => this.transfers.fromSnapshot(one, snapshot, tag, how),
      imagesAbove: (file) => this.volumes.imagesAbove(file),
      discard: (file) => this.volumes.delete(file),
      automatic: () => this.settings.get().automaticSnapshots,
      changed: (id) => this.emit('snapshot.changed', { id }),
    });
    this.history = new HistoryKeeper(path.join(options.configFolder, 'history'), options.log, () =>
      [...this.machines.values()].flatMap(({ stats }) => stats ?? []),
    );
    this.handlers = this.makeHandlers();
    this.thumbnails = setInterval(() => {
      if (this.clients.size) for (const machine of this.machines.values()) if (machine.state === 'running') void machine.refreshThumbnail();
    }, THUMBNAIL_MS);
    this.thumbnails.unref();
  }

  static async open(options: ManagerOptions): Promise<Manager> {
    const manager = new Manager(
      options,
      await JsonStore.open(path.join(options.configFolder, 'settings.json'), settingsSchema, options.log),
      await Pools.open(options.configFolder, options.library, options.log),
      await TaskHistory.open(options.configFolder, options.log),
    );
    try {
      await manager.scan();
      for (const folder of await removeUnfinished(options.library))
        options.log.info(`removed ${folder}, left over from a create that was cut off`);
      for (const file of await manager.storage.tidy()) options.log.info(`removed ${file}, left over from a task that was cut off`);
    } catch (error) {
      clearInterval(manager.thumbnails);
      await manager.history.close();
      throw error;
    }
    return manager;
  }

  /** Serves one client until its transport closes. */
  connect(transport: Transport): void {
    const server = new ContractServer(transport, { handlers: this.handlers, toError: (error, method) => this.toError(error, method) });
    this.clients.add(server);
    transport.onClose(() => this.clients.delete(server));
  }

  /** Pushes an event to every client. */
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void {
    for (const client of [...this.clients]) client.emit(event, payload);
  }

  /** Opens a byte channel to a running machine. Rejects with 'not-found' or 'invalid-state'. */
  async openChannel(vmId: string, kind: ChannelKind): Promise<ByteChannel> {
    return this.machine(vmId).openChannel(kind);
  }

  /** Machines with a process under way. */
  running(): VmSummary[] {
    return [...this.machines.values()].filter(({ active }) => active).map((machine) => machine.summary());
  }

  /** Saves the state of every machine with a process under way, one after the other. Resolves with those that could not be saved, and go on. */
  async saveAll(): Promise<{ name: string; reason: string }[]> {
    const failed: { name: string; reason: string }[] = [];
    for (const { id, name } of this.running())
      try {
        await this.handlers['vm.saveState']({ id });
      } catch (error) {
        const reason = asHypervueError(error).message;
        this.options.log.warn(`${name}: ${reason}`);
        failed.push({ name, reason });
      }
    return failed;
  }

  /** Powers every machine off (disks are flushed) and lets go of everything. Resolves with the names of those that could not be stopped. */
  async close(): Promise<string[]> {
    if (this.closed) return [];
    this.closed = true;
    clearInterval(this.thumbnails);
    await this.tasks.cancelAll();
    await this.snapshots.close();
    const left: string[] = [];
    await Promise.all(
      [...this.machines.values()].map(async (machine) => {
        try {
          if (machine.active) await machine.forceOff();
        } catch (error) {
          if (!machine.active) return;
          this.options.log.error(`${machine.name} could not be stopped: ${asHypervueError(error).message}`);
          left.push(machine.name);
        } finally {
          await machine.close();
        }
      }),
    );
    await this.turn;
    await this.history.close();
    await this.taskHistory.settled();
    return left;
  }

  private toError(error: unknown, method: string): ErrorDto {
    const failure = asHypervueError(error, { operation: method });
    if (failure.kind === 'internal')
      this.options.log.error(`${method}: ${failure.cause instanceof Error ? failure.cause.stack : failure.message}`);
    return failure.toJSON();
  }

  private names(): string[] {
    return [...[...this.machines.values()].map(({ name }) => name), ...this.reserved];
  }

  private machine(id: string): Machine {
    const machine = this.machines.get(id);
    if (!machine)
      throw new HypervueError('not-found', 'there is no such machine', { object: id }, 'It may have been deleted. Look at the list.');
    return machine;
  }

  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work);
    this.turn = result.catch(() => {});
    return result;
  }

  private open(operation: string, object: string): void {
    if (this.closed) throw new HypervueError('invalid-state', 'Hypervue is quitting', { object, operation });
  }

  /** Takes in machines whose folders were copied into the library, or whose vm.json was mended, and drops those whose folders are gone. */
  private scan(): Promise<void> {
    return this.exclusively(async () => {
      const folders = await vmFolders(this.options.library);
      for (const machine of [...this.machines.values()])
        if (!machine.active && (!folders.includes(machine.folder) || (await machine.mended()))) {
          // It may have been started in the instant of the look.
          if (machine.active) continue;
          this.machines.delete(machine.id);
          this.emit('vm.removed', { id: machine.id });
        }
      const known = new Set([...this.machines.values()].map(({ folder }) => folder));
      for (const folder of folders) if (!known.has(folder)) await this.load(folder);
    });
  }

  private async load(folder: string): Promise<Machine> {
    const source = await loadVm(folder, new Set(this.machines.keys()), this.names(), this.options.log);
    const machine = new Machine(source, this.parts);
    this.machines.set(machine.id, machine);
    await this.snapshots.recover(machine);
    this.emit('vm.changed', machine.summary());
    return machine;
  }

  private async create(create: VmCreate): Promise<VmSummary> {
    this.open('create', create.name);
    throwFirst(await preflightCreate(this.parts, create), create.name, 'create');
    return this.withName(create.name, () =>
      this.tasks.run('vm.create', create.name, async (control) => {
        this.open('create', create.name);
        const { source } = create;
        const table = this.options.systems?.table;
        const media = 'path' in source ? await inspectMedia(source.path, table) : undefined;
        const os = source.type === 'sample' ? 'Hypervue check' : (media?.os ?? '');
        const named = create.os ?? os;
        const system = table?.systems.find(({ id, name }) => name === named || (create.os === undefined && id === media?.disc?.systemId));
        const { library, sampleImage } = this.options;
        const parts = {
          library,
          sampleImage,
          os,
          knownBus: system?.bus,
          diskFormat: this.settings.get().defaultDiskFormat,
          locks: this.parts.locks,
          exclusively: <T>(publish: () => Promise<T>) => this.exclusively(publish),
        };
        return createVm(create, parts, control, (folder, config) => this.take(folder, config, 'created'));
      }),
    );
  }

  /** A folder that has just appeared in the library becomes a machine; `how` goes into its log. */
  private take(folder: string, config: VmConfig, how: string): VmSummary {
    const machine = new Machine({ id: config.id, folder, config, problem: null }, this.parts);
    this.machines.set(machine.id, machine);
    machine.record('info', 'manager', how);
    const summary = machine.summary();
    this.emit('vm.changed', summary);
    this.emit('storage.changed', {});
    return summary;
  }

  /** Keeps `name` for `work`, which gives it to a machine. Looks and reserves in one turn: another request may want it too. */
  private async withName<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.parts.nameTaken(name))
      throw new HypervueError('already-exists', `There is a machine named ${name} already`, { object: name }, 'Choose another name.');
    this.reserved.add(name);
    try {
      return await work();
    } finally {
      this.reserved.delete(name);
    }
  }

  private async update(id: string, patch: VmPatch): Promise<VmSummary> {
    const machine = this.machine(id);
    const { maxMemoryMiB } = await this.options.engine.capabilities();
    if (patch.memoryMiB !== undefined && patch.memoryMiB > maxMemoryMiB)
      throw new HypervueError(
        'resource-limit',
        `${patch.memoryMiB} MiB is more than one machine can have`,
        { object: machine.name },
        `Choose at most ${maxMemoryMiB} MiB.`,
      );
    if (patch.drives && !machine.active && losesDisk(machine.config?.drives ?? [], patch.drives))
      await this.snapshots.before(machine, 'drives');
    // A machine may change the case of its own name.
    if (patch.name === undefined || patch.name.toLowerCase() === machine.name.toLowerCase()) await machine.update(patch);
    else await this.withName(patch.name, () => machine.update(patch));
    if (patch.drives || patch.name !== undefined) this.emit('storage.changed', {});
    return machine.summary();
  }

  private delete(id: string): Promise<{ trashId: string }> {
    return this.exclusively(async () => {
      const machine = this.machine(id);
      const { folder, name } = machine;
      if (machine.active)
        throw new HypervueError(
          'invalid-state',
          `can't delete: ${name} is ${machine.state}`,
          { object: name, operation: 'delete' },
          'Turn it off first.',
        );
      // Another manager may run it, or another machine use a disk of its folder.
      const lock = lockFolder(folder, name, 'works on');
      this.machines.delete(id);
      try {
        const holder = machine.imagesInFolder().flatMap((image) => this.imageHolder(image))[0];
        if (holder !== undefined)
          throw new HypervueError('in-use', `a disk of ${name} is in use by ${holder}`, { object: name, holder }, `Stop ${holder} first.`);
        const clones = await this.volumes.dependants(folder);
        if (clones.length)
          throw new HypervueError(
            'in-use',
            `the disks of ${listed(clones)} lie on those of ${name}`,
            { object: name, holder: clones[0]!, operation: 'delete' },
            'Delete the linked clones first, or rebase their disks.',
          );
        await this.snapshots.release(machine);
        await machine.close();
        const trashId = await moveToTrash(this.options.library, folder);
        this.emit('vm.removed', { id });
        this.emit('trash.changed', {});
        this.emit('storage.changed', {});
        return { trashId };
      } catch (error) {
        this.machines.set(id, machine);
        throw error;
      } finally {
        lock.dispose();
      }
    });
  }

  private imageHolder(image: string): string[] {
    try {
      const holder = this.parts.locks.conflict(image, false);
      return holder === undefined ? [] : [holder];
    } catch {
      // A missing image is in nobody's use.
      return [];
    }
  }

  private restore(trashId: string): Promise<VmSummary> {
    return this.exclusively(async () => {
      const machine = await this.load(await restoreFromTrash(this.options.library, trashId));
      this.emit('trash.changed', {});
      this.emit('storage.changed', {});
      return machine.summary();
    });
  }

  private async hostInfo(): Promise<HostInfo> {
    const { engine, library, version, mode, sampleImage } = this.options;
    const { available, reason, maxMemoryMiB, maxVcpus, saveState, liveSnapshots } = await engine.capabilities();
    const firmware = this.options.firmware();
    const uefi = this.options.uefi();
    const sample = await inspectMedia(sampleImage).then(
      ({ sizeBytes }) => sizeBytes > 0,
      () => false,
    );
    return {
      version,
      ...hostFacts(),
      libraryFreeBytes: await freeBytes(library),
      libraryFolder: library,
      engines: [{ id: engine.id, name: engine.name, available, reason }],
      limits: { maxMemoryMiB, maxVcpus },
      capabilities: { saveState, liveSnapshots },
      mode,
      firmware: { available: firmware.available, reason: firmware.reason, ...(firmware.fix ? { fix: firmware.fix } : {}) },
      uefi: { available: uefi.available, reason: uefi.reason, ...(uefi.fix ? { fix: uefi.fix } : {}) },
      sample: sample
        ? { available: true, reason: sampleImage }
        : {
            available: false,
            reason: 'The check image was not built.',
            fix: 'Install nasm (Debian, Ubuntu: apt-get install nasm) and start Hypervue again.',
          },
    };
  }

  private makeHandlers(): Handlers {
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
    /** A verb that answers with the machine as it is afterwards. */
    const verb =
      (action: (machine: Machine) => Promise<void>) =>
      async ({ id }: { id: string }) => {
        const machine = this.machine(id);
        await action(machine);
        return machine.summary();
      };
    return {
      'host.info': () => this.hostInfo(),
      'host.browse': ({ path: folder }) => browse(folder),
      'host.systems': async () => describeSystems(this.options.systems),
      'host.inspectMedia': ({ path: file }) => inspectMedia(file, this.options.systems?.table),
      'settings.get': async () => this.settings.get(),
      'settings.set': async (patch) => {
        const settings = await this.settings.set(patch);
        this.emit('settings.changed', settings);
        return settings;
      },
      'vm.list': async () => {
        await this.scan();
        return [...this.machines.values()].map((machine) => machine.summary());
      },
      'vm.get': async ({ id }) => this.machine(id).summary(),
      'vm.suggestName': async ({ hint }) => freeName(nameFromHint(hint), this.names()),
      'vm.preflight': async (create) => (await preflightCreate(this.parts, create)).map(toCheck),
      'vm.create': (create) => this.create(create),
      'vm.update': ({ id, patch }) => this.update(id, patch),
      'vm.delete': ({ id }) => this.delete(id),
      'vm.restore': ({ trashId }) => this.restore(trashId),
      'vm.resetFirmware': async ({ id }) => {
        const machine = this.machine(id);
        if (!machine.active) await this.snapshots.before(machine, 'firmware');
        return { keptAs: await machine.resetFirmware() };
      },
      'vm.hardware': async ({ id }) => {
        const { config } = this.machine(id);
        return config ? hardwareList(config) : [];
      },
      'vm.log': ({ id, lines }) => this.machine(id).logEntries(lines),
      'vm.history': async ({ id, range }) => this.history.machine(this.machine(id).id, range),
      'host.history': async ({ range }) => this.history.ofHost(range),
      'vm.stats': async ({ id }) => this.machine(id).stats,
      'vm.start': async ({ id, despiteDisks, passphrase }) => {
        const machine = this.machine(id);
        this.open('start', machine.name);
        const before = async () => {
          await this.storage.refuseBases(machine);
          await this.snapshots.beforeStart(machine);
        };
        await machine.start({ despiteDisks: despiteDisks ?? false, passphrase, before });
        return machine.summary();
      },
      'vm.saveState': verb((machine) => this.tasks.run('vm.saveState', machine.name, (control) => machine.saveState(stateWatch(control)))),
      'vm.discardState': verb((machine) => machine.discardState()),
      'vm.pause': verb((machine) => machine.pause()),
      'vm.resume': verb((machine) => machine.resume()),
      'vm.shutdown': verb((machine) => machine.shutdown()),
      'vm.reset': verb((machine) => machine.reset()),
      'vm.forceOff': verb((machine) => machine.forceOff()),
      'vm.screenshot': async ({ id }) => {
        const { width, height, png } = await this.machine(id).screenshot();
        return { width, height, png: base64(png) };
      },
      'vm.thumbnail': async ({ id }) => {
        const { version, png } = await this.machine(id).thumbnailPng();
        return { version, png: png ? base64(png) : null };
      },
      'vm.screenText': ({ id }) => this.machine(id).screenText(),
      'vm.typeText': async ({ id, text, delayMs }) => {
        await this.machine(id).typeText(text, delayMs);
        return null;
      },
      'vm.cancelTyping': async ({ id }) => {
        await this.machine(id).cancelTyping();
        return null;
      },
      'vm.sendKeys': async ({ id, keys }) => {
        await this.machine(id).sendKeys(keys);
        return null;
      },
      'vm.changeMedium': async ({ id, drive, path: file }) => {
        const machine = this.machine(id);
        await machine.changeMedium(drive, file);
        return machine.summary();
      },
      'vm.setDrivePolicy': async ({ id, drive, policy }) => {
        const machine = this.machine(id);
        await machine.setDrivePolicy(drive, policy);
        return machine.summary();
      },
      'vm.growDisk': async ({ id, drive, sizeBytes }) => {
        const machine = this.machine(id);
        await machine.growDisk(drive, sizeBytes);
        return machine.summary();
      },
      'vm.openGdb': async ({ id, address, architecture }) => this.machine(id).openGdb(address, architecture),
      'vm.closeGdb': async ({ id }) => {
        await this.machine(id).closeGdb();
        return null;
      },
      'vm.profile': ({ id, ...options }) => this.machine(id).profile(options),
      ...this.storage.handlers,
      ...this.transfers.handlers,
      ...this.snapshots.handlers,
      'task.list': async () => this.tasks.list(),
      'task.cancel': async ({ id }) => {
        this.tasks.cancel(id);
        return null;
      },
    };
  }
}
