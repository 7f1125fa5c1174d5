import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { DEFAULT_POOL, MACHINES_POOL, poolIdSchema } from './poolids.ts';
import { saidSchema } from './said.ts';
import { diskFormats, imageFormats, newPassphraseSchema, vmIdSchema } from './vm.ts';

/** Storage pools, the volumes in them, and what can be done with a volume. Sizes are bytes. */

const MIB = 1024 * 1024;
const MAX_DISK_BYTES = 64 * 1024 ** 4;

export const storagePathSchema = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^[^\0]*$/);

/** A name of a file in a pool: no way out of the folder, not hidden, nothing that Windows could not hold. */
export const volumeNameSchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^/\\:*?"<>|\p{Cc}\p{Cs}]*$/u, 'has a character that no file name may have')
  .regex(/^[^.\s]/, 'may not begin with a dot or a space')
  .regex(/[^.\s]$/, 'may not end with a dot or a space');

export const poolNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}]*$/u);

export { DEFAULT_POOL, MACHINES_POOL, poolIdSchema };

/** What is kept of a pool in the settings. */
export const poolSettingSchema = z.object({ id: poolIdSchema, name: poolNameSchema, folder: storagePathSchema });
export type PoolSetting = z.infer<typeof poolSettingSchema>;

export const poolSchema = z.object({
  id: z.string(),
  /** Empty for the pools that are always there and that nobody has named: clients have words for them. */
  name: z.string(),
  folder: z.string(),
  /** Of the file system; null when the folder can't be reached. */
  freeBytes: z.number().nullable(),
  totalBytes: z.number().nullable(),
  /** Why the folder can't be used now. */
  problem: errorSchema.nullable(),
});
export type Pool = z.infer<typeof poolSchema>;

export const volumeUserSchema = z.object({
  /** `machine`: a drive of it; `overlay`: an image on top of this one; `data`: an image that keeps its data here. */
  kind: z.enum(['machine', 'overlay', 'data']),
  /** Of the machine. */
  id: z.string().optional(),
  name: z.string(),
  path: z.string().optional(),
});
export type VolumeUser = z.infer<typeof volumeUserSchema>;

export const volumeSchema = z.object({
  path: z.string(),
  name: z.string(),
  pool: z.string(),
  /** The machine in whose folder it lies. */
  machine: z.object({ id: z.string(), name: z.string() }).nullable(),
  /** `raw`, `qcow2`, `iso`, or another one that can only be imported. */
  format: z.string(),
  /** Size of the disk; null when it can't be found out. */
  sizeBytes: z.number().nullable(),
  /** Size of the file, and what of it takes room. */
  fileBytes: z.number(),
  allocatedBytes: z.number(),
  modifiedAt: z.string(),
  /** Images below, the nearest first. */
  below: z.array(z.object({ path: z.string(), format: z.string().nullable(), exists: z.boolean() })),
  /** It lies on top of itself, at whatever distance: `below` ends before the chain begins again. */
  circular: z.boolean(),
  dataFile: z.string().nullable(),
  encrypted: z.boolean(),
  /** Snapshots inside the image. */
  snapshots: z.number().int(),
  /** Must be repaired before it is written to: not closed properly, or marked as damaged. */
  needsRepair: z.boolean(),
  /** Where the link leads, when it is one. */
  link: z.string().nullable(),
  usedBy: z.array(volumeUserSchema),
  /** Who has it open now. */
  lockedBy: z.string().nullable(),
  /** Why it can't be used. */
  problem: errorSchema.nullable(),
});
export type Volume = z.infer<typeof volumeSchema>;

/** Those who need the volume. An image that it lies on itself, in a circle, needs it no more than nobody: neither can be read. */
export const usersOf = ({ usedBy, circular, below }: Volume): VolumeUser[] =>
  usedBy.filter(({ kind, path }) => !(circular && kind === 'overlay' && below.some((lower) => lower.path === path)));

