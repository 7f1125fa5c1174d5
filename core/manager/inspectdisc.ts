import type { RandomAccessFile } from '../backend/file.ts';
import type { MediaInfo } from '../contract/host.ts';
import { bootKinds } from '../disk/iso/eltorito.ts';
import { IsoVolume } from '../disk/iso/iso9660.ts';
import { readUdf } from '../disk/iso/udf.ts';
import { say, type Saying, worded } from '../util/say.ts';
import { identifyDisc } from './systems/identify.ts';
import type { SystemTable } from './systems/systemtable.ts';

type Problem = MediaInfo['problems'][number];

/** A finding about a medium, with the way out. */
export const problem = (severity: Problem['severity'], message: Saying, fix: Saying): Problem => ({
  severity,
  ...worded(message, fix),
});

export const cutOff = (expected: number, sizeBytes: number): Problem =>
  problem('error', say('mediaCutOff', { expected, found: sizeBytes }), say('fixCopyAgain'));

export const notBootable = (why: 'mediaNoSignature' | 'mediaNoBootRecord'): Problem => problem('warning', say(why), say('fixBootable'));

/** A finding that is none for a machine with UEFI. */
export const isUefiOnly = ({ said }: Problem): boolean => said?.key === 'mediaUefiOnly' || said?.key === 'mediaDiskUefiOnly';

/** Fills in what a disc with ISO 9660 or UDF says of itself; false, and nothing has changed, when it is no such disc. */
export async function inspectDisc(file: RandomAccessFile, info: MediaInfo, systems: SystemTable | undefined): Promise<boolean> {
  const volume = await IsoVolume.open(file, info.sizeBytes);
  const udf = volume ? undefined : await readUdf(file, info.sizeBytes);
  if (!volume && !udf) return false;
  const disc = volume?.identifiers ?? { volumeId: '', systemId: '', publisherId: '', applicationId: '', volumeBytes: 0, ...udf };
  info.kind = 'iso';
  info.label = disc.volumeId;
  const { os, systemId, like, architectures, live } = await identifyDisc(disc, volume, systems);
  info.os = os;
  const kinds = await bootKinds(file, info.sizeBytes, volume?.bootCatalog ?? 0);
  // Firmware looks for this name on any medium (UEFI 2.10 section 3.5.1.1).
  const uefi = kinds.uefi || ((await volume?.has('efi/boot/bootx64.efi')) ?? false);
  info.content = { ...(systemId ? { systemId } : {}), ...(like ? { like } : {}), architectures, live, bios: kinds.bios, uefi };
  info.bootable = kinds.bios || uefi;
  if (disc.volumeBytes > info.sizeBytes) info.problems.push(cutOff(disc.volumeBytes, info.sizeBytes));
  if (!info.bootable && info.problems.length === 0) info.problems.push(notBootable('mediaNoBootRecord'));
  if (kinds.uefi && !kinds.bios) info.problems.push(problem('warning', say('mediaUefiOnly'), say('fixUefi')));
  return true;
}
