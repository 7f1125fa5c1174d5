import { z } from 'zod';
import { type BootableDrive, bootSequence } from './bootsequence.ts';
import { type DriveId, driveKinds, drivePlaces } from './driveplaces.ts';
import { type NetPlace, netPlaces } from './networks.ts';

/** What a machine starts from: all drives of a kind, in the order in which the machine lists them, the drive in one place, or over a network card what its network hands out. */
export const bootEntrySchema = z.enum([...driveKinds, ...drivePlaces, ...netPlaces]);
export type BootEntry = z.infer<typeof bootEntrySchema>;
export const MAX_BOOT_ENTRIES = driveKinds.length + drivePlaces.length + netPlaces.length;

/** How long the firmware waits for the key that opens its boot menu, seconds. The firmware counts milliseconds in 16 bits. */
export const bootMenuSecondsSchema = z.number().int().min(1).max(60);

export const isCardPlace = (id: string): id is NetPlace => (netPlaces as readonly string[]).includes(id);

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
