import { z } from 'zod';
import { type DriveId, type DriveKind, driveKinds, drivePlaces } from './drives.ts';
import { type NetPlace, netPlaces } from './networks.ts';

/** What a machine starts from: all drives of a kind, in the order in which the machine lists them, the drive in one place, or over a network card what its network hands out. */
export const bootEntrySchema = z.enum([...driveKinds, ...drivePlaces, ...netPlaces]);
export type BootEntry = z.infer<typeof bootEntrySchema>;
export const MAX_BOOT_ENTRIES = driveKinds.length + drivePlaces.length + netPlaces.length;

/** How long the firmware waits for the key that opens its boot menu, seconds. The firmware counts milliseconds in 16 bits. */
export const bootMenuSecondsSchema = z.number().int().min(1).max(60);

interface BootableDrive {
  id: DriveId;
  kind: DriveKind;
}
/** A drive, or a network card. */
type Bootable = BootableDrive | { id: NetPlace };

export const isCardPlace = (id: string): id is NetPlace => (netPlaces as readonly string[]).includes(id);
const isKind = (entry: BootEntry): entry is DriveKind => (driveKinds as readonly string[]).includes(entry);

/**
 * What the firmware tries, first to last, each once. `rest`: drives that it starts only when they are chosen in its menu, and cards that nothing is started
 * over.
 */
export function bootSequence<D extends Bootable>(order: readonly BootEntry[], devices: readonly D[]): { tried: D[]; rest: D[] } {
  const tried = new Set<D>();
  for (const entry of order)
    for (const device of devices) if (isKind(entry) ? 'kind' in device && device.kind === entry : device.id === entry) tried.add(device);
  return { tried: [...tried], rest: devices.filter((device) => !tried.has(device)) };
}

/** The cards that a system is started over, first to last: none where a kernel is started directly. */
export const bootCards = <C extends { id: NetPlace }>({
  boot,
  network,
}: {
  boot: { order: readonly BootEntry[]; kernel: unknown };
  network: readonly C[];
}): C[] => (boot.kernel ? [] : bootSequence(boot.order, network).tried);

/** The order with a drive that was added: tried last, unless the order says already when. */
export function withBootEntry(order: readonly BootEntry[], drives: readonly BootableDrive[], added: DriveId): BootEntry[] {
  return bootSequence(order, drives).rest.some(({ id }) => id === added) ? [...order, added] : [...order];
}

/** The kinds in the order in which the first drive of each is tried: for firmware that knows no more. */
export function bootKinds(order: readonly BootEntry[], drives: readonly BootableDrive[]): DriveKind[] {
  const kinds = order.flatMap((entry) => (isKind(entry) ? [entry] : (drives.find(({ id }) => id === entry)?.kind ?? [])));
  return [...new Set(kinds)];
}
