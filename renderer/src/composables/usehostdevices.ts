import { computed, onBeforeUnmount, ref, shallowRef, watch } from 'vue';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { HostDeviceList, HostUsbDevice, PciFunction } from '../../../core/contract/hostdevices.ts';
import { selectsUsb, type UsbSelector } from '../../../core/contract/usb.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useMachines } from '../stores/machines.ts';
import { toDto, useNotices } from '../stores/notices.ts';
import { isLive } from './verbs.ts';

/** A machine that has a USB device of this computer. */
interface Given {
  machine: VmSummary;
  device: UsbSelector;
}

/** What names this device among those that are plugged in. */
export const selectorOf = ({ vendorId, productId, bus, port, serial }: HostUsbDevice): UsbSelector => ({
  vendorId,
  productId,
  ...(port === null ? {} : { bus, port }),
  ...(serial ? { serial } : {}),
});

/** The devices of the computer that the manager runs on, and which machine has which. */
export function useHostDevices() {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const list = shallowRef<HostDeviceList | null>(null);
  const given = shallowRef<Given[]>([]);
  const failure = shallowRef<ErrorDto | null>(null);
  const busy = ref(false);
  const query = ref('');

  /** Machines that a USB device can be given to now. */
  const takers = computed(() => machines.sorted.filter((vm) => isLive(vm.state) && vm.config?.usb));

  async function look(): Promise<void> {
    if (busy.value) return;
    busy.value = true;
    try {
      list.value = await connection.call('host.devices', {});
      given.value = (
        await Promise.all(
          takers.value.map(async (machine) =>
            (await connection.call('vm.usb.list', { id: machine.id }).catch(() => [])).map((device) => ({ machine, device })),
          ),
        )
      ).flat();
      failure.value = null;
    } catch (error) {
      failure.value = toDto(error);
    } finally {
      busy.value = false;
    }
  }

  /** A page that was opened by its address is there before the connection. */
  onBeforeUnmount(connection.onReady(() => void look()));

  // A machine that went on or off has other devices than before.
  watch(
    () => takers.value.map(({ id }) => id).join(),
    () => void look(),
  );

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
    await look();
  }

  const matching = (words: readonly (string | null)[]): boolean => {
    const text = words.join(' ').toLocaleLowerCase();
    return query.value
      .toLocaleLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  };
  const usb = computed(() =>
    (list.value?.usb ?? []).filter((each) => matching([each.vendor, each.product, each.serial, `${each.vendorId}:${each.productId}`])),
  );
  const block = computed(() =>
    (list.value?.block ?? []).filter((each) => matching([each.path, each.model, each.serial, ...each.mounts, each.backingFile])),
  );
  const pci = computed(() =>
    (list.value?.pci ?? []).filter((each) =>
      matching([each.address, each.vendor, each.device, each.className, each.driver, `${each.vendorId}:${each.deviceId}`]),
    ),
  );
  /** By IOMMU group, those without one last. */
  const groups = computed(() => {
    const found = new Map<number | null, PciFunction[]>();
    for (const each of pci.value) found.set(each.iommuGroup, [...(found.get(each.iommuGroup) ?? []), each]);
    return [...found]
      .map(([group, functions]) => ({ group, functions }))
      .sort((a, b) => (a.group ?? Number.MAX_SAFE_INTEGER) - (b.group ?? Number.MAX_SAFE_INTEGER));
  });
  const found = computed(() => usb.value.length + block.value.length + pci.value.length);

  return { list, failure, busy, query, takers, usb, block, groups, found, look, holderOf, change };
}
