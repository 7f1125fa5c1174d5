/** What is done with a machine as it runs: its verbs, its drives, what it tells. */
import type { Handlers } from '../contract/server.ts';
import type { VmSummary } from '../contract/vm.ts';
import { readHostDevices } from '../platform/hostdevices/read.ts';
import type { ManagerContext } from './context.ts';
import { hardwareList } from './hardwarelist.ts';
import type { Machine } from './machine.ts';
import { givenDisks } from './devicedisks.ts';
import { deviceOwner, type Services } from './services.ts';
import { stateWatch } from './tasks.ts';
import { refuseGivenUsbDisks, refuseUsedUsbDisks } from './usedusbdisks.ts';

export function machineVerbs({ machines, tasks, refuseClosed, emit }: ManagerContext, { storage, snapshots, history }: Services) {
  /** A verb that answers with the machine as it is afterwards. */
  const verb =
    <P extends { id: string }>(action: (machine: Machine, params: P) => Promise<unknown>) =>
    async (params: P): Promise<VmSummary> => {
      const machine = machines.get(params.id);
      await action(machine, params);
      return machine.summary();
    };
  /** A verb that has nothing to tell. */
  const silent =
    <P extends { id: string }>(action: (machine: Machine, params: P) => Promise<unknown>) =>
    async (params: P): Promise<null> => {
      await action(machines.get(params.id), params);
      return null;
    };
  return {
    'vm.start': verb(async (machine, { despiteDisks, passphrase }) => {
      refuseClosed('start', machine.name);
      const before = async () => {
        await storage.refuseBases(machine);
        await snapshots.beforeStart(machine);
      };
      await machine.start({ despiteDisks: despiteDisks ?? false, passphrase, before });
    }),
    'vm.saveState': verb((machine) => tasks.run('vm.saveState', machine.name, (control) => machine.saveState(stateWatch(control)))),
    'vm.discardState': verb((machine) => machine.states.discard()),
    'vm.pause': verb((machine) => machine.pause()),
    'vm.resume': verb((machine) => machine.resume()),
    'vm.shutdown': verb((machine) => machine.shutdown()),
    'vm.restart': verb((machine) => machine.restart()),
    'vm.reset': verb((machine) => machine.reset()),
    'vm.forceOff': verb((machine) => machine.forceOff()),

    'vm.changeMedium': verb((machine, { drive, path: file }) => machine.drives.changeMedium(drive, file)),
    'vm.setDrivePolicy': verb((machine, { drive, policy }) => machine.drives.setPolicy(drive, policy)),
    'vm.growDisk': verb(async (machine, { drive, sizeBytes }) => {
      // One that is on has made sure of it when it started.
      if (!machine.active) await storage.refuseBases(machine, 'resize');
      return machine.drives.grow(drive, sizeBytes);
    }),
    'vm.plugDrive': verb(async (machine, { drive, passphrase }) => {
      await storage.refuseBases(machine, 'plug in a drive');
      await machine.drives.plug(drive, passphrase);
      emit('storage.changed', {});
    }),
    'vm.unplugDrive': verb(async (machine, { drive }) => {
      await machine.drives.unplug(drive);
      emit('storage.changed', {});
    }),
    'vm.usb.attach': verb(async (machine, { device }) => {
      const running = machine.alive('attach a USB device');
      const devices = await readHostDevices();
      refuseUsedUsbDisks(device, devices);
      const on = machines.all().filter(({ active }) => active);
      const given = await givenDisks(on.map(deviceOwner), devices.block);
      refuseGivenUsbDisks(
        device,
        devices,
        given.filter(({ when }) => when !== 'nextStart'),
      );
      await running.attachUsb(device);
      machine.changed();
    }),
    'vm.usb.detach': verb(async (machine, { device }) => {
      await machine.alive('detach a USB device').detachUsb(device);
      machine.changed();
    }),
    'vm.usb.list': async ({ id }) => {
      const machine = machines.get(id);
      const on = machine.state === 'running' || machine.state === 'paused';
      return (on && (await machine.running()?.listUsb())) || [];
    },

    'vm.hardware': async ({ id }) => {
      const { config } = machines.get(id);
      return config ? hardwareList(config) : [];
    },
    'vm.log': ({ id, lines }) => machines.get(id).logEntries(lines),
    'vm.stats': async ({ id }) => machines.get(id).stats,
    'vm.history': async ({ id, range }) => history.machine(machines.get(id).id, range),
    'vm.openGdb': async ({ id, address, architecture }) => machines.get(id).alive('open a debugger').openGdb(address, architecture),
    'vm.closeGdb': silent((machine) => machine.alive('close a debugger').closeGdb()),
    'vm.profile': async ({ id, ...options }) => machines.get(id).alive('profile').profile(options),
  } satisfies Partial<Handlers>;
}
