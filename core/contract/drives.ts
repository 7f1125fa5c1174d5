import { z } from 'zod';

/** Where drives can be. IDE: primary master, primary slave, secondary master, secondary slave. The number of a place never changes its meaning. */
export const idePlaces = ['ide0', 'ide1', 'ide2', 'ide3'] as const;
export const virtioPlaces = ['virtio0', 'virtio1', 'virtio2', 'virtio3', 'virtio4', 'virtio5', 'virtio6', 'virtio7'] as const;
export const floppyPlaces = ['fd0', 'fd1'] as const;
export const drivePlaces = [...idePlaces, ...virtioPlaces, ...floppyPlaces] as const;
export type DriveId = (typeof drivePlaces)[number];

/** What a disk can be attached to. */
export const driveBuses = ['ide', 'virtio'] as const;
export type DriveBus = (typeof driveBuses)[number];
export const driveBusSchema = z.enum(driveBuses);

export const driveKinds = ['disk', 'cdrom', 'floppy'] as const;
export type DriveKind = (typeof driveKinds)[number];

const places: { [B in DriveBus | 'floppy']: readonly DriveId[] } = { ide: idePlaces, virtio: virtioPlaces, floppy: floppyPlaces };

export function busOf(id: DriveId): DriveBus | 'floppy' {
  return id.startsWith('fd') ? 'floppy' : id.startsWith('virtio') ? 'virtio' : 'ide';
}

/** True when a drive of this kind can be at that place. */
export function fits(kind: DriveKind, id: DriveId): boolean {
  const bus = busOf(id);
  return bus === 'floppy' ? kind === 'floppy' : kind === 'disk' || (kind === 'cdrom' && bus !== 'virtio');
}

/** The first place of a bus that none of `taken` has. On IDE, ide2 is left for the CD drive as long as others are free. */
export function freePlace(bus: DriveBus | 'floppy', taken: readonly DriveId[]): DriveId | undefined {
  const free = places[bus].filter((id) => !taken.includes(id));
  return free.find((id) => id !== 'ide2') ?? free[0];
}
