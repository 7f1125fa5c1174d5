import type { BootEntry } from './boot.ts';
import type { NetPlace } from './networks.ts';
import { type DriveId, type DriveKind, driveKinds } from './driveplaces.ts';

export interface BootableDrive {
  id: DriveId;
  kind: DriveKind;
}

/** A drive, or a network card. */
type Bootable = BootableDrive | { id: NetPlace };

const isDriveKind = (entry: BootEntry): entry is DriveKind => (driveKinds as readonly string[]).includes(entry);

/**
 * What the firmware tries, first to last, each once. `rest`: drives that it starts only when they are chosen in its menu, and cards that nothing is started
 * over.
 */
export function bootSequence<D extends Bootable>(order: readonly BootEntry[], devices: readonly D[]): { tried: D[]; rest: D[] } {
  const tried = new Set<D>();
  for (const entry of order)
    for (const device of devices)
      if (isDriveKind(entry) ? 'kind' in device && device.kind === entry : device.id === entry) tried.add(device);
  return { tried: [...tried], rest: devices.filter((device) => !tried.has(device)) };
}

/** The kinds in the order in which the first drive of each is tried: for firmware that knows no more. */
export function bootKinds(order: readonly BootEntry[], drives: readonly BootableDrive[]): DriveKind[] {
  const kinds = order.flatMap((entry) => (isDriveKind(entry) ? [entry] : (drives.find(({ id }) => id === entry)?.kind ?? [])));
  return [...new Set(kinds)];
}
