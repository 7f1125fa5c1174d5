/** Of moving all machines to another folder. */
export const libraryMoveTexts = {
  moveTargetFull: '{folder} is not empty',
  fixMoveTargetFull: 'Choose an empty folder, or one that is not there yet.',
  moveNoRoom: 'the machines take {neededBytes}, and {freeBytes} are free in {folder}',
  fixMoveNoRoom: 'Make room there, or empty the trash here.',
  moveOnTop: '{names} lie outside, on images of machines that would move away from below them',
  moveOnTopOne: '{names} lies outside, on an image of a machine that would move away from below it',
  fixMoveOnTop: 'Rebase or delete these disks first.',
  moveDataFile: '{path} has its data in a file that it names by its whole path',
  fixMoveDataFile: 'Convert the disk first.',
  moveChanged: '{path} was changed while the machines were copied',
  fixMoveChanged: 'Nothing was moved. See that nothing else works on the machines, and try again.',
  moveDiffers: '{path} reads otherwise than what was copied',
  fixMoveDiffers: 'Nothing was moved. Look at the disk of {folder}: it does not keep what is written to it.',
  moveCutOff: 'moving the machines to {to} was cut off; they are all in {from}, as before',
  moveFinished: 'moving the machines was cut off and is finished now: they are in {to}',
  moveOldLeft: 'the machines are in {to}; what could not be removed stays in {from}',
  moveLeft:
    'moving the machines from {from} to {to} was cut off; {from} is opened, so nothing of it goes any more, and what was copied stays in {to}',
  moveAway: 'the machines are being moved to {to}, which is not there',
  fixMoveAway: 'Connect its drive and start Hypervue again.',
} as const;
