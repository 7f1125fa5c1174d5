/** What is plugged in for a drive: mass storage with one unit. */
import { MmcUnit } from '../storage/mmcunit.ts';
import { UsbStorage, type UsbStorageOptions } from './bulkonly.ts';
import { ScsiDisk, type ScsiDiskOptions } from './scsidisk.ts';

export const usbDisk = (options: ScsiDiskOptions): UsbStorage =>
  new UsbStorage({ ...options, product: 'Hypervue USB Disk', scsi: new ScsiDisk(options) });

export const usbCdrom = (options: Pick<UsbStorageOptions, 'block' | 'serial' | 'log'>): UsbStorage =>
  new UsbStorage({ ...options, product: 'Hypervue USB DVD-ROM', scsi: new MmcUnit({ ...options, responseFormat: 0x02 }) });
