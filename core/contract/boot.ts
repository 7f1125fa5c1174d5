import { z } from 'zod';
import { type DriveId, type DriveKind, driveKinds, drivePlaces } from './drives.ts';

/** What a machine starts from: all drives of a kind, in the order in which the machine lists them, or the drive in one place. */
export const bootEntrySchema = z.enum([...driveKinds, ...drivePlaces]);
export type BootEntry = z.infer<typeof bootEntrySchema>;
export const MAX_BOOT_ENTRIES = driveKinds.length + drivePlaces.length;

/** How long the firmware waits for the key that opens its boot menu, seconds. The firmware counts milliseconds in 16 bits. */
export const bootMenuSecondsSchema = z.number().int().min(1).max(60);

interface Bootable {
  id: DriveId;
  kind: DriveKind;
}

const isKind = (entry: BootEntry): entry is DriveKind => (driveKinds as readonly string[]).includes(entry);

/** The drives that the firmware tries, first to last, each once; `rest`: those that it starts only when they are chosen in its menu. */
export function bootSequence<D extends Bootable>(order: readonly BootEntry[], drives: readonly D[]): { tried: D[]; rest: D[] } {
  const tried = new Set<D>();
  for (const entry of order) for (const drive of drives) if (isKind(entry) ? drive.kind === entry : drive.id === entry) tried.add(drive);
  return { tried: [...tried], rest: drives.filter((drive) => !tried.has(drive)) };
}

/** The order with a drive that was added: tried last, unless the order says already when. */
export function withBootEntry(order: readonly BootEntry[], drives: readonly Bootable[], added: DriveId): BootEntry[] {
  return bootSequence(order, drives).rest.some(({ id }) => id === added) ? [...order, added] : [...order];
}

/** The kinds in the order in which the first drive of each is tried: for firmware that knows no more. */
export function bootKinds(order: readonly BootEntry[], drives: readonly Bootable[]): DriveKind[] {
  const kinds = order.flatMap((entry) => (isKind(entry) ? [entry] : (drives.find(({ id }) => id === entry)?.kind ?? [])));
  return [...new Set(kinds)];
}