export const volumeDetailsSchema = z.object({
  volume: volumeSchema,
  version: z.number().int().optional(),
  clusterBytes: z.number().int().optional(),
  refcountBits: z.number().int().optional(),
  compression: z.string().optional(),
  extendedL2: z.boolean().optional(),
  encryption: z.string().optional(),
  dirty: z.boolean().optional(),
  damaged: z.boolean().optional(),
  snapshots: z
    .array(z.object({ id: z.string(), name: z.string(), date: z.string(), sizeBytes: z.number(), vmStateBytes: z.number() }))
    .optional(),
  /** How much of the disk comes from where; null when the image can't be opened now. */
  map: z.object({ data: z.number(), compressed: z.number(), zero: z.number(), backing: z.number() }).nullable(),
});
export type VolumeDetails = z.infer<typeof volumeDetailsSchema>;

/** What images are converted to. */
export const writtenFormats = [...diskFormats, 'vmdk'] as const;
export const preallocations = ['off', 'metadata', 'falloc', 'full'] as const;
export const clusterSizes = [512, 4096, 16384, 65536, 262144, 1048576, 2097152] as const;

const sizeSchema = z
  .number()
  .int()
  .min(MIB)
  .max(MAX_DISK_BYTES)
  .refine((bytes) => bytes % 512 === 0, 'must be whole sectors of 512 bytes');

const place = { pool: poolIdSchema, name: volumeNameSchema };
const volume = z.object({ path: storagePathSchema });
/** Opens an encrypted image, and what lies below it; kept nowhere. */
export const givenPassphrase = z.string().min(1).max(512).optional();
const passphrase = givenPassphrase;
const opened = volume.extend({ passphrase });

export const volumeCreateSchema = z.object({
  ...place,
  format: z.enum(diskFormats),
  /** Absent only with a backing file, whose size counts then. */
  sizeBytes: sizeSchema.optional(),
  preallocation: z.enum(preallocations).default('off'),
  /** qcow2 only, as what follows. */
  clusterBytes: z.number().int().optional(),
  extendedL2: z.boolean().optional(),
  compression: z.enum(['zlib', 'zstd']).optional(),
  backing: storagePathSchema.optional(),
  /** Encrypts it (LUKS); it also has to open an encrypted image below. Kept nowhere. */
  passphrase: newPassphraseSchema.optional(),
});
export type VolumeCreate = z.input<typeof volumeCreateSchema>;

export const checkReportSchema = z.object({
  errors: z.number().int(),
  leaks: z.number().int(),
  errorsFixed: z.number().int(),
  leaksFixed: z.number().int(),
  messages: z.array(z.string()),
  /** Why the images below can't all be found; null when they can. */
  belowProblem: z.string().nullable(),
  /** The same two for clients that speak other languages. */
  saidMessages: z.array(saidSchema).optional(),
  saidBelow: saidSchema.optional(),
});
export type VolumeCheckReport = z.infer<typeof checkReportSchema>;

export const trashItemSchema = z.object({
  id: z.string(),
  kind: z.enum(['machine', 'volume']),
  name: z.string(),
  /** Where it was. */
  from: z.string(),
  deletedAt: z.string(),
  sizeBytes: z.number(),
  /** File names that would be gone for good; at most some tens. */
  files: z.array(z.string()),
});
export type TrashItem = z.infer<typeof trashItemSchema>;

const trashId = z.string().max(64);

