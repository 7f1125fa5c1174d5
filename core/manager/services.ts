/** The parts of the manager that keep something of their own, and how they know one another. */
import path from 'node:path';
import type { AccessTokens } from './access/tokens.ts';
import { presentDevices } from '../platform/hostdevices/present.ts';
import { DeviceWatch } from './devicewatch.ts';
import { HistoryKeeper } from './history/historykeeper.ts';
import type { ManagerContext } from './context.ts';
import { HardwareService } from './hardware/service.ts';
import type { Machine } from './machine.ts';
import { restoreMachine } from './machineedits.ts';
import { Organizer, type OrderStore } from './organizing/organizer.ts';
import { HostNetworkDevices } from './networks/host/hostnetworkdevices.ts';
import { SystemRunner } from './networks/host/runner.ts';
import type { Leases } from './networks/leases.ts';
import { NetworkService } from './networks/service.ts';
import type { NetworkStore } from './networks/store.ts';
import { SnapshotService } from './snapshots/service.ts';
import type { Pools } from './storage/pools.ts';
import { StorageService } from './storage/service.ts';
import { Volumes } from './storage/volumes.ts';
import { WebFiles } from './storage/webfiles.ts';
import { Transfers } from './transfer/transfers.ts';

export interface Services {
  readonly pools: Pools;
  readonly volumes: Volumes;
  /** Downloads and uploads, for the server. */
  readonly files: WebFiles;
  readonly storage: StorageService;
  readonly transfers: Transfers;
  readonly snapshots: SnapshotService;
  readonly hardware: HardwareService;
  readonly networks: NetworkService;
  readonly history: HistoryKeeper;
  readonly deviceWatch: DeviceWatch;
  /** Tags, folders and views of the library. */
  readonly organizer: Organizer;
}

export function makeServices(
  context: ManagerContext,
  {
    pools,
    order,
    networks: store,
    leases,
    tokens,
  }: { pools: Pools; order: OrderStore; networks: NetworkStore; leases: Leases; tokens: Pick<AccessTokens, 'valid'> },
): Services {
  const { options, settings, tasks, machines, parts, emit } = context;
  const { library, configFolder, log } = options;
  const { locks } = parts;
  const devices = new HostNetworkDevices(options.hostRunner ?? new SystemRunner(), configFolder);
  const changed = () => emit('storage.changed', {});
  const trashChanged = () => emit('trash.changed', {});
  const machine = (id: string) => machines.get(id);
  const exclusively = <T>(work: () => Promise<T>) => machines.exclusively(work);
  const volumes = new Volumes({ pools, locks, library, tasks, machines: () => machines.all().map(storageMachine), changed, trashChanged });
  const files = new WebFiles({ pools, volumes, locks, tokenValid: (id) => tokens.valid(id) });
  const storage = new StorageService({
    files,
    pools,
    library,
    tasks,
    volumes,
    changed,
    trashChanged,
    machine,
    restoreMachine: (trashId) => restoreMachine(context, trashId),
    exclusively,
    before: (one, risk) => snapshots.before(one, risk),
  });
  const transfers = new Transfers({
    library,
    locks,
    tasks,
    volumes,
    exported: (file) => files.allow(file),
    machine,
    owners: () => machines.all().map(storageMachine),
    ids: () => machines.ids(),
    names: () => machines.names(),
    newMac: () => machines.newMac(),
    macTaken: (mac) => machines.ownerOf(mac) !== undefined,
    withName: (name, work) => machines.withName(name, work),
    exclusively,
    take: (folder, config, how) => machines.take(folder, config, how),
  });
  const snapshots: SnapshotService = new SnapshotService({
    tasks,
    machine,
    refuseBases: (one) => storage.refuseBases(one),
    clone: (one, snapshot, tag, how) => transfers.fromSnapshot(one, snapshot, tag, how),
    imagesAbove: (file) => volumes.imagesAbove(file),
    discard: (file) => volumes.delete(file),
    automatic: () => settings.get().automaticSnapshots,
    changed: (id) => emit('snapshot.changed', { id }),
  });
  const hardware = new HardwareService({
    tasks,
    machine,
    firmware: options.firmware,
    withName: (name, work) => machines.withName(name, work),
    before: (one, risk) => snapshots.before(one, risk),
    rescan: async (folder) => {
      await machines.scan();
      return machines
        .all()
        .find((one) => one.folder === folder)!
        .summary();
    },
    owners: () => machines.all().map(deviceOwner),
    storageChanged: changed,
    network: (wanted) => {
      const found = store.get().networks.find(({ id }) => id === wanted);
      return found && { ...found, device: devices.deviceOf(found) };
    },
  });
  const history = new HistoryKeeper(path.join(configFolder, 'history'), log, () => machines.all().flatMap(({ stats }) => stats ?? []));
  const networks = new NetworkService(store, {
    devices,
    launcher: options.networkLauncher,
    runtimeFolder: options.runtimeFolder,
    log,
    leases,
    ownFolders: () => [configFolder, library, options.runtimeFolder],
    machines: () => machines.all(),
    changed: () => emit('network.changed', {}),
  });
  const deviceWatch = new DeviceWatch(presentDevices, () => emit('host.devicesChanged', {}));
  const organizer = new Organizer(order, { machines: () => machines.all(), emit });
  return { pools, volumes, files, storage, transfers, snapshots, hardware, networks, history, deviceWatch, organizer };
}

const storageMachine = (machine: Machine) => ({
  id: machine.id,
  name: machine.name,
  folder: machine.folder,
  drives: machine.settings.usedDrives(),
  template: machine.config?.template ?? false,
  saved: machine.state === 'saved',
});

/** As storageMachine, with what its file says and what it has while it is on. */
export const deviceOwner = (machine: Machine) => ({
  ...storageMachine(machine),
  file: machine.config?.drives,
  now: machine.active ? machine.settings.startedWith?.drives : undefined,
});
