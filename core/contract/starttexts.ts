/** Of the checks before a machine that is there is started. */
export const startTexts = {
  diskWantsPassphrase: '{path} is encrypted; its passphrase is asked for at the start',
  rawBeginsAs: '{path} is used as raw, as vm.json says, but begins as a {format} image does',
  fixRawBeginsAs: 'If it is one, remove the disk and add it again. If its guest wrote that, all is well.',
  spaceGrow: 'disks in {folder} may still grow by {sizeBytes}, and {freeBytes} are free there',
  fixSpaceGrow: 'Free some space. When there is none left the machine is paused, and goes on when there is.',
  spaceSave: 'saving the state may take {neededBytes}; {freeBytes} are free in {folder}',
  fixSpaceSave: 'Free some space before you save its state.',
  savedStateFits: 'goes on from the state of {at} ({sizeBytes})',
} as const;
