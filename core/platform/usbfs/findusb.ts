import { selectsUsb, usbName, type UsbSelector } from '../../contract/usb.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { readUsb } from '../hostdevices/usb.ts';

export interface FoundUsb extends UsbSelector {
  /** /dev/bus/usb/BBB/DDD. */
  node: string;
}

/** USB devices of this computer, without hubs. `root` is where /sys is. */
export async function usbDevices(root = '/'): Promise<FoundUsb[]> {
  const three = (number: number) => String(number).padStart(3, '0');
  return (await readUsb(root)).flatMap(({ vendorId, productId, bus, port, device, serial, hub }) =>
    hub || port === null
      ? []
      : [{ vendorId, productId, bus, port, ...(serial ? { serial } : {}), node: `/dev/bus/usb/${three(bus)}/${three(device)}` }],
  );
}

/** The one of `devices` that a selector means. Throws 'not-found', or 'invalid-argument' where several fit. */
export function findUsb(wanted: UsbSelector, devices: readonly FoundUsb[]): FoundUsb {
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
