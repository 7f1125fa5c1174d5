import { defineStore } from 'pinia';
import { computed, shallowRef, watch as onChange } from 'vue';
import { withoutDrive } from '../../../core/contract/devices.ts';
import type { GivenDisk, HostBlockDevice, HostDeviceList, HostUsbDevice } from '../../../core/contract/hostdevices.ts';
import { selectsUsb, type UsbSelector } from '../../../core/contract/usb.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { isLive } from '../composables/verbs.ts';
import { useConnection } from './connection.ts';
import { useMachines } from './machines.ts';
import { useNotices } from './notices.ts';
import { useWatched } from './watched.ts';

/** A machine that has a USB device of this computer. */
interface Given {
  machine: VmSummary;
  device: UsbSelector;
}

/** The manager tells of changes for two minutes after each look. */
const LOOK_AGAIN_MS = 60_000;

/** What names this device among those that are plugged in. */
const selectorOf = ({ vendorId, productId, bus, port, serial }: HostUsbDevice): UsbSelector => ({
  vendorId,
  productId,
  ...(port === null ? {} : { bus, port }),
  ...(serial ? { serial } : {}),
});

/** The devices of the computer that the manager runs on, and which machine has which, looked at while somebody shows them. */
export const useHostDevices = defineStore('hostDevices', () => {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const list = shallowRef<HostDeviceList | null>(null);
  const given = shallowRef<Given[]>([]);

  /** Machines that a USB device can be given to now. */
  const takers = computed(() => machines.sorted.filter((vm) => isLive(vm.state) && vm.config?.usb));

  const givenTo = async (machine: VmSummary): Promise<Given[]> =>
    // One that went off meanwhile has none.
    (await connection.call('vm.usb.list', { id: machine.id }).catch(() => [])).map((device) => ({ machine, device }));
  const { failure, load, soon, watch } = useWatched(
    ['host.devicesChanged', 'vm.changed', 'vm.removed'],
    async () => [await connection.call('host.devices', {}), (await Promise.all(takers.value.map(givenTo))).flat()] as const,
    ([nextList, nextGiven]) => {
      list.value = nextList;
      given.value = nextGiven;
    },
    LOOK_AGAIN_MS,
  );
  // After a new connection the machines may come later than the devices.
  onChange(() => takers.value.map(({ id }) => id).join(), soon);

  const holderOf = (device: HostUsbDevice): Given | undefined => given.value.find((each) => selectsUsb(each.device, device));

  async function change(method: 'vm.usb.attach' | 'vm.usb.detach', machine: VmSummary, device: UsbSelector, name: string): Promise<void> {
    const attaches = method === 'vm.usb.attach';
    try {
      await connection.call(method, { id: machine.id, device });
      notices.toast({
        key: attaches ? 'hostDevices.usb.given' : 'hostDevices.usb.back',
        tone: 'success',
        params: { device: name, name: machine.name },
      });
    } catch (error) {
      notices.showError(attaches ? 'giveUsb' : 'takeUsbBack', name, error);
    }
    await load();
  }

  /** `name`: what people call the device. */
  const give = (device: HostUsbDevice, machine: VmSummary, name: string): Promise<void> =>
    change('vm.usb.attach', machine, selectorOf(device), name);
  const takeBack = ({ machine, device }: Given, name: string): Promise<void> => change('vm.usb.detach', machine, device, name);

  /** Its partitions. */
  const partsOf = ({ name }: HostBlockDevice): HostBlockDevice[] => (list.value?.block ?? []).filter(({ parent }) => parent === name);
  /** Whose disk it is, or shares bytes with. */
  const disksOn = ({ name }: HostBlockDevice): GivenDisk[] => (list.value?.given ?? []).filter(({ device }) => device === name);

  /** `name`: what people call the device. */
  async function takeDeviceBack({ machine, machineName, drive, path }: GivenDisk, name: string): Promise<void> {
    try {
      // As it is now: another window may have changed it.
      const { config } = await connection.call('vm.get', { id: machine });
      if (config?.drives.some((each) => each.id === drive && each.path === path)) {
        const after = await connection.call('vm.update', { id: machine, patch: withoutDrive(config, drive) });
        machines.byId.set(machine, after);
        const key = isLive(after.state) ? 'hostDevices.block.backLater' : 'hostDevices.block.back';
        notices.toast({ key, tone: 'success', params: { device: name, name: machineName } });
      }
    } catch (error) {
      notices.showError('takeDeviceBack', name, error);
    }
    await load();
  }

  return { list, failure, takers, load, watch, holderOf, give, takeBack, partsOf, disksOn, takeDeviceBack };
});
