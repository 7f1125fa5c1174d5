import path from 'node:path';
import { busOf, type DriveId, fullPolicy } from '../../contract/drives.ts';
import type { ExplainedOption } from '../../contract/hardware.ts';
import { say, type Saying } from '../../util/say.ts';
import type { NetPlace } from '../../contract/networks.ts';
import type { Drive } from '../../contract/vm.ts';
import { AHCI_SLOT, usbConnector, virtioSlot } from '../../machine/slots.ts';
import { optionValue } from './quoting.ts';

export interface DriveParts {
  folder: string;
  /** Places that are booted from, first to last. */
  order: readonly (DriveId | NetPlace)[];
  /** Places of the disks whose images are encrypted. */
  encrypted: readonly DriveId[];
  remarks: Saying[];
}

/** How a host error is handled: werror and rerror of QEMU. */
const onWrite = { stop: 'stop', 'stop-if-full': 'enospc', report: 'report', ignore: 'ignore' } as const;

export const option = ({ text, said }: Saying, words: string[]): ExplainedOption => ({ words, note: text, said });

/** `-drive` and `-device` of every drive, after the controllers that they need. */
export function explainDrives(drives: readonly Drive[], parts: DriveParts): ExplainedOption[] {
  const options: ExplainedOption[] = [];
  if (drives.some(({ id }) => busOf(id) === 'sata'))
    options.push(option(say('explainAhci'), ['-device', `ich9-ahci,id=ahci,addr=${hex(AHCI_SLOT)}.0`]));
  for (const drive of drives) options.push(...driveOptions(drive, parts));
  return options;
}

function driveOptions(drive: Drive, parts: DriveParts): ExplainedOption[] {
  const backend = drive.path === null ? null : `drive-${drive.id}`;
  // Its usb-storage is a disk where nothing is in it.
  const bridged = drive.kind === 'cdrom' && busOf(drive.id) === 'usb';
  const place = parts.order.indexOf(drive.id);
  const device = [
    ...(bridged ? ['scsi-cd', `bus=${drive.id}.0`] : frontend(drive)),
    ...(backend ? [`drive=${backend}`] : []),
    ...(place >= 0 ? [`bootindex=${place + 1}`] : []),
  ].join(',');
  const options: ExplainedOption[] = [];
  if (backend && parts.encrypted.includes(drive.id))
    options.push(option(say('explainSecret'), ['-object', `secret,id=secret-${drive.id},file=PASSPHRASE-FILE`]));
  if (backend) options.push(option(mediumNote(drive), ['-drive', medium(drive, backend, parts)]));
  if (bridged)
    options.push(option(say('explainUsbBridge', { drive: drive.id }), ['-device', [...frontend(drive), `id=${drive.id}`].join(',')]));
  options.push(option(say(backend ? 'explainDrive' : 'explainDriveEmpty', { drive: drive.id }), ['-device', device]));
  return options;
}

function mediumNote({ kind, format, readOnly }: Drive): Saying {
  if (kind === 'cdrom') return say('explainDisc');
  if (kind === 'floppy') return say(readOnly ? 'explainFloppyReadOnly' : 'explainFloppy');
  return say(readOnly ? 'explainDiskReadOnly' : 'explainDisk', { format });
}

/** The guest's side: a drive on its controller. */
function frontend({ id, kind }: Drive): string[] {
  const number = Number(/\d+$/.exec(id)![0]);
  const ata = kind === 'cdrom' ? 'ide-cd' : 'ide-hd';
  switch (busOf(id)) {
    case 'ide':
      return [ata, `bus=ide.${number >> 1}`, `unit=${number & 1}`];
    case 'sata':
      return [ata, `bus=ahci.${number}`];
    case 'virtio':
      return ['virtio-blk-pci', `addr=${hex(virtioSlot(number))}.0`, 'disable-legacy=on'];
    case 'usb':
      return [kind === 'cdrom' ? 'usb-bot' : 'usb-storage', 'bus=usb.0', `port=${usbConnector(number)}`];
    case 'floppy':
      return ['floppy', `unit=${number}`, 'drive-type=auto'];
  }
}

/** The host's side: an image and how it is served. */
function medium(drive: Drive, backend: string, { folder, encrypted, remarks }: DriveParts): string {
  const policy = fullPolicy(drive);
  const words = [
    'if=none',
    `id=${backend}`,
    `file=${optionValue(path.resolve(folder, drive.path!))}`,
    `format=${drive.format}`,
    ...access(drive, remarks),
  ];
  if (drive.kind !== 'disk') return words.join(',');
  if (encrypted.includes(drive.id)) words.push(`encrypt.key-secret=secret-${drive.id}`);
  words.push(`cache=${policy.cache}`, `discard=${policy.discard}`);
  if (policy.detectZeroes) words.push(`detect-zeroes=${policy.discard === 'unmap' ? 'unmap' : 'on'}`);
  words.push(`werror=${onWrite[policy.writeErrors]}`, `rerror=${policy.readErrors}`);
  const { iops, bytesPerSecond, burstSeconds } = policy.limits;
  if (iops !== undefined) words.push(`throttling.iops-total=${iops}`);
  if (bytesPerSecond !== undefined) words.push(`throttling.bps-total=${bytesPerSecond}`);
  if (burstSeconds !== undefined) remarks.push(say('remarkBurst', { drive: drive.id, seconds: burstSeconds }));
  return words.join(',');
}

/** QEMU's IDE and SATA disks can't be read-only: what a guest writes to them goes into a file that is thrown away. */
function access({ id, kind, readOnly }: Drive, remarks: Saying[]): string[] {
  if (!readOnly && kind !== 'cdrom') return ['readonly=off'];
  if (kind !== 'disk' || busOf(id) === 'virtio' || busOf(id) === 'usb') return ['readonly=on'];
  remarks.push(say('remarkReadOnly', { drive: id }));
  return ['snapshot=on'];
}

const hex = (slot: number): string => slot.toString(16).padStart(2, '0');
