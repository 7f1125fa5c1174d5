/** PCI functions as Linux lists them: Documentation/ABI/testing/sysfs-bus-pci, sysfs-kernel-iommu_groups. */
import path from 'node:path';
import { pciAddressSchema, type PciFunction } from '../../contract/hostdevices.ts';
import { readPciNames } from './pciids.ts';
import { attribute, decimal, hex, linkName, names } from './sysfs.ts';

/** By address. What goes away meanwhile, or is not as it should be, is left out. */
export async function readPci(root: string): Promise<PciFunction[]> {
  const folder = path.join(root, 'sys/bus/pci/devices');
  const known = await readPciNames(root);
  const functions = (await names(folder)).map(async (address): Promise<PciFunction[]> => {
    if (!pciAddressSchema.safeParse(address).success) return [];
    const of = path.join(folder, address);
    const [vendorId, deviceId, classId] = await Promise.all([hex(4, of, 'vendor'), hex(4, of, 'device'), hex(6, of, 'class')]);
    if (vendorId === null || deviceId === null || classId === null) return [];
    const group = await linkName(of, 'iommu_group');
    const total = await decimal(of, 'sriov_totalvfs');
    return [
      {
        address,
        vendorId,
        deviceId,
        classId,
        vendor: known.vendor(vendorId),
        device: known.device(vendorId, deviceId),
        className: known.className(classId),
        driver: await linkName(of, 'driver'),
        iommuGroup: group !== null && /^\d{1,9}$/.test(group) ? Number(group) : null,
        bootVga: (await attribute(of, 'boot_vga')) === '1',
        virtualFunctions: total ? { total, count: (await decimal(of, 'sriov_numvfs')) ?? 0 } : null,
        physicalFunction: await linkName(of, 'physfn'),
      },
    ];
  });
  return (await Promise.all(functions)).flat();
}
