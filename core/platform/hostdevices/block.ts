/** Block devices as Linux lists them: Documentation/ABI/stable/sysfs-block. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import type { HostBlockDevice } from '../../contract/hostdevices.ts';
import { readUsedDevices, type UsedDevices } from './mounts.ts';
import { attribute, decimal, linkName, names } from './sysfs.ts';

/** Unit of the `size` attribute, whatever the sectors of the device are. */
const SECTOR = 512;
/** What a computer runs from. */
const SYSTEM_FOLDERS = new Set(['/', '/boot', '/boot/efi', '/efi', '/usr', '/var', '/home']);

function kindOf(name: string): HostBlockDevice['kind'] {
  if (/^loop\d/.test(name)) return 'loop';
  if (/^sr\d/.test(name)) return 'optical';
  if (/^dm-/.test(name)) return 'mapped';
  if (/^md/.test(name)) return 'raid';
  return /^(?:zram|ram)\d/.test(name) ? 'memory' : 'disk';
}

/** Disks, each with its partitions behind it. Loop, RAM and other devices with nothing in them are left out, drives for media are not. */
export async function readBlock(root: string): Promise<HostBlockDevice[]> {
  const folder = path.join(root, 'sys/class/block');
  const [all, used, links] = await Promise.all([names(folder), readUsedDevices(root), stableLinks(root)]);
  const read = all.map((name) => readOne(root, folder, name, used, links.get(name) ?? []));
  const found = (await Promise.all(read)).flatMap((device) => device ?? []);
  return found.map((device) => ({ ...device, system: holdsSystem(device, found) }));
}

async function readOne(
  root: string,
  folder: string,
  name: string,
  used: UsedDevices,
  stablePaths: string[],
): Promise<HostBlockDevice | null> {
  const of = path.join(folder, name);
  const size = await decimal(of, 'size');
  if (size === null) return null;
  const partition = (await decimal(of, 'partition')) !== null;
  const kind = partition ? 'partition' : kindOf(name);
  const removable = (await attribute(of, 'removable')) === '1';
  if (size === 0 && !(removable && kind !== 'loop') && kind !== 'optical') return null;
  // The kernel writes ! for / in names below /sys (cciss!c0d0).
  const device = `/dev/${name.replaceAll('!', '/')}`;
  const number = await attribute(of, 'dev');
  const mapped = await attribute(of, 'dm/name');
  const nodes = [device, ...(mapped ? [`/dev/mapper/${mapped}`] : []), ...stablePaths];
  const mounts = [number, ...nodes].flatMap((key) => used.mounts.get(key) ?? []);
  const first = async (...files: string[]) => {
    for (const file of files) {
      const text = await attribute(of, file);
      if (text !== '') return text;
    }
    return '';
  };
  return {
    name,
    path: device,
    number,
    stablePaths,
    kind,
    parent: partition ? await parentOf(root, of, name) : null,
    sizeBytes: size * SECTOR,
    model: mapped || (await first('device/model', 'device/name')),
    serial: await first('serial', 'device/serial', 'device/wwid', 'wwid'),
    readOnly: (await attribute(of, 'ro')) === '1',
    removable,
    usb: await usbPlace(of),
    backingFile: await attribute(of, 'loop/backing_file'),
    mounts: [...new Set(mounts)],
    swap: nodes.some((node) => used.swaps.has(node)),
    holders: await names(path.join(of, 'holders')),
    system: false,
  };
}

/** The way to the device leads through the interface of a USB device, `…/1-4.2/1-4.2:1.0/…`; through the last of them where it leads through hubs. */
async function usbPlace(of: string): Promise<string | null> {
  const way = await realpath(of).catch(() => '');
  return [...way.matchAll(/\/(\d+-\d+(?:\.\d+)*):\d+\.\d+(?=\/)/g)].at(-1)?.[1] ?? null;
}

/** A partition lies in the folder of its disk, to which the link in /sys/class/block leads. */
async function parentOf(root: string, of: string, name: string): Promise<string | null> {
  for (const disk of await names(path.join(root, 'sys/block')))
    if (name.startsWith(disk) && (await attribute(root, 'sys/block', disk, name, 'dev')) === (await attribute(of, 'dev'))) return disk;
  return null;
}

/** Links of /dev/disk/by-id by the name of the device. */
async function stableLinks(root: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const link of await names(path.join(root, 'dev/disk/by-id'))) {
    const name = await linkName(root, 'dev/disk/by-id', link);
    if (name !== null) found.set(name, [...(found.get(name) ?? []), `/dev/disk/by-id/${link}`]);
  }
  return found;
}

/** Whether what this computer runs from is on it, on a part of it, or on what is made from those. Broken entries may go round in circles. */
function holdsSystem(device: HostBlockDevice, all: readonly HostBlockDevice[], seen = new Set<string>()): boolean {
  if (seen.has(device.name)) return false;
  seen.add(device.name);
  if (device.swap || device.mounts.some((folder) => SYSTEM_FOLDERS.has(folder))) return true;
  return all.some((other) => (other.parent === device.name || device.holders.includes(other.name)) && holdsSystem(other, all, seen));
}