export const storageMethods = {
  'storage.pools': { params: z.object({}), result: z.array(poolSchema) },
  /** A folder that exists, or can be made, becomes a pool. Nothing in it is touched. */
  /** `create`: makes the folder when there is none; without it a missing one is 'not-found' with the reason 'folder-missing'. */
  'storage.addPool': {
    params: z.object({ name: poolNameSchema, folder: storagePathSchema, create: z.boolean().optional() }),
    result: poolSchema,
  },
  'storage.renamePool': { params: z.object({ id: poolIdSchema, name: poolNameSchema }), result: poolSchema },
  /** Forgets the pool; its files stay. */
  'storage.removePool': { params: z.object({ id: poolIdSchema }), result: z.null() },
  /** Every image in a pool or a machine's folder; headers only. */
  'storage.volumes': { params: z.object({}), result: z.array(volumeSchema) },
  'storage.info': { params: volume, result: volumeDetailsSchema },
  'storage.create': { params: volumeCreateSchema, result: volumeSchema },
  /** Copies any image that can be read, with what lies below it, into a pool: import, convert and full clone. */
  'storage.convert': {
    params: z.object({
      from: storagePathSchema,
      fromFormat: z.enum(imageFormats).optional(),
      ...place,
      /** `vmdk` for other programs; machines run from the others. */
      format: z.enum(writtenFormats),
      compress: z.boolean().default(false),
      /** Opens an encrypted original. */
      passphrase,
      /** Encrypts the copy (qcow2 only), which is plain otherwise, whatever the original is. */
      encrypt: newPassphraseSchema.optional(),
    }),
    result: volumeSchema,
  },
  /** A new image on top of this one, which must not be written to from then on; encrypted with the same passphrase as this one, if it is. */
  'storage.linkedClone': { params: opened.extend(place), result: volumeSchema },
  /** Grows, also while its machine runs; shrinks only when nothing but zeros would be cut off. */
  'storage.resize': { params: opened.extend({ sizeBytes: sizeSchema }), result: volumeSchema },
  'storage.check': { params: volume.extend({ repair: z.enum(['none', 'leaks', 'all']) }), result: checkReportSchema },
  /** Writes what the overlay holds into the image below it; the overlay stays, empty. */
  'storage.commit': { params: opened, result: volumeSchema },
  /**
   * Puts the image on top of another one, or on none, without a change to what it holds. `nameOnly`: only the name of the image below changes, for one that was moved or that can't be
   * opened; what the image holds changes if that one holds something else.
   */
  'storage.rebase': {
    params: opened.extend({ backing: storagePathSchema.nullable(), nameOnly: z.boolean().default(false) }),
    result: volumeSchema,
  },
  /** Gives back the room of what reads as zeros. */
  'storage.compact': { params: opened, result: z.object({ beforeBytes: z.number(), afterBytes: z.number() }) },
  /** Whether two disks hold the same, whatever their formats; what one has beyond the other's end counts as zeros. */
  'storage.compare': {
    params: opened.extend({ with: storagePathSchema }),
    /** Offset of the first byte that differs. */
    result: z.object({ differsAt: z.number().nullable() }),
  },
  /** A ticket for downloading a file over HTTP, from `/download/TICKET`: of a pool, of a machine's folder, or exported before. Headless mode only. */
  'storage.download': {
    params: volume,
    result: z.object({ ticket: z.string(), name: z.string(), sizeBytes: z.number() }),
  },
  /** A ticket for one upload over HTTP, with PUT to `/upload/TICKET`: what comes must be as long as it says here. */
  'storage.upload': {
    params: z.object({ ...place, sizeBytes: z.number().int().min(1).max(MAX_DISK_BYTES) }),
    result: z.object({ ticket: z.string() }),
  },
  /** What `storage.delete` would do now: how much goes to the trash, or why it is refused. */
  'storage.planDelete': { params: volume, result: z.object({ bytes: z.number(), refusal: errorSchema.nullable() }) },
  /** To the trash. Refused while anything uses it. */
  'storage.delete': { params: volume, result: z.object({ trashId: z.string() }) },
  /** As a hard disk of a machine. `waits`: the machine is on, and has it from its next start. */
  'storage.attach': { params: volume.extend({ machine: vmIdSchema }), result: z.object({ drive: z.string(), waits: z.boolean() }) },
  /** `waits`: the machine is on, and has it until it is turned off. */
  'storage.detach': { params: volume.extend({ machine: vmIdSchema }), result: z.object({ waits: z.boolean() }) },

  'trash.list': { params: z.object({}), result: z.array(trashItemSchema) },
  /** Back to where it was, or as near as is free; answers with the path. */
  'trash.restore': { params: z.object({ id: trashId }), result: z.object({ path: z.string() }) },
  /** For good. */
  'trash.remove': { params: z.object({ ids: z.array(trashId).min(1).max(1000) }), result: z.null() },
} as const;

export const storageEvents = {
  /** Pools or volumes are not what they were. */
  'storage.changed': z.object({}),
  'trash.changed': z.object({}),
} as const;
