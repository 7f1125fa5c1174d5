import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { type Caller, ownerCaller } from '../contract/access.ts';
import type { ChannelViewer } from '../contract/console.ts';
import { settingsSchema } from '../contract/host.ts';
import type { ChannelKind, EventName, EventPayload } from '../contract/methods.ts';
import type { Handlers } from '../contract/server.ts';
import type { Said } from '../contract/said.ts';
import type { ByteChannel, Transport } from '../contract/transport.ts';
import type { VmSummary } from '../contract/vm.ts';
import { ImageLocks } from '../platform/imagelocks.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { AccessService } from './access/service.ts';
import { AccessTokens } from './access/tokens.ts';
import { Clients } from './clients.ts';
import { consoleHandlers } from './consolehandlers.ts';
import { removeConfigRemains } from './configremains.ts';
import type { ManagerContext, ManagerOptions } from './context.ts';
import { removeUnfinished } from './createvm.ts';
import { diagnosticHandlers } from './diagnostics/handlers.ts';
import { hostHandlers } from './hosthandlers.ts';
import { JsonStore } from './jsonstore.ts';
import type { MachineParts } from './machineself.ts';
import { machineEdits } from './machineedits.ts';
import { MachineSet } from './machineset.ts';
import { machineVerbs } from './machineverbs.ts';
import { startCheckHandlers } from './startcheck.ts';
import { Leases } from './networks/leases.ts';
import { type NetworkStore, openNetworks } from './networks/store.ts';
import { autostart } from './organizing/autostart.ts';
import { bulkHandlers } from './organizing/bulk.ts';
import { openOrder, type OrderStore } from './organizing/organizer.ts';
import { makeServices, type Services } from './services.ts';
import { Pools } from './storage/pools.ts';
import type { WebFiles } from './storage/webfiles.ts';
import { TaskHistory } from './taskhistory.ts';
import { taskHandlers, Tasks } from './tasks.ts';

const THUMBNAIL_MS = 2000;

/** What is read from files before there is a manager. */
interface Opened {
  settings: ManagerContext['settings'];
  pools: Pools;
  order: OrderStore;
  networks: NetworkStore;
  leases: Leases;
  taskHistory: TaskHistory;
  tokens: AccessTokens;
}

/** The VM library and everything a client may ask of it. Desktop and headless mode put a transport before it, nothing else. */
export class Manager {
  readonly handlers: Handlers;
  /** Who may come in, and who is there. */
  readonly access: AccessService;
  private readonly options: ManagerOptions;
  private readonly clients: Clients;
  private readonly context: ManagerContext;
  private readonly services: Services;
  private readonly taskHistory: TaskHistory;
  private readonly thumbnails: NodeJS.Timeout;
  private closed = false;

  private constructor(options: ManagerOptions, { settings, taskHistory, ...opened }: Opened) {
    this.options = options;
    this.taskHistory = taskHistory;
    this.clients = new Clients(options.log);
    const emit = this.emit.bind(this);
    this.access = new AccessService(opened.tokens, () => emit('access.changed', {}));
    const parts = this.machineParts();
    const { library, log } = options;
    this.context = {
      options,
      settings,
      tasks: new Tasks((task) => emit('task.changed', task), {
        before: taskHistory.tasks(),
        kept: (tasks) => taskHistory.keep(tasks),
      }),
      machines: new MachineSet({
        library,
        log,
        machine: parts,
        emit,
        recover: async (machine) => {
          await removeConfigRemains(machine.folder);
          await this.services.snapshots.recover(machine);
        },
        known: () => this.services.snapshots.sweep(this.context.machines.all().every(({ config }) => config !== null)),
      }),
      parts,
      emit,
      refuseClosed: (operation, object) => {
        if (this.closed) throw new HypervueError('invalid-state', say('quitting'), { object, operation });
      },
    };
    this.services = makeServices(this.context, opened);
    const { storage, transfers, snapshots, organizer } = this.services;
    const verbs = { ...machineEdits(this.context, this.services), ...machineVerbs(this.context, this.services), ...snapshots.handlers };
    // One line a domain: its part of the contract.
    this.handlers = {
      ...hostHandlers(this.context, this.services),
      ...diagnosticHandlers(this.context),
      ...verbs,
      ...startCheckHandlers(this.context, this.services),
      ...storage.handlers,
      ...this.services.networks.handlers,
      ...transfers.handlers,
      ...organizer.handlers,
      ...consoleHandlers(this.context),
      ...this.access.handlers,
      ...this.services.hardware.handlers,
      ...bulkHandlers(this.context, organizer, verbs),
      ...taskHandlers(this.context.tasks),
    };
    this.thumbnails = setInterval(() => {
      if (this.clients.some)
        for (const machine of this.context.machines.all()) if (machine.state === 'running') void machine.refreshThumbnail();
    }, THUMBNAIL_MS);
    this.thumbnails.unref();
  }

