import { z } from 'zod';
import {
  busOf,
  type DriveBus,
  type DriveId,
  type DriveKind,
  driveBuses,
  floppyPlaces,
  idePlaces,
  sataPlaces,
  usbPlaces,
  virtioPlaces,
} from './driveplaces.ts';

export * from './driveplaces.ts';

/** Those that the disk of a new system is offered: what is plugged in comes later. */
export const systemDiskBuses = ['ide', 'sata', 'virtio'] as const satisfies readonly DriveBus[];
export const driveBusSchema = z.enum(driveBuses);

const places: { [B in DriveBus | 'floppy']: readonly DriveId[] } = {
  ide: idePlaces,
  sata: sataPlaces,
  virtio: virtioPlaces,
  usb: usbPlaces,
  floppy: floppyPlaces,
};

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

/**
 * `writeback`: a write is done when the host has it, a flush makes it durable. `writethrough`: every write is durable before it is answered, and the guest sees
 * no write cache. `unsafe`: flushes do nothing; a crash of the host can destroy the disk. `none` and `directsync`: like writeback and writethrough, but around
 * the host's cache.
 */
export const cacheModes = ['writeback', 'writethrough', 'none', 'directsync', 'unsafe'] as const;
export type CacheMode = (typeof cacheModes)[number];

/** Every write is durable before it is answered. */
export const syncsWrites = (mode: CacheMode): boolean => mode === 'writethrough' || mode === 'directsync';

/** The host's cache is not used. Takes effect when an image is opened. */
export const goesAroundCache = (mode: CacheMode): boolean => mode === 'none' || mode === 'directsync';
/** What becomes of ranges that the guest says it does not need any more: room in the image is given back, or nothing happens. */
export const discardModes = ['unmap', 'ignore'] as const;
/**
 * What a write that the host could not do leads to: the machine pauses and the write is done again when it goes on; the same only when there is no room
 * left, else the guest gets an error; the guest gets an error always; nothing, as if it had been written.
 */
export const writeErrorPolicies = ['stop', 'stop-if-full', 'report', 'ignore'] as const;
export const readErrorPolicies = ['report', 'stop'] as const;

const rate = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Limits of one drive, reads and writes together. Absent ones do not limit. */
export const driveLimitsSchema = z.object({
  iops: rate.optional(),
  bytesPerSecond: rate.optional(),
  /** Seconds of the rate that may be used at once after a pause; 1 when absent. */
  burstSeconds: z.number().min(0.01).max(3600).optional(),
});
export type DriveLimits = z.infer<typeof driveLimitsSchema>;

/** How the host serves a drive. What is absent is as in `defaultPolicy`. */
export const drivePolicySchema = z.object({
  cache: z.enum(cacheModes).optional(),
  discard: z.enum(discardModes).optional(),
  /** Writes of nothing but zeros take no room. */
  detectZeroes: z.boolean().optional(),
  writeErrors: z.enum(writeErrorPolicies).optional(),
  readErrors: z.enum(readErrorPolicies).optional(),
  limits: driveLimitsSchema.optional(),
});
export type DrivePolicy = z.infer<typeof drivePolicySchema>;

export const defaultPolicy = {
  cache: 'writeback',
  discard: 'unmap',
  detectZeroes: false,
  writeErrors: 'stop',
  readErrors: 'report',
  limits: {},
} as const satisfies Required<DrivePolicy>;

/** The policy of a drive with what it does not say filled in. */
export function fullPolicy(drive: DrivePolicy): Required<DrivePolicy> {
  return {
    cache: drive.cache ?? defaultPolicy.cache,
    discard: drive.discard ?? defaultPolicy.discard,
    detectZeroes: drive.detectZeroes ?? defaultPolicy.detectZeroes,
    writeErrors: drive.writeErrors ?? defaultPolicy.writeErrors,
    readErrors: drive.readErrors ?? defaultPolicy.readErrors,
    limits: drive.limits ?? defaultPolicy.limits,
  };
}
