/** USB devices with their hubs as Linux lists them: Documentation/ABI/stable/sysfs-bus-usb. */
import path from 'node:path';
import type { HostUsbDevice } from '../../contract/hostdevices.ts';
import { attribute, decimal, hex, linkName, names } from './sysfs.ts';

/** bDeviceClass of hubs (USB 2.0, 11.23.1). */
const HUB = '09';

/** By bus and port. What goes away meanwhile, or is not as it should be, is left out. */
export async function readUsb(root: string): Promise<HostUsbDevice[]> {
  const folder = path.join(root, 'sys/bus/usb/devices');
  const all = await names(folder);
  const devices = all.map(async (name): Promise<HostUsbDevice[]> => {
    // usb1 is the root hub of a bus, 1-4.2 a device, 1-4.2:1.0 an interface of it.
    const place = /^(?:usb(\d{1,3})|(\d{1,3})-(\d{1,3}(?:\.\d{1,3}){0,6}))$/.exec(name);
    if (!place) return [];
    const of = path.join(folder, name);
    const [vendorId, productId, device] = await Promise.all([hex(4, of, 'idVendor'), hex(4, of, 'idProduct'), decimal(of, 'devnum')]);
    if (vendorId === null || productId === null || device === null) return [];
    const speed = Number.parseFloat(await attribute(of, 'speed'));
    const interfaces = all.filter((other) => other.startsWith(`${place[1] ? `${place[1]}-0` : name}:`));
    const drivers = await Promise.all(interfaces.map((each) => linkName(folder, each, 'driver')));
    return [
      {
        vendorId,
        productId,
        bus: Number(place[1] ?? place[2]),
        port: place[3] ?? null,
        device,
        vendor: await attribute(of, 'manufacturer'),
        product: await attribute(of, 'product'),
        serial: await attribute(of, 'serial'),
        speedMbps: Number.isFinite(speed) && speed > 0 ? speed : null,
        hub: (await attribute(of, 'bDeviceClass')) === HUB,
        drivers: [...new Set(drivers.filter((driver) => driver !== null))],
      },
    ];
  });
  const found = (await Promise.all(devices)).flat();
  const order = ({ port }: HostUsbDevice) => port ?? '';
  return found.sort((a, b) => a.bus - b.bus || order(a).localeCompare(order(b), 'en', { numeric: true }));
}
