import type { HostBlockDevice } from './hostdevices.ts';

/** What a machine can't be given a block device for. */
export type DeviceHindrance = 'system' | 'used' | 'kind' | 'empty';

/** Whether this computer has it mounted, swaps to it or made something from it. */
export const inUse = ({ mounts, swap, holders, system }: HostBlockDevice): boolean =>
  mounts.length > 0 || swap || holders.length > 0 || system;

/** Devices that have bytes in common with this one, itself first: its partitions, or the disk that it is a partition of. */
export function sharing(device: HostBlockDevice, all: readonly HostBlockDevice[]): HostBlockDevice[] {
  return [device, ...all.filter(({ name, parent }) => parent === device.name || name === device.parent)];
}

/** Those of them that this computer has mounted, swaps to or made something from. What the other partitions of its disk are used for does not count. */
export function usedSharing(device: HostBlockDevice, all: readonly HostBlockDevice[]): HostBlockDevice[] {
  return sharing(device, all).filter((one) => (one.name === device.parent ? inUse({ ...one, system: false }) : inUse(one)));
}

/** Devices with what they are used for, in one line: `/dev/sda1 /mnt/stick, /dev/sda2 swap`. Of a disk its partitions tell more. */
export function usesOf(used: readonly HostBlockDevice[]): string {
  return used
    .filter(({ name }) => !used.some(({ parent }) => parent === name))
    .map(({ path, mounts, swap, holders }) => [path, ...mounts, ...(swap ? ['swap'] : []), ...holders].join(' '))
    .join(', ');
}

/** Why no machine can be given the device, whoever asks; undefined when one can. */
export function deviceHindrance(device: HostBlockDevice, all: readonly HostBlockDevice[]): DeviceHindrance | undefined {
  if (device.kind === 'optical' || device.kind === 'memory') return 'kind';
  if (device.system) return 'system';
  if (usedSharing(device, all).length > 0) return 'used';
  return device.sizeBytes === 0 ? 'empty' : undefined;
}

/** The name that goes with the device wherever it is plugged in: below /dev/disk/by-id where it has one there that people can read. */
export function lastingPath({ path, stablePaths }: HostBlockDevice): string {
  const bare = (file: string) => /\/(?:wwn-|nvme-(?:eui|nvme)\.|dm-uuid-|lvm-pv-uuid-|md-uuid-)[^/]*$/.test(file);
  return stablePaths.find((file) => !bare(file)) ?? stablePaths[0] ?? path;
}

/** Whether a path of vm.json leads to where devices are; /dev/shm holds files. */
export const isDevicePath = (file: string): boolean => file.startsWith('/dev/') && !file.startsWith('/dev/shm/');
