import type { HostBlockDevice, HostDeviceList } from '../contract/hostdevices.ts';
import { selectsUsb, usbName, type UsbSelector } from '../contract/usb.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

const inUse = ({ mounts, swap, holders, system }: HostBlockDevice): boolean => mounts.length > 0 || swap || holders.length > 0 || system;
const useOf = ({ path, mounts, swap, holders }: HostBlockDevice): string =>
  [path, ...mounts, ...(swap ? ['swap'] : []), ...holders].join(' ');

/** Throws 'in-use' for a USB device with a disk that this computer has mounted, swaps to or made something from: a guest that gets it takes it away under a file system that is being written. */
export function refuseUsedUsbDisks(wanted: UsbSelector, { usb, block }: Pick<HostDeviceList, 'usb' | 'block'>): void {
  const places = new Set(usb.filter((device) => selectsUsb(wanted, device)).map(({ bus, port }) => `${bus}-${port}`));
  const used = block.filter((device) => device.usb !== null && places.has(device.usb) && inUse(device));
  // Of a disk its partitions tell more.
  const told = used.filter(({ name }) => !used.some(({ parent }) => parent === name));
  if (!told.length) return;
  const device = usbName(wanted);
  throw new HypervueError(
    'in-use',
    say('usbDiskUsed', { device, uses: told.map(useOf).join(', ') }),
    { object: device, operation: 'attach' },
    say('fixUsbDiskUsed'),
  );
}
