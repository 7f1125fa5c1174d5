/** Machines come, change and go: list, create, update, to the trash and back. */
import type { Handlers } from '../contract/server.ts';
import type { VmCreate, VmPatch, VmSummary } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { ManagerContext } from './context.ts';
import { createVm } from './createvm.ts';
import { refuseNewDevices } from './devicedisks.ts';
import { deleteMachine, planDelete } from './deletemachine.ts';
import { inspectMedia } from './inspectmedia.ts';
import type { Machine } from './machine.ts';
import { losesDisk } from './machinedrives.ts';
import { freeName, nameFromHint } from './names.ts';
import { withTags } from './organizing/tags.ts';
import { busOfNew, plannedDisks } from './newmachinedisks.ts';
import { throwFirst, toCheck } from './preflight.ts';
import { preflightCreate } from './preflightcreate.ts';
import type { Services } from './services.ts';
import { restoreFromTrash } from './trash.ts';

export function machineEdits(context: ManagerContext, services: Services) {
  const { machines } = context;
  return {
    'vm.list': async () => {
      await machines.scan();
      return machines.summaries();
    },
    'vm.get': async ({ id }) => machines.get(id).summary(),
    'vm.suggestName': async ({ hint }) => freeName(nameFromHint(hint), machines.names()),
    'vm.preflight': async (create) => (await checkNew(context, services, create)).map(toCheck),
    'vm.planDisks': async (create) => plannedDisks(create, await planParts(context, services, create)),
    'vm.create': (create) => createMachine(context, services, create),
    'vm.update': ({ id, patch }) => updateMachine(context, services, id, patch),
    'vm.delete': ({ id }) => deleteMachine(context, services, id),
    'vm.planDelete': ({ id }) => planDelete(context, services, id),
    'vm.restore': async ({ trashId }) => (await services.storage.restoreMachine(trashId)).summary(),
    'vm.resetFirmware': async ({ id }) => {
      const machine = machines.get(id);
      if (!machine.active) await services.snapshots.before(machine, 'firmware');
      return { keptAs: await machine.resetFirmware() };
    },
  } satisfies Partial<Handlers>;
}

/** What the medium and the settings say of a machine that is to be made. */
async function planParts({ options, settings }: ManagerContext, { pools }: Services, create: VmCreate) {
  const { source } = create;
  const table = options.systems?.table;
  const media = 'path' in source ? await inspectMedia(source.path, table) : undefined;
  const os = source.type === 'sample' ? 'Hypervue check' : (media?.os ?? '');
  const named = create.os ?? os;
  const system = table?.systems.find(({ id, name }) => name === named || (create.os === undefined && id === media?.content?.systemId));
  return {
    library: options.library,
    poolFolder: (id: string) => pools.folderFor(id),
    sampleImage: options.sampleImage,
    os,
    knownBus: system?.bus,
    diskFormat: settings.get().defaultDiskFormat,
  };
}

async function checkNew(context: ManagerContext, services: Services, create: VmCreate) {
  // Of a medium that can't be read nothing is known; the checks say why.
  const known = await planParts(context, services, create).catch(() => ({ os: '', knownBus: undefined }));
  return preflightCreate(
    { ...context.parts, poolFolder: (id) => services.pools.folderFor(id) },
    create,
    busOfNew(create, known.os, known.knownBus),
  );
}

async function createMachine(context: ManagerContext, services: Services, create: VmCreate) {
  const { settings, tasks, machines, parts, refuseClosed } = context;
  refuseClosed('create', create.name);
  throwFirst(await checkNew(context, services, create), create.name, 'create');
  return machines.withName(create.name, () =>
    tasks.run('vm.create', create.name, async (control) => {
      refuseClosed('create', create.name);
      const made = {
        ...(await planParts(context, services, create)),
        cpuModel: settings.get().defaultCpuModel,
        locks: parts.locks,
        newMac: () => machines.newMac(),
        exclusively: <T>(publish: () => Promise<T>) => machines.exclusively(publish),
      };
      return createVm(create, made, control, (folder, config) => machines.take(folder, config, 'created'));
    }),
  );
}

async function updateMachine(
  { options, machines, emit }: ManagerContext,
  { snapshots, organizer }: Services,
  id: string,
  patch: VmPatch,
): Promise<VmSummary> {
  const machine = machines.get(id);
  const { maxMemoryMiB } = await options.engine.capabilities();
  if (patch.memoryMiB !== undefined && patch.memoryMiB > maxMemoryMiB)
    throw new HypervueError(
      'resource-limit',
      say('memoryOverMachine', { mib: patch.memoryMiB }),
      { object: machine.name },
      say('fixAtMost', { mib: maxMemoryMiB }),
    );
  if (patch.drives) await refuseNewDevices(machine.settings.usable('update').drives, patch.drives, machine.folder);
  if (patch.drives && !machine.active && losesDisk(machine.config?.drives ?? [], patch.drives)) await snapshots.before(machine, 'drives');
  if (patch.tags) patch = { ...patch, tags: withTags([], organizer.spelled(patch.tags), []) };
  // A machine may change the case of its own name.
  if (patch.name === undefined || patch.name.toLowerCase() === machine.name.toLowerCase()) await machine.settings.update(patch);
  else await machines.withName(patch.name, () => machine.settings.update(patch));
  if (patch.drives || patch.name !== undefined) emit('storage.changed', {});
  if (patch.group) await organizer.remember(patch.group);
  else if (patch.tags || patch.group !== undefined) organizer.told();
  return machine.summary();
}

/** Moves a machine out of the trash of the library, whatever else lies there. */
export function restoreMachine({ options, machines, emit }: ManagerContext, trashId: string): Promise<Machine> {
  return machines.exclusively(async () => {
    const machine = await machines.load(await restoreFromTrash(options.library, trashId));
    emit('trash.changed', {});
    emit('storage.changed', {});
    return machine;
  });
}
