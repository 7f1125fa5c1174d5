import { z } from 'zod';
import { givenPassphrase } from './storage.ts';
import { keptNameSchema, vmNameSchema, vmSummarySchema } from './vm.ts';

/** Snapshots of whole machines. */
const vm = z.object({ id: z.string().max(64) });
const snapshotIdSchema = z.string().regex(/^[0-9a-f]{16}$/);
const snapshot = vm.extend({ snapshot: snapshotIdSchema });
const description = z.string().max(10_000);

/** What an automatic snapshot was taken before. */
export const riskKinds = ['drives', 'shrink', 'firmware'] as const;
export type RiskKind = (typeof riskKinds)[number];
/** Automatic snapshots that a machine keeps; with a newer one the oldest goes. */
export const AUTOMATIC_KEPT = 5;

export const snapshotSchema = z.object({
  id: snapshotIdSchema,
  /** The one that the machine went on from when this was taken; null at the root. */
  parent: snapshotIdSchema.nullable(),
  name: keptNameSchema,
  description,
  /** ISO 8601. */
  createdAt: z.string(),
  /** `memory`: a machine that was on, with its memory; `disk`: disks alone. */
  kind: z.enum(['memory', 'disk']),
  /** What the machine was, and is again after a revert; a disk snapshot reverts to a machine that is off. */
  state: z.enum(['running', 'paused', 'off']),
  /** Of the state file; what the disks keep for it is inside their images. */
  memoryBytes: z.number(),
  /** How long the guest stood while it was taken, milliseconds; null when it was not running. */
  pauseMs: z.number().nullable(),
  /** It was taken by itself before something risky, and goes when there are newer ones; null once it was renamed. */
  automatic: z.enum(riskKinds).nullable().default(null),
  /** Disks that take part, by drive. */
  disks: z.array(z.object({ drive: z.string(), path: z.string() })),
});
export type Snapshot = z.infer<typeof snapshotSchema>;

/** One thing that an operation would do. `text` is English; clients with other languages have their own by `code`. */
export const planStepSchema = z.object({
  code: z.enum([
    'turnsOff',
    'losesPresent',
    'keepsPresent',
    'revertsDisk',
    'revertsHardware',
    'startsFrom',
    'staysOff',
    'dropsSaved',
    'mediumGone',
    'deletesSnapshot',
    'childrenMove',
    'freesMemory',
    'freesRoom',
    'freesBase',
    'keepsBase',
    'copiesDisk',
    'writesBase',
    'linksDisk',
    'withoutMemory',
    'overlaysDisk',
    'standsShortly',
    'takesDisksOnly',
    'keepsMemory',
    'sealsMemory',
  ]),
  params: z.record(z.string(), z.union([z.string(), z.number()])),
  text: z.string(),
  /** What it does away with can't be had back. */
  destructive: z.boolean(),
});
export type PlanStep = z.infer<typeof planStepSchema>;

export const snapshotMethods = {
  /** Oldest first. `current`: the one that the machine went on from; null before the first. */
  'snapshot.list': {
    params: vm,
    result: z.object({
      current: snapshotIdSchema.nullable(),
      snapshots: z.array(snapshotSchema),
    }),
  },
  /** Takes one, of a machine that is on (it stands for a moment), saved or off. `memory` counts for those that have one: on or saved. A raw disk gets an image on top of it. */
  'snapshot.take': {
    params: vm.extend({ name: vmNameSchema, description: description.default(''), memory: z.boolean().default(true) }),
    result: snapshotSchema,
  },
  /** What `revert`, `delete` or `clone` would do, without doing it. */
  'snapshot.plan': {
    params: snapshot.extend({
      operation: z.enum(['revert', 'delete', 'clone']),
      /** Of a revert: with a snapshot of the present first. */
      keep: z.boolean().default(false),
      /** Of a clone. */
      linked: z.boolean().default(false),
    }),
    result: z.array(planStepSchema),
  },
  /** What taking one would do beside taking it. */
  'snapshot.planTake': { params: vm.extend({ memory: z.boolean().default(true) }), result: z.array(planStepSchema) },
  /**
   * The machine is as it was then. `keep`: the name of a snapshot that is taken of the present first. `passphrase` opens encrypted disks where the machine has to start for this; see
   * `vm.start`. Nothing is changed without it.
   */
  'snapshot.revert': {
    params: snapshot.extend({ keep: vmNameSchema.nullable().default(null), passphrase: z.string().min(1).max(512).optional() }),
    result: vmSummarySchema,
  },
  /** Those that were taken after it go on from its parent. */
  'snapshot.delete': { params: snapshot, result: z.null() },
  'snapshot.update': {
    params: snapshot.extend({ name: vmNameSchema.optional(), description: description.optional() }),
    result: snapshotSchema,
  },
  /**
   * A new machine from it, with copies of the disks as they were then. `linked`: with disks on top of them instead, which several machines share; the original then can't be
   * deleted before these. Encrypted disks want their passphrase, which opens those of the new machine as well.
   */
  'snapshot.clone': {
    params: snapshot.extend({ name: vmNameSchema, linked: z.boolean().default(false), passphrase: givenPassphrase }),
    result: vmSummarySchema,
  },
  /** Base64 PNG, null when there was no picture. */
  'snapshot.thumbnail': { params: snapshot, result: z.object({ png: z.string().nullable() }) },
} as const;

export const snapshotEvents = {
  /** Snapshots of the machine were taken, deleted, renamed or reverted to. */
  'snapshot.changed': z.object({ id: z.string() }),
} as const;
