import { floppyGeometry } from '../devices/storage/floppygeometry.ts';
import type { FloppyDriveType } from '../devices/timer/rtc.ts';

/**
 * The drive in which a medium of `sizeBytes` is at home; `undefined` is an empty drive. A 3.5-inch high-density drive takes 720K disks as well, so that
 * the next disk may be of either kind; drives of the other types read only their own in firmware.
 */
export function floppyDriveType(sizeBytes: number | undefined): FloppyDriveType {
  if (sizeBytes === undefined) return '1.44M';
  const { cylinders, sectors } = floppyGeometry(sizeBytes);
  if (cylinders === 40) return '360K';
  if (sectors === 15) return '1.2M';
  return sectors === 36 ? '2.88M' : '1.44M';
}
