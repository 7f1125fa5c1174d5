/**
 * What the manager says, as templates: clients that speak other languages say it by key and parameters, everybody else takes the English text that goes along.
 * Parameters whose names end in `Bytes` are sizes; one that has a key of its own is said in the same language.
 */
import type { Said } from './said.ts';

/** Of files, by the code that the system gives: what is wrong and what to do. */
export const fileTexts = {
  fileENOENT: '{path} does not exist',
  fileEACCES: '{path} may not be opened by this user',
  fileEROFS: '{path} is on a read-only file system',
  fileEISDIR: '{path} is a folder',
  fileFolder: '{path} is a folder, not an image',
  fileOdd: '{path} is a pipe, socket or character device, not an image',
  fileNoFolder: '{path} is a file, not a folder',
  fileENOSPC: '{path} could not grow: the disk of this computer is full',
  fileEDQUOT: '{path} could not grow: your disk quota is used up',
  fileEBADF: '{path} was closed while it was in use',
  fileEFBIG: '{path} could not grow: the file system allows no larger file',
  fileENAMETOOLONG: '{path} is too long a path',
  fileELOOP: '{path} is a link that leads nowhere',
  fileBadPath: '{path} is not a path',
  fileEBUSY: '{path} is in use by another program',
  fileOther: '{path} could not be used ({code})',
  fixPath: 'Check the path, or choose another file.',
  fixRights: 'Change the file permissions, or move it to a folder you own.',
  fixReadOnly: 'Mark the drive read-only, or copy the file elsewhere.',
  fixChooseFile: 'Choose a file.',
  fixChooseFolder: 'Choose a folder.',
  fixSpace: 'Free some space, then try again.',
  fixMoveImage: 'Move the image to another file system.',
  fixOtherFile: 'Choose another file.',
  fixCloseProgram: 'Close the other program.',
} as const;

/** Of media: what is wrong with a file that a machine is to start from or use. */
export const mediaTexts = {
  mediaEmpty: 'The file is empty.',
  mediaCutOff: 'The file is cut off: it should have {expected} bytes and has {found}.',
  mediaForeign: 'This is a {format} image; only raw and qcow2 images can be used so far.',
  mediaPacked: 'This file is compressed ({format}).',
  mediaNoDisk: 'This is no disk image, nor anything else that a machine could start from.',
  mediaTooSmall: 'The file is too small to be a disk image.',
  mediaOddSize: 'The size is no multiple of 512 bytes; the file may be cut off.',
  mediaNoSignature: 'The first sector has no boot signature (55 AA).',
  mediaShortPartitions: 'Its partitions reach beyond the end of the file; it may be cut off.',
  mediaNoBootRecord: 'This disc has no boot record for a PC.',
  mediaUefiOnly: 'This disc starts under UEFI only.',
  mediaDiskUefiOnly: 'This disk starts under UEFI only.',
  fixCopyAgain: 'Copy or download it again.',
  fixConvert: 'Convert it: qemu-img convert -O qcow2 IN OUT',
  fixUnpack: 'Unpack it and choose what is inside.',
  fixCompare: 'Compare it with the original.',
  fixBootable: 'Choose a bootable image, or add one as a second drive later.',
  fixUefi: 'Choose UEFI as the firmware of the machine.',
  useIso: 'a CD/DVD image',
  useFloppy: 'a floppy image',
  useDisk: 'a disk image',
  useKernel: 'a kernel',
  isBzimage: 'a Linux kernel',
  isMultiboot: 'a multiboot kernel',
  isUnknown: 'something else',
} as const;

