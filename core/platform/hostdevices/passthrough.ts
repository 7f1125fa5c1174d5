/**
 * What Linux tells of a PCI function that a guest is to have: Documentation/driver-api/vfio.rst, Documentation/ABI/testing/sysfs-bus-pci and
 * sysfs-kernel-iommu_groups, proc(5) for routes and the command line.
 */
import { access, constants, readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { HostBlockDevice, PciFunction } from '../../contract/hostdevices.ts';
import { readBlock } from './block.ts';
import { readPci } from './pci.ts';
import { names } from './sysfs.ts';

/** Whether a file can be opened for reading and writing. */
export type Access = 'open' | 'refused' | 'missing';

export interface PassthroughFacts {
  device: PciFunction;
  /** The others of its IOMMU group that are no bridges. */
  along: PciFunction[];
  /** Functions of this computer that are in a group. */
  grouped: number;
  vendor: 'intel' | 'amd' | 'other';
  /** The kernel's command line turns the IOMMU off. */
  turnedOff: boolean;
  /** Disks on the device or those that go along, with what this computer uses them for. */
  disks: HostBlockDevice[];
  /** Its network interfaces that this computer's way to others leads through. */
  routes: string[];
  /** The kernel has the driver vfio-pci. */
  driverThere: boolean;
  /** /dev/vfio/GROUP. */
  groupFile: Access;
}

/** PCI-to-PCI bridges and the host bridge: VFIO wants them left with their drivers. */
const isBridge = ({ classId }: PciFunction): boolean => classId.startsWith('06');

/** Facts of the function at `address`, or undefined when there is none. `root` is where /sys, /proc and /dev are. */
export async function readPassthrough(root: string, address: string): Promise<PassthroughFacts | undefined> {
  const all = await readPci(root);
  const device = all.find((each) => each.address === address);
  if (!device) return undefined;
  const { iommuGroup } = device;
  const along =
    iommuGroup === null ? [] : all.filter((each) => each.iommuGroup === iommuGroup && each.address !== address && !isBridge(each));
  const addresses = [address, ...along.map((each) => each.address)];
  const text = (file: string) => readFile(path.join(root, file), 'utf8').catch(() => '');
  const on = async (folder: string, name: string) => {
    const way = await realpath(path.join(root, folder, name)).catch(() => '');
    return addresses.some((each) => way.includes(`/${each}/`));
  };
  const only = async <T>(list: readonly T[], wanted: (each: T) => Promise<boolean>): Promise<T[]> => {
    const kept = await Promise.all(list.map(wanted));
    return list.filter((_, i) => kept[i]);
  };
  const [blocks, cpu, line, route, route6, drivers] = await Promise.all([
    readBlock(root),
    text('proc/cpuinfo'),
    text('proc/cmdline'),
    text('proc/net/route'),
    text('proc/net/ipv6_route'),
    names(path.join(root, 'sys/bus/pci/drivers')),
  ]);
  return {
    device,
    along,
    grouped: all.filter((each) => each.iommuGroup !== null).length,
    vendor: /GenuineIntel/.test(cpu) ? 'intel' : /AuthenticAMD/.test(cpu) ? 'amd' : 'other',
    turnedOff: /(?:^|\s)(?:iommu|intel_iommu|amd_iommu)=(?:\S*,)?off(?:[\s,]|$)/.test(line),
    disks: await only(blocks, ({ name }) => on('sys/class/block', name)),
    routes: await only(defaultInterfaces(route, route6), (name) => on('sys/class/net', name)),
    driverThere: drivers.includes('vfio-pci'),
    groupFile: iommuGroup === null ? 'missing' : await accessTo(path.join(root, 'dev/vfio', String(iommuGroup))),
  };
}

/** Interfaces of default routes, each once: column 2 of /proc/net/route is the destination, columns 1 and 2 of ipv6_route network and prefix length. */
export function defaultInterfaces(route: string, route6: string): string[] {
  const rows = (table: string) => table.split('\n').map((row) => row.trim().split(/\s+/));
  const four = rows(route).flatMap(([name, destination]) => (destination === '00000000' && name ? [name] : []));
  const six = rows(route6).flatMap((row) => (/^0{32}$/.test(row[0] ?? '') && row[1] === '00' && row.length >= 10 ? [row.at(-1)!] : []));
  return [...new Set([...four, ...six])].filter((name) => name !== 'lo');
}

async function accessTo(file: string): Promise<Access> {
  return access(file, constants.R_OK | constants.W_OK).then(
    () => 'open' as const,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? 'missing' : 'refused'),
  );
}
