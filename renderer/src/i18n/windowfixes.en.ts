import type { SaidKey } from '../../../core/contract/saidtexts.ts';

/** Ways out for whoever sits at the window, where the manager's own words name a command. */
export const windowFixesEn = {
  fixSnapshotsOrCopy: 'Delete the snapshots first, or work on a copy (Convert on the Storage page).',
  fixCheckImage: 'Check the image on the Storage page, or restore it from a copy.',
  fixRepairOrReadOnly: 'Repair it (Check on the Storage page), or use it read-only.',
  fixRepair: 'Repair it (Check on the Storage page).',
  fixPassphraseOfImage: 'Type the passphrase of the image.',
  fixToLuks: 'Make an encrypted copy (Convert on the Storage page, with Encrypt the disk).',
  fixSameSnapshotIds: 'Make a copy of the disk as it is now (Convert on the Storage page) and use that.',
  fixConvertQcow2Raw: 'Convert it to qcow2 or raw on the Storage page.',
  fixLargerThan: 'Choose a larger size, or change it on the Storage page: it becomes smaller there when nothing but zeros is cut off.',
  fixFormatNotCloned: 'Convert it on the Storage page, or make a linked clone.',
  fixCloneNoSnapshots: 'Delete the snapshots, make a linked clone, or convert it on the Storage page, which keeps the present contents.',
  fixRepairFirst: 'Repair it first (Check on the Storage page).',
  fixStandAlone: 'Let them stand by themselves first (Rebase on the Storage page), or delete them.',
  fixVmdkInPieces: 'Unpack the package and import its disks one by one on the Storage page.',
  fixBackingFormatWrong:
    'If it looks like {found} and is, make a new disk on top of it and restore the contents, or have the name put right with the command line. Otherwise restore it from a copy.',
  fixBackingUnopened: 'Put the file back, or say where it is now (Rebase on the Storage page).',
  fixBackingItself: 'Put it on the right image (Rebase on the Storage page).',
  fixPoolMissing: 'Create the folder with the button, or choose another one.',
  fixNotAsNamed:
    'It may be damaged or not have come whole: copy or download it again. If it is the bytes of a disk, give it a name that ends in .img, or import it as a raw disk.',
  fixNotAnImage: 'Choose another file. If it is the bytes of a disk all the same, say so in the dialog.',
  fixBlockDeviceNoCommit: 'Write the whole disk to the device by other means: that is not done in the window.',
  fixBlockDeviceNoConvert: 'Choose a name in a pool: a device is not overwritten from the window.',
  fixBlockDeviceNoQcow2: 'Use it as raw; what is on it can be imported first on the Storage page.',
  fixNoBlockDevice: 'Name a device, as /dev/sdb.',
  fixBlockDeviceOnlyRaw: 'Choose raw.',
  fixBlockDeviceKind: 'Discs are put into a CD drive of the machine instead, on its Hardware page.',
  fixBlockDeviceList: 'See which there are under Host devices.',
  fixBlockDeviceByHand: 'Give it under Host devices: that looks whether it is free.',
  fixBlockDeviceNoCopy: 'Take it back from {name} first. What is on it is imported on the Storage page.',
  fixDiscardOrDespite:
    'Discard the saved state and start the machine anew. If the file was only copied or moved, tick what the list of checks asks before the start.',
  fixUsbController: 'Add one on the Hardware page and start the machine again.',
  fixConvertOrCopy: 'Convert it on the Storage page, or create a machine with a copy of it.',
  fixConvertToQcow2: 'Convert it to qcow2 on the Storage page.',
  fixBootNothing: 'Set what machines start from under Networks.',
} satisfies Partial<Record<SaidKey, string>>;
