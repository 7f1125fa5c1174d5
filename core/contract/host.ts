import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { consoleSettingDefaults, consoleSettingFields } from './consolesettings.ts';
import { desktopSettingsFields } from './desktopsettings.ts';
import { cpuModels, defaultCpuModel } from './cpumodels.ts';
import { pcArchitectures } from './systems.ts';
import { saidSchema } from './said.ts';
import { diskFormats, imageFormats } from './vm.ts';

export const engineInfoSchema = z.object({
  id: z.string(),
  name: z.string(),
  available: z.boolean(),
  /** Why it is not available, or why it is chosen. */
  reason: z.string(),
  /** Name and reason for clients that speak other languages. */
  saidName: saidSchema.optional(),
  said: saidSchema.optional(),
});
export type EngineInfo = z.infer<typeof engineInfoSchema>;

/** Something that machines need, or why it is not there. */
const partSchema = z.object({
  available: z.boolean(),
  reason: z.string(),
  fix: z.string().optional(),
  said: saidSchema.optional(),
  saidFix: saidSchema.optional(),
});

export const hostInfoSchema = z.object({
  version: z.string(),
  hostname: z.string(),
  platform: z.string(),
  cpuCount: z.number().int(),
  cpuModel: z.string(),
  memoryBytes: z.number(),
  freeMemoryBytes: z.number(),
  /** Free space where new machines are created, bytes. */
  libraryFreeBytes: z.number(),
  libraryFolder: z.string(),
  /** Whether `host.setLibrary` can be used; `reason` says why not. */
  libraryChange: partSchema,
  configFolder: z.string(),
  engines: z.array(engineInfoSchema),
  limits: z.object({ maxMemoryMiB: z.number().int(), maxVcpus: z.number().int() }),
  /** What the engine can do with machines that are on. */
  capabilities: z.object({ saveState: z.boolean(), liveSnapshots: z.boolean() }),
  /** How this client reaches the manager. */
  mode: z.enum(['desktop', 'headless']),
  firmware: partSchema,
  /** Firmware for machines with UEFI. */
  uefi: partSchema,
  sample: partSchema,
});
export type HostInfo = z.infer<typeof hostInfoSchema>;

export const fileEntrySchema = z.object({
  name: z.string(),
  path: z.string(),
  kind: z.enum(['folder', 'file', 'other']),
  sizeBytes: z.number(),
  modifiedAt: z.string(),
});
export const folderListingSchema = z.object({ path: z.string(), parent: z.string().nullable(), entries: z.array(fileEntrySchema) });
export type FolderListing = z.infer<typeof folderListingSchema>;

export const accents = ['violet', 'blue', 'teal', 'green', 'orange', 'pink', 'graphite'] as const;
export type Accent = (typeof accents)[number];

/** The settings without defaults: a patch must not bring any, or changing one setting would reset the others. */
const settingsFields = {
  theme: z.enum(['system', 'light', 'dark']),
  language: z.enum(['system', 'en', 'zh-CN']),
  /** Colour of buttons, links and what is chosen. */
  accent: z.enum(accents),
  /** The first-run page was seen. */
  welcomed: z.boolean(),
  /** What the wizard suggests. */
  defaultCpuModel: z.enum(cpuModels),
  /** Machines view. */
  machinesView: z.enum(['grid', 'table']),
  defaultMemoryMiB: z.number().int().min(1).max(3072),
  defaultDiskBytes: z
    .number()
    .int()
    .min(1024 * 1024),
  /** Of new machines' disks, in the window and for `hypervue create`. */
  defaultDiskFormat: z.enum(diskFormats),
  ...consoleSettingFields,
  /** A snapshot is taken before what could lose something of a machine. */
  automaticSnapshots: z.boolean(),
  ...desktopSettingsFields,
};

