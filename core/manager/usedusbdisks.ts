import { inUse, usesOf } from '../contract/deviceuse.ts';
import type { HostDeviceList } from '../contract/hostdevices.ts';
import { selectsUsb, usbName, type UsbSelector } from '../contract/usb.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Throws 'in-use' for a USB device with a disk that this computer has mounted, swaps to or made something from: a guest that gets it takes it away under a file system that is being written. */
export function refuseUsedUsbDisks(wanted: UsbSelector, { usb, block }: Pick<HostDeviceList, 'usb' | 'block'>): void {
  const places = new Set(usb.filter((device) => selectsUsb(wanted, device)).map(({ bus, port }) => `${bus}-${port}`));
  const used = block.filter((device) => device.usb !== null && places.has(device.usb) && inUse(device));
  if (!used.length) return;
  const device = usbName(wanted);
  throw new HypervueError(
    'in-use',
    say('usbDiskUsed', { device, uses: usesOf(used) }),
    { object: device, operation: 'attach' },
    say('fixUsbDiskUsed'),
  );
}
