import { computed, onBeforeUnmount, onMounted, ref } from 'vue';
import type { PciFunction } from '../../../core/contract/hostdevices.ts';
import { usbName } from '../../../core/contract/usb.ts';
import { useHostDevices } from '../stores/hostdevices.ts';
import { hasWords, wordsOf } from './searchwords.ts';

/** The devices of the computer that the manager runs on, kept current, and those of them that a search finds. */
export function useShownDevices() {
  const devices = useHostDevices();
  const query = ref('');
  const busy = ref(false);

  let stop: (() => void) | undefined;
  onMounted(() => (stop = devices.watch()));
  onBeforeUnmount(() => stop?.());

  async function lookAgain(): Promise<void> {
    busy.value = true;
    await devices.load();
    busy.value = false;
  }

  const words = computed(() => wordsOf(query.value));
  const matching = (texts: readonly (string | null)[]): boolean => hasWords(texts.join(' '), words.value);
  const usb = computed(() => (devices.list?.usb ?? []).filter((each) => matching([each.vendor, each.product, each.serial, usbName(each)])));
  const block = computed(() =>
    (devices.list?.block ?? []).filter((each) => matching([each.path, each.model, each.serial, ...each.mounts, each.backingFile])),
  );
  const pci = computed(() =>
    (devices.list?.pci ?? []).filter((each) =>
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

  return { query, busy, lookAgain, usb, block, groups, found };
}
