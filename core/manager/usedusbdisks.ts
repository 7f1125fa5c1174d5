import { inUse, usesOf } from '../contract/deviceuse.ts';
import type { GivenDisk, HostBlockDevice, HostDeviceList } from '../contract/hostdevices.ts';
import { selectsUsb, usbName, type UsbSelector } from '../contract/usb.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Disks that are on the USB devices that are meant. */
function disksOf(wanted: UsbSelector, { usb, block }: Pick<HostDeviceList, 'usb' | 'block'>): HostBlockDevice[] {
  const places = new Set(usb.filter((device) => selectsUsb(wanted, device)).map(({ bus, port }) => `${bus}-${port}`));
  return block.filter((device) => device.usb !== null && places.has(device.usb));
}

/** Throws 'in-use' for a USB device with a disk that a machine has now: it would go away under its guest. */
export function refuseGivenUsbDisks(
  wanted: UsbSelector,
  devices: Pick<HostDeviceList, 'usb' | 'block'>,
  given: readonly Pick<GivenDisk, 'device' | 'machineName' | 'drive'>[],
): void {
  for (const { name, path } of disksOf(wanted, devices)) {
    const holder = given.find(({ device }) => device === name);
    if (!holder) continue;
    const { machineName, drive } = holder;
    throw new HypervueError(
      'in-use',
      say('blockDeviceGiven', { path, name: machineName, drive }),
      { object: usbName(wanted), path, holder: machineName, operation: 'attach' },
      say('fixBlockDeviceGiven', { name: machineName }),
    );
  }
}

/** Throws 'in-use' for a USB device with a disk that this computer has mounted, swaps to or made something from: a guest that gets it takes it away under a file system that is being written. */
export function refuseUsedUsbDisks(wanted: UsbSelector, devices: Pick<HostDeviceList, 'usb' | 'block'>): void {
  const used = disksOf(wanted, devices).filter(inUse);
  if (!used.length) return;
  const device = usbName(wanted);
  throw new HypervueError(
    'in-use',
    say('usbDiskUsed', { device, uses: usesOf(used) }),
    { object: device, operation: 'attach' },
    say('fixUsbDiskUsed'),
  );
}