export const settingsSchema = z.object({
  theme: settingsFields.theme.default('system'),
  language: settingsFields.language.default('system'),
  accent: settingsFields.accent.default('violet'),
  welcomed: settingsFields.welcomed.default(false),
  defaultCpuModel: settingsFields.defaultCpuModel.default(defaultCpuModel),
  machinesView: settingsFields.machinesView.default('grid'),
  defaultMemoryMiB: settingsFields.defaultMemoryMiB.default(512),
  defaultDiskBytes: settingsFields.defaultDiskBytes.default(20 * 1024 ** 3),
  defaultDiskFormat: settingsFields.defaultDiskFormat.default('qcow2'),
  ...consoleSettingDefaults,
  automaticSnapshots: settingsFields.automaticSnapshots.default(false),
  whenQuitting: settingsFields.whenQuitting.default('ask'),
  notifications: settingsFields.notifications.default(true),
});
export const settingsPatchSchema = z.object(settingsFields).partial();
export type Settings = z.infer<typeof settingsSchema>;

/** What `host.setLibrary` would do. */
export const libraryPlanSchema = z.object({
  /** With all links followed. */
  folder: z.string(),
  /** It is not there yet, and is made. */
  missing: z.boolean(),
  /** That are there already. */
  machines: z.number().int(),
  freeBytes: z.number(),
  /** Machines of the present library, which stay where they are. */
  left: z.number().int(),
});

/** What `host.moveLibrary` would do. */
export const movePlanSchema = z.object({
  /** With all links followed. */
  folder: z.string(),
  missing: z.boolean(),
  /** On the file system of the present one: at once, and without room for a copy. */
  sameDisk: z.boolean(),
  machines: z.number().int(),
  sizeBytes: z.number(),
  freeBytes: z.number(),
  /** Files of machines that lie elsewhere, and stay there. */
  outside: z.array(z.string()),
  /** Why it can't be done now. */
  refusal: errorSchema.nullable(),
});

/** What a file is, as far as its bytes say. */
export const mediaInfoSchema = z.object({
  path: z.string(),
  kind: z.enum(['iso', 'floppy', 'disk', 'bzimage', 'multiboot', 'unknown']),
  sizeBytes: z.number(),
  /** Of disk images. `sizeBytes` is the disk's size then, which may be far more than the file's. */
  format: z.enum(imageFormats).optional(),
  bootable: z.boolean(),
  /** ISO volume id, kernel version string or the like. */
  label: z.string(),
  /** Best guess at the operating system, empty when unknown. */
  os: z.string(),
  /** Of optical discs, and of disks with a file system that can be read: how they start and what is on them. */
  content: z
    .object({
      bios: z.boolean(),
      uefi: z.boolean(),
      /** Of what is on it; empty when unknown. */
      architectures: z.array(z.enum(pcArchitectures)),
      /** A disc that runs without a disk. */
      live: z.boolean(),
      /** In `host.systems`: the system, or the nearest one there. */
      systemId: z.string().optional(),
      /** Name of that nearest one, when `os` is newer than the table. */
      like: z.string().optional(),
    })
    .optional(),
  /** Ready-made problems: empty file, truncated, not bootable. */
  problems: z.array(
    z.object({
      severity: z.enum(['error', 'warning']),
      message: z.string(),
      fix: z.string().optional(),
      said: saidSchema.optional(),
      saidFix: saidSchema.optional(),
    }),
  ),
});
export type MediaInfo = z.infer<typeof mediaInfoSchema>;

export const taskSchema = z.object({
  id: z.string(),
  /** i18n key of the verb: 'vm.create', 'disk.copy'. */
  kind: z.string(),
  /** What it is done to: a machine or an image. */
  object: z.string(),
  state: z.enum(['running', 'done', 'failed', 'cancelled']),
  /** 0..1, or null when unknown. */
  progress: z.number().nullable(),
  detail: z.string(),
  /** Bytes a second and seconds to go, while they can be told. */
  rate: z.number().nullable().default(null),
  remainingSeconds: z.number().nullable().default(null),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  error: z.object({ kind: z.string(), message: z.string(), said: saidSchema.optional() }).nullable(),
  /** What it put into the trash, which `trash.restore` brings back as long as it is there. */
  undo: z.array(z.string()).default([]),
});
export type Task = z.infer<typeof taskSchema>;
