import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { selectsUsb, type UsbSelector } from '../../contract/usb.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

/** Where Linux lists USB devices (Documentation/ABI/stable/sysfs-bus-usb). */
export const USB_DEVICES = '/sys/bus/usb/devices';

export interface FoundUsb extends UsbSelector {
  /** /dev/bus/usb/BBB/DDD. */
  node: string;
}

/** As `046d:c52b`. */
export const usbName = ({ vendorId, productId }: Pick<UsbSelector, 'vendorId' | 'productId'>): string => `${vendorId}:${productId}`;

/** USB devices of this computer, without hubs. */
export function usbDevices(folder = USB_DEVICES): FoundUsb[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    // `1-4.2` is a device; usb1 is a root hub, 1-4.2:1.0 an interface.
    const place = /^(\d+)-([\d.]+)$/.exec(name);
    const attribute = (file: string) => {
      try {
        return readFileSync(path.join(folder, name, file), 'utf8').trim();
      } catch {
        return '';
      }
    };
    if (!place || attribute('bDeviceClass') === '09') return [];
    const bus = Number(place[1]);
    const serial = attribute('serial');
    const three = (number: number) => String(number).padStart(3, '0');
    return [
      {
        vendorId: attribute('idVendor'),
        productId: attribute('idProduct'),
        bus,
        port: place[2]!,
        ...(serial ? { serial } : {}),
        node: `/dev/bus/usb/${three(bus)}/${three(Number(attribute('devnum')))}`,
      },
    ];
  });
}

/** The one device that a selector means. Throws 'not-found', or 'invalid-argument' where several fit. */
export function findUsb(wanted: UsbSelector, devices = usbDevices()): FoundUsb {
  const fits = devices.filter((device) => selectsUsb(wanted, device));
  const name = usbName(wanted);
  if (fits.length === 1) return fits[0]!;
  if (fits.length === 0)
    throw new HypervueError('not-found', say('usbGone', { device: name }), { object: name, operation: 'attach' }, say('fixUsbGone'));
  throw new HypervueError(
    'invalid-argument',
    say('usbSeveral', { device: name, places: fits.map(({ bus, port }) => `${bus}-${port}`).join(', ') }),
    { object: name, operation: 'attach' },
    say('fixUsbSeveral'),
  );
}
