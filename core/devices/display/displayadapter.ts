import type { Device } from '../../bus/device.ts';
import type { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';

/** What shows a machine's picture: chips whose memory is kept as memory, page by page, and not as their state. */
export interface DisplayAdapter extends PciDevice, Device {
  /** All but its memory. */
  saveRegisters(): DeviceState;
  /** All but its memory, which was put back already. */
  restoreRegisters(state: DeviceState): void;
  /** Tells the guest's driver of the size, pixels, that its picture had better have. Displays that can't leave it out. */
  prefer?(width: number, height: number): void;
}
