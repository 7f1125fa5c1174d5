/** What a machine's thread knows of drives too; apart from drives.ts, because it needs no schemas, which take memory of it. */

/** Where drives can be. IDE: primary master, primary slave, secondary master, secondary slave. The number of a place never changes its meaning. */
export const idePlaces = ['ide0', 'ide1', 'ide2', 'ide3'] as const;
export const sataPlaces = ['sata0', 'sata1', 'sata2', 'sata3', 'sata4', 'sata5'] as const;
export const virtioPlaces = ['virtio0', 'virtio1', 'virtio2', 'virtio3', 'virtio4', 'virtio5', 'virtio6', 'virtio7'] as const;
/** On the machine's USB controller, which there has to be. */
export const usbPlaces = ['usb0', 'usb1', 'usb2', 'usb3'] as const;
export const floppyPlaces = ['fd0', 'fd1'] as const;
export const drivePlaces = [...idePlaces, ...sataPlaces, ...virtioPlaces, ...usbPlaces, ...floppyPlaces] as const;
export type DriveId = (typeof drivePlaces)[number];

export const driveKinds = ['disk', 'cdrom', 'floppy'] as const;
export type DriveKind = (typeof driveKinds)[number];

/** What a disk can be attached to. */
export const driveBuses = ['ide', 'sata', 'virtio', 'usb'] as const;
export type DriveBus = (typeof driveBuses)[number];

export function busOf(id: DriveId): DriveBus | 'floppy' {
  return id.startsWith('fd') ? 'floppy' : driveBuses.find((bus) => id.startsWith(bus))!;
}
