import { z } from 'zod';

/** Four lower-case hexadecimal digits, as lspci(8) and lsusb(8) show them. */
const number = z.string().regex(/^[0-9a-f]{4}$/);

/** Domain, bus, device and function as Linux writes them: `0000:00:1f.2`. */
export const pciAddressSchema = z.string().regex(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/);

export const pciFunctionSchema = z.object({
  address: pciAddressSchema,
  vendorId: number,
  deviceId: number,
  /** Class, subclass and interface, six digits: `030000`. */
  classId: z.string().regex(/^[0-9a-f]{6}$/),
  /** Names from the system's pci.ids; empty where it has none. */
  vendor: z.string(),
  device: z.string(),
  className: z.string(),
  driver: z.string().nullable(),
  /** What can be taken from this computer only as a whole; null without an IOMMU. */
  iommuGroup: z.number().int().nullable(),
  /** The firmware showed the start on it. */
  bootVga: z.boolean(),
  /** Of SR-IOV; null where it has none. */
  virtualFunctions: z.object({ total: z.number().int(), count: z.number().int() }).nullable(),
  /** Address of the function that this one is a virtual function of. */
  physicalFunction: z.string().nullable(),
});
export type PciFunction = z.infer<typeof pciFunctionSchema>;

/** Address and names of a function, as lspci(8) lists it. */
export const pciTitle = ({ address, vendor, device }: PciFunction): string => [address, vendor, device].filter(Boolean).join(' ');

export const hostUsbDeviceSchema = z.object({
  vendorId: number,
  productId: number,
  bus: z.number().int(),
  /** Ports on the way to it, `4.2`; null for the root hub of a bus. */
  port: z.string().nullable(),
  /** Number on the bus, as in /dev/bus/usb/BBB/DDD. */
  device: z.number().int(),
  /** What the device says of itself; empty where it says nothing. */
  vendor: z.string(),
  product: z.string(),
  serial: z.string(),
  /** Megabits a second; null when unknown. */
  speedMbps: z.number().nullable(),
  hub: z.boolean(),
  /** Of its interfaces, each once. */
  drivers: z.array(z.string()),
});
export type HostUsbDevice = z.infer<typeof hostUsbDeviceSchema>;

export const blockKinds = ['disk', 'partition', 'loop', 'optical', 'mapped', 'raid', 'memory'] as const;

export const hostBlockDeviceSchema = z.object({
  /** The kernel's name, which another device may have after a restart: `sda1`. */
  name: z.string(),
  path: z.string(),
  /** `major:minor`; empty when unknown. */
  number: z.string(),
  /** Links below /dev/disk/by-id, which go with the device. */
  stablePaths: z.array(z.string()),
  kind: z.enum(blockKinds),
  /** Name of the disk that a partition is of. */
  parent: z.string().nullable(),
  sizeBytes: z.number(),
  model: z.string(),
  serial: z.string(),
  readOnly: z.boolean(),
  removable: z.boolean(),
  /** Place of the USB device that it is on, `1-4.2`; null when it is on none. */
  usb: z.string().nullable(),
  /** Of a loop device. */
  backingFile: z.string(),
  mounts: z.array(z.string()),
  swap: z.boolean(),
  /** Names of what is made from it: LVM, RAID, encryption. */
  holders: z.array(z.string()),
  /** It, a part of it, or what is made from it is what this computer runs from. */
  system: z.boolean(),
});
export type HostBlockDevice = z.infer<typeof hostBlockDeviceSchema>;

/** A block device that is a disk of a machine, or has bytes in common with one. */
export const givenDiskSchema = z.object({
  /** Name of the device. */
  device: z.string(),
  machine: z.string(),
  machineName: z.string(),
  /** Place and path in vm.json. */
  drive: z.string(),
  path: z.string(),
  /** The device itself is the disk, not one that it shares bytes with. */
  own: z.boolean(),
  readOnly: z.boolean(),
  /** Of a machine that is on: it has it now, from its next start on only, or until it is off only. */
  when: z.enum(['now', 'nextStart', 'untilOff']),
});
export type GivenDisk = z.infer<typeof givenDiskSchema>;

export const hostDevicesSchema = z.object({
  pci: z.array(pciFunctionSchema),
  usb: z.array(hostUsbDeviceSchema),
  block: z.array(hostBlockDeviceSchema),
  /** Which machines have which of them as disks. */
  given: z.array(givenDiskSchema),
});
export type HostDeviceList = z.infer<typeof hostDevicesSchema>;