  static async open(options: ManagerOptions): Promise<Manager> {
    const { configFolder, library, log } = options;
    const manager = new Manager(options, {
      settings: await JsonStore.open(path.join(configFolder, 'settings.json'), settingsSchema, log),
      pools: await Pools.open(configFolder, library, log),
      order: await openOrder(library, log),
      networks: await openNetworks(configFolder, log),
      leases: await Leases.open(configFolder, log),
      taskHistory: await TaskHistory.open(configFolder, log),
      tokens: await AccessTokens.open(configFolder, log),
    });
    try {
      await manager.context.machines.scan();
      for (const folder of await removeUnfinished(library)) log.info(`removed ${folder}, left over from a create that was cut off`);
      for (const file of await manager.services.storage.tidy()) log.info(`removed ${file}, left over from a task that was cut off`);
    } catch (error) {
      clearInterval(manager.thumbnails);
      await manager.services.history.close();
      throw error;
    }
    return manager;
  }

  /** Starts the machines that are to start by themselves. For those who stay: a window's process, a server. */
  autostart(): Promise<void> {
    return autostart(this.context, this.services.organizer, this.handlers['vm.start']);
  }

  /** Downloads and uploads, for the server. */
  get files(): WebFiles {
    return this.services.files;
  }

  /** Serves one client until its transport closes. Without a `caller` it is the owner's. */
  connect(transport: Transport, caller: Caller = ownerCaller(randomUUID())): void {
    const client = {};
    const server = this.clients.connect(transport, this.handlers, caller, (work) => this.context.tasks.askedBy(client, work));
    this.access.joined(server, caller);
    transport.onClose(() => this.access.left(server));
  }

  /** Pushes an event to every client. */
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void {
    this.clients.emit(event, payload);
  }

  /** Opens a byte channel to a running machine; `viewer` is who looks at its picture. Rejects with 'not-found' or 'invalid-state'. */
  async openChannel(vmId: string, kind: ChannelKind, viewer?: ChannelViewer): Promise<ByteChannel> {
    return this.context.machines
      .get(vmId)
      .alive(kind === 'rfb' ? 'open display' : 'open serial')
      .openChannel(kind, viewer);
  }

  /** Machines with a process under way. */
  running(): VmSummary[] {
    const active = this.context.machines.all().filter((machine) => machine.active);
    return active.map((machine) => machine.summary());
  }

  /** Saves the state of every machine with a process under way, one after the other. Resolves with those that could not be saved, and go on. */
  async saveAll(): Promise<{ name: string; reason: string; said: Said | undefined }[]> {
    const failed: { name: string; reason: string; said: Said | undefined }[] = [];
    for (const { id, name } of this.running())
      try {
        await this.handlers['vm.saveState']({ id });
      } catch (error) {
        const { message: reason, said } = asHypervueError(error);
        this.options.log.warn(`${name}: ${reason}`);
        failed.push({ name, reason, said });
      }
    return failed;
  }

  /** Powers every machine off (disks are flushed) and lets go of everything. Resolves with the names of those that could not be stopped. */
  async close(): Promise<string[]> {
    if (this.closed) return [];
    this.closed = true;
    const { machines, tasks } = this.context;
    clearInterval(this.thumbnails);
    this.services.deviceWatch.close();
    await tasks.cancelAll();
    await this.services.snapshots.close();
    const left: string[] = [];
    await Promise.all(
      machines.all().map(async (machine) => {
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
    await machines.settled();
    await this.services.networks.close();
    await this.services.history.close();
    await this.taskHistory.settled();
    return left;
  }

  private machineParts(): MachineParts {
    const { engine, firmware, uefi, lockFolder, library, sampleImage } = this.options;
    return {
      engine,
      firmware,
      uefi,
      locks: new ImageLocks(lockFolder),
      library,
      networks: {
        open: (network, member) => this.services.networks.attachments.open(network, member),
        close: (network, member) => this.services.networks.attachments.close(network, member),
        look: (network) => this.services.networks.attachments.look(network),
        obstacle: (network) => this.services.networks.attachments.obstacle(network),
        bootProblem: (network, kind) => this.services.networks.attachments.bootProblem(network, kind),
      },
      sampleImage,
      nameTaken: (name) => this.context.machines.nameTaken(name),
      newMac: () => this.context.machines.newMac(),
      macOwner: (mac, but) => this.context.machines.ownerOf(mac, but)?.name,
      changed: (machine) => {
        if (this.context.machines.has(machine)) this.emit('vm.changed', machine.summary());
      },
      logged: (machine, entry) => this.emit('vm.logged', { id: machine.id, entry }),
      sampled: (machine, stats) => {
        void this.services.history.record(machine.id, stats);
        this.emit('vm.sampled', { id: machine.id, stats });
      },
      viewed: (machine, viewers) => this.emit('vm.viewersChanged', { id: machine.id, ...viewers }),
    };
  }
}
