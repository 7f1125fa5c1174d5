import { busOf, type DriveId } from '../../../core/contract/drives.ts';

/** Key and parameters of the message that names a drive's place: IDE and floppy places have names of their own, others a number. */
export function placeMessage(id: DriveId): [key: string, parameters: { n: string }] {
  const bus = busOf(id);
  const n = /\d+$/.exec(id)![0];
  return [bus === 'ide' || bus === 'floppy' ? `drive.${id}` : `drive.place.${bus}`, { n }];
}
