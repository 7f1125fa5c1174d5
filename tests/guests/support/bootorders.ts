import { drive } from './guest.ts';

/** Disks on each bus, whose image `file` gives by its letter. */
export const lettered = (file: (letter: string) => string) => [
  drive('ide0', 'disk', file('I')),
  drive('ide1', 'disk', file('J')),
  drive('sata0', 'disk', file('S')),
  drive('virtio0', 'disk', file('V')),
  drive('usb0', 'disk', file('U')),
  drive('usb2', 'disk', file('W')),
];

/** Boot orders of these disks, and the letter of the one that is started from. */
export const orders = [
  [['virtio0', 'disk'], 'V'],
  [['sata0'], 'S'],
  [['usb2', 'usb0', 'ide0'], 'W'],
  [['ide1', 'ide0'], 'J'],
  [['cdrom', 'disk'], 'I'],
] as const;