/** Of the checks before a machine is made or started. */
export const checkTexts = {
  engineName: 'Built-in hypervisor',
  engineReason: 'Part of Hypervue; needs nothing else on this computer.',
  engineBad: '{engine}: {reason}',
  plain: '{text}',
  firmwareMissing: 'Firmware was not found: {reason}',
  firmwareNowhere: '{files} are in none of {folders}',
  uefiMissing: 'UEFI firmware was not found: {reason}',
  uefiNowhere: 'OVMF is not installed',
  fixSeabios: 'Install SeaBIOS (Debian, Ubuntu: apt-get install seabios).',
  fixOvmf: 'Install OVMF (Debian, Ubuntu: apt-get install ovmf), or choose BIOS.',
  memoryOverEngine: '{mib} MiB of memory is more than the {most} MiB that {engine} gives one machine',
  memoryOverHost: '{mib} MiB of memory is more than this computer has ({total} MiB)',
  memoryOverFree: '{mib} MiB of memory is more than the {free} MiB that are free now',
  memoryUnderFirmware: '{mib} MiB is less than the firmware needs',
  memoryGood: '{mib} MiB of {totalBytes}',
  fixAtMost: 'Choose at most {mib} MiB.',
  fixAtLeast: 'Choose at least {mib} MiB.',
  fixMemoryFree: 'Close programs, stop other machines, or choose less.',
  nameTaken: 'There is a machine named {name} already',
  fixName: 'Choose another name.',
  mediumProblem: '{path}: {problem}',
  mediumOther: '{path} is not {wanted}; it looks like {found}',
  fixMedium: 'Choose {wanted}, or use this file as what it is.',
  inUse: '{path} is in use by {holder}',
  fixInUse: 'Stop {holder} first, or choose another image.',
  fileEmpty: '{path} is empty',
  sampleMissing: 'The check image was not built',
  fixSample: 'Install nasm and start Hypervue again.',
  nothingToBoot: 'The machine has nothing to boot from yet',
  fixNothingToBoot: 'Insert a medium on its Hardware page.',
  twiceChosen: '{path} is chosen twice',
  fixTwiceChosen: 'Choose one of them.',
  notAbsolute: '{path} is not an absolute path',
  fixAbsolute: 'Give the whole path.',
  rawEncrypted: 'A raw disk can’t be encrypted',
  fixRawEncrypted: 'Choose qcow2, or no passphrase.',
  busFull: '{bus} has room for {most} disks, and the machine would have {count}',
  fixBusFull: 'Attach them to SATA or VirtIO, or leave some out.',
  spaceShort: 'The machine needs {neededBytes} now and {folder} has {freeBytes} free',
  fixSpaceShort: 'Free some space, or choose another place.',
  spaceMayEnd: 'New disks may grow to {sizeBytes}; {freeBytes} are free in {folder}',
  fixSpaceMayEnd: 'Disks take space only as they fill. Keep an eye on it.',
  spaceGood: '{freeBytes} free in {folder}',
  spaceLeft: '{folder} has only {freeBytes} free',
  fixSpaceLeft: 'Free some space.',
  twoDrives: '{path} is in two drives of this machine, {one} and {other}',
  fixTwoDrives: 'Remove one of them, or make both read-only.',
  uefiFloppy: 'UEFI does not start from the floppy in {drive}',
  fixUefiFloppy: 'Choose BIOS, or a disk or CD.',
} as const;

/** Of the rules between the fields of vm.json, and of its text. */
export const ruleTexts = {
  ruleKernelBios: 'a kernel is booted directly by the BIOS, not by UEFI',
  ruleUefi64: 'UEFI needs a 64-bit processor',
  ruleTwoDrives: 'there are two drives at {drive}',
  ruleWrongPlace: "a {kind} drive can't be at {drive}",
  ruleNoImage: 'the disk at {drive} has no image',
  ruleUsbController: '{drive} wants a USB controller, which the machine does not have ("usb": {})',
  ruleTwoCards: 'there are two network cards at {card}',
  ruleSameMac: 'two network cards have the address {mac}',
  ruleSerialFile: "the file of {port} must lie in the machine's folder",
  ruleUnknownField: 'there is no such field',
  ruleTwice: 'this name is in the object twice',
  ruleOtherId: 'the id of a machine never changes; it is {id}',
  ruleMissing: '{field} is missing',
  ruleMissingOf: '{field} is missing: {problem}',
  jsonMore: 'there is more after the end',
  jsonDeep: 'it nests too deeply',
  jsonValue: 'a value should stand here',
  jsonEnds: 'the text ends too early',
  jsonName: 'a name in double quotes should stand here',
  jsonColon: 'a colon should stand here',
  jsonCommaObject: 'a comma or } should stand here',
  jsonCommaList: 'a comma or ] should stand here',
} as const;

/** A rule's text in both forms. */
export const rule = (key: keyof typeof ruleTexts, params: Readonly<Record<string, string>> = {}): { message: string; said: Said } => ({
  message: fill(ruleTexts[key], params),
  said: { key, params },
});

/** What each parameter stands for. */
export function fill(template: string, params: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (Object.hasOwn(params, name) ? String(params[name]) : whole));
}
