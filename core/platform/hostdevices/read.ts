import type { HostDeviceList } from '../../contract/hostdevices.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { readBlock } from './block.ts';
import { readPci } from './pci.ts';
import { readUsb } from './usb.ts';

/** What this computer has that a machine might be given, as it is now. `root` is where /sys, /proc, /dev and /usr are. Rejects with 'unsupported' on other systems than Linux. */
export async function readHostDevices(root = '/', platform: NodeJS.Platform = process.platform): Promise<Omit<HostDeviceList, 'given'>> {
  if (platform !== 'linux') throw new HypervueError('unsupported', say('hostDevicesUnread', { platform }), { operation: 'list' });
  const [pci, usb, block] = await Promise.all([readPci(root), readUsb(root), readBlock(root)]);
  return { pci, usb, block };
}
