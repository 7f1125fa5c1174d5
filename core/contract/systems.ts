import { z } from 'zod';
import { driveBusSchema } from './drives.ts';

/** Processors of PCs for which systems are made. */
export const pcArchitectures = ['i386', 'x86_64'] as const;
export type PcArchitecture = (typeof pcArchitectures)[number];

/** What an operating system asks of a machine; what is not known is absent. */
export const systemResourcesSchema = z.object({
  memoryBytes: z.number().positive().optional(),
  diskBytes: z.number().positive().optional(),
  cpus: z.number().positive().optional(),
});
export type SystemResources = z.infer<typeof systemResourcesSchema>;

/** An operating system that machines can be made for. */
export const guestSystemSchema = z.object({
  /** Short id of osinfo-db: `debian12`, `win10`. */
  id: z.string(),
  name: z.string(),
  family: z.string(),
  /** ISO 8601 dates, '' when unknown. */
  released: z.string(),
  endOfLife: z.string(),
  minimum: systemResourcesSchema,
  recommended: systemResourcesSchema,
  /** What its installer finds a disk on, the best first. */
  bus: driveBusSchema,
  /** Starts under UEFI only. */
  uefiOnly: z.boolean(),
});
export type GuestSystem = z.infer<typeof guestSystemSchema>;

export const guestSystemsSchema = z.object({
  /** Newest first. */
  systems: z.array(guestSystemSchema).readonly(),
  /** Why there are none; '' when there are. */
  problem: z.string(),
  fix: z.string().optional(),
});
export type GuestSystems = z.infer<typeof guestSystemsSchema>;
