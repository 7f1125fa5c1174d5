/** How the machines of a library are kept in order: tags, folders, saved views, what starts by itself, and verbs for several machines at once. */
import { z } from 'zod';
import { errorSchema } from './errors.ts';

/** Most machines one call may name. */
export const MAX_BULK = 1000;
export const MAX_TAGS = 16;
/** Folders lie at most this deep in one another. */
export const MAX_GROUP_DEPTH = 4;
const MAX_DELAY_SECONDS = 3600;

/** Shown to people: anything but control characters and the comma, which stands between tags. */
export const tagNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(32)
  .regex(/^[^\p{Cc},]*$/u, 'may hold no comma and no control characters');

const groupPart = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}/]*$/u)
  .regex(/^\S(.*\S)?$/u, 'may not begin or end with a space');

/** A folder of the library as 'servers/web': where a machine is shown, not where its files are. Empty: in no folder. */
export const groupSchema = z
  .string()
  .max(MAX_GROUP_DEPTH * 65)
  .refine((path) => path === '' || path.split('/').length <= MAX_GROUP_DEPTH, `may have at most ${MAX_GROUP_DEPTH} levels`)
  .refine(
    (path) => path === '' || path.split('/').every((part) => groupPart.safeParse(part).success),
    'has a part that is empty, too long or no name',
  );
const realGroup = groupSchema.refine((path) => path !== '', 'may not be empty');

export const tagColors = ['grey', 'red', 'orange', 'yellow', 'green', 'teal', 'blue', 'purple', 'pink'] as const;
export type TagColor = (typeof tagColors)[number];
export const tagSchema = z.object({ name: tagNameSchema, color: z.enum(tagColors) });
export type Tag = z.infer<typeof tagSchema>;

/** Starts with the manager: in the order of the numbers, `delaySeconds` after the one before it. */
export const autostartSchema = z.object({
  order: z.number().int().min(0).max(9999).default(100),
  delaySeconds: z.number().int().min(0).max(MAX_DELAY_SECONDS).default(0),
});
export type Autostart = z.infer<typeof autostartSchema>;

export const machineSorts = ['name', 'state', 'os', 'memory', 'cpu', 'created', 'started'] as const;
export type MachineSort = (typeof machineSorts)[number];
export const stateFilters = ['all', 'running', 'paused', 'off', 'crashed'] as const;
export type StateFilter = (typeof stateFilters)[number];

/** What the Machines page shows: a filter, an order and a layout under a name. */
export const savedViewSchema = z.object({
  id: z.string().regex(/^[0-9a-f-]{36}$/),
  name: z
    .string()
    .trim()
    .min(1)
    .max(64)
    .regex(/^[^\p{Cc}]*$/u),
  query: z.string().max(256).default(''),
  state: z.enum(stateFilters).default('all'),
  /** Machines with all of these. */
  tags: z.array(tagNameSchema).max(MAX_TAGS).default([]),
  /** Null: machines of all folders; '': those in none. */
  group: groupSchema.nullable().default(null),
  sort: z.enum(machineSorts).default('name'),
  descending: z.boolean().default(false),
  layout: z.enum(['grid', 'table']).default('grid'),
});
export type SavedView = z.infer<typeof savedViewSchema>;

export const autostartFailureSchema = z.object({ id: z.string(), name: z.string(), at: z.string(), error: errorSchema });
export type AutostartFailure = z.infer<typeof autostartFailureSchema>;

export const libraryOrderSchema = z.object({
  /** Every tag that is in use or was given a colour, by name. */
  tags: z.array(tagSchema),
  /** Every folder, also empty ones, parents before what is in them. */
  groups: z.array(z.string()),
  views: z.array(savedViewSchema),
  /** Machines that could not be started with the manager, until somebody has seen it. */
  autostartFailures: z.array(autostartFailureSchema),
});
export type LibraryOrder = z.infer<typeof libraryOrderSchema>;

const plain = <T extends string>(type: T) => z.object({ type: z.literal(type) });
/** What somebody before the machines could do with them. */
export const bulkVerbSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('start'),
    /** Those of the machines that go on from a saved state although the times of disk files changed since. */
    despiteDisks: z.array(z.string().max(64)).max(MAX_BULK).optional(),
  }),
  plain('pause'),
  plain('resume'),
  plain('shutdown'),
  plain('restart'),
  plain('reset'),
  plain('saveState'),
  plain('forceOff'),
  z.object({
    type: z.literal('snapshot'),
    name: z
      .string()
      .trim()
      .min(1)
      .max(128)
      .regex(/^[^\p{Cc}]*$/u),
    memory: z.boolean(),
  }),
]);
/** What changes what machines are, or takes them away. */
export const bulkEditSchema = z.discriminatedUnion('type', [
  plain('delete'),
  z.object({ type: z.literal('tags'), add: z.array(tagNameSchema).max(MAX_TAGS), remove: z.array(tagNameSchema).max(MAX_TAGS) }),
  z.object({ type: z.literal('group'), path: groupSchema }),
  z.object({ type: z.literal('autostart'), autostart: autostartSchema.nullable() }),
]);
export type BulkAction = z.infer<typeof bulkVerbSchema> | z.infer<typeof bulkEditSchema>;
export type BulkEdit = z.infer<typeof bulkEditSchema>;
export const isBulkEdit = (action: BulkAction): action is BulkEdit => ['delete', 'tags', 'group', 'autostart'].includes(action.type);

export const bulkResultSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** Null when it worked; kind 'cancelled' for those that were not begun. */
  error: errorSchema.nullable(),
  /** Of a machine that was deleted. */
  trashId: z.string().optional(),
});
export type BulkResult = z.infer<typeof bulkResultSchema>;

const none = z.object({});
const bulkIds = z.array(z.string().max(64)).min(1).max(MAX_BULK);

export const libraryMethods = {
  'library.get': { params: none, result: libraryOrderSchema },
  /** Gives a tag a colour, another name, or both; a name that another tag has makes one of the two. */
  'library.setTag': {
    params: z.object({ name: tagNameSchema, color: z.enum(tagColors).optional(), rename: tagNameSchema.optional() }),
    result: libraryOrderSchema,
  },
  /** Takes a tag off all machines. */
  'library.removeTag': { params: z.object({ name: tagNameSchema }), result: libraryOrderSchema },
  'library.addGroup': { params: z.object({ path: realGroup }), result: libraryOrderSchema },
  /** Renames or moves a folder with all that is in it. */
  'library.moveGroup': { params: z.object({ path: realGroup, to: realGroup }), result: libraryOrderSchema },
  /** What was in it goes one up. */
  'library.removeGroup': { params: z.object({ path: realGroup }), result: libraryOrderSchema },
  /** A new view without `id`; else the one of that id is replaced. */
  'library.saveView': { params: savedViewSchema.partial({ id: true }), result: savedViewSchema },
  'library.removeView': { params: z.object({ id: savedViewSchema.shape.id }), result: z.null() },
  'library.forgetFailures': { params: none, result: z.null() },
  /** Does the same with several machines as one task; the answer has one line a machine, in the order they were named. */
  'vm.bulk': { params: z.object({ ids: bulkIds, action: bulkVerbSchema }), result: z.array(bulkResultSchema) },
  'vm.bulkEdit': { params: z.object({ ids: bulkIds, action: bulkEditSchema }), result: z.array(bulkResultSchema) },
} as const;

export const libraryEvents = { 'library.changed': libraryOrderSchema } as const;
