import { z } from 'zod';
import { bootEntrySchema, bootMenuSecondsSchema, MAX_BOOT_ENTRIES } from './boot.ts';
import { cpuModels } from './cpumodels.ts';
import { vmDebugSchema } from './debug.ts';
import { driveBusSchema, driveKinds, drivePlaces, drivePolicySchema } from './drives.ts';
import { errorSchema } from './errors.ts';
import { autostartSchema, groupSchema, MAX_TAGS, tagNameSchema } from './library.ts';
import { MAX_CARDS, networkCardSchema, nicModels, wantedCardSchema } from './networks.ts';
import { poolIdSchema } from './poolids.ts';
import { saidSchema } from './said.ts';

/**
 * `off` -> `starting` -> `running` <-> `paused`; `stopping` while the process ends (an ACPI power-button request changes no state: the guest decides);
 * `saved`: off, with a state in its folder that the next start goes on from;
 * `crashed` when the VM process died or the guest triple-faulted in a way that stops the machine. The full table is core/machine/lifecycle.ts.
 */
export const vmStates = ['off', 'starting', 'running', 'paused', 'stopping', 'crashed', 'saved'] as const;
export type VmStateName = (typeof vmStates)[number];

/** SeaBIOS, or UEFI for x86-64 (OVMF). */
export const firmwareKinds = ['bios', 'uefi'] as const;
export const displayModels = ['vga', 'virtio'] as const;
export type DisplayModel = (typeof displayModels)[number];
export type FirmwareKind = (typeof firmwareKinds)[number];

/** `jit` compiles hot code (the recompiler), `interp` only interprets. */
export const acceleratorKinds = ['jit', 'interp'] as const;
export type AcceleratorKind = (typeof acceleratorKinds)[number];

export const vmIdSchema = z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);

/** Whether somebody sees anything of `text`: not only spaces, marks, fillers and what turns or joins others. U+2800 is a pattern of Braille without a dot. */
export const canBeSeen = (text: string): boolean => /[^\p{C}\p{Z}\p{M}\p{Default_Ignorable_Code_Point}\u2800]|\p{Co}/u.test(text);
/** Neither control characters nor halves of pairs, which would be others on disk. */
export const isPlainText = (text: string): boolean => !/[\p{Cc}\p{Cs}]/u.test(text);

/** A name in a file: also those that were taken before names had to be seen, or nobody could read the file any more. */
export const keptNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(128)
  .regex(/^[^\p{Cc}]*$/u);

/** Shown to people, so any characters except control ones; 1-128 of them after trimming, and one at least that can be seen. */
export const vmNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(128)
  .refine(isPlainText, { params: { refusal: 'nameControl' } })
  .refine(canBeSeen, { params: { refusal: 'nameInvisible' } });

const pathSchema = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^[^\0]*$/);

/** What a new encrypted disk is opened with: it must be possible to type it, and to keep it as the first line of a file. */
export const newPassphraseSchema = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[^\p{Cc}]*$/u);

/** Formats of disk images that machines run from. */
export const diskFormats = ['raw', 'qcow2'] as const;
export type DiskFormat = (typeof diskFormats)[number];
/** Formats of disk images that can be read: the others are converted when a machine is to use them. */
export const imageFormats = [...diskFormats, 'vmdk', 'vdi', 'vhd', 'vhdx'] as const;
export type ImageFormat = (typeof imageFormats)[number];
export const isDiskFormat = (format: ImageFormat): format is DiskFormat => (diskFormats as readonly string[]).includes(format);

export const driveSchema = z.object({
  id: z.enum(drivePlaces),
  kind: z.enum(driveKinds),
  /** Absolute, or relative to the VM folder; null = no medium (never for `disk`). */
  path: pathSchema.nullable(),
  /** How the image is written; never guessed again once it is here, for a guest can write what it likes into a raw image. */
  format: z.enum(diskFormats),
  readOnly: z.boolean(),
  ...drivePolicySchema.shape,
});
export type Drive = z.infer<typeof driveSchema>;

export const vncListenSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('tcp'),
    host: z.string().min(1).max(255),
    display: z.number().int().min(0).max(59635),
    password: z.string().max(8).optional(),
  }),
  z.object({ type: z.literal('unix'), path: pathSchema, password: z.string().max(8).optional() }),
]);
export type VncListen = z.infer<typeof vncListenSchema>;

export const usbSchema = z.object({ tablet: z.boolean().default(false) });
export type UsbConfig = z.infer<typeof usbSchema>;

/** The content of `vm.json`, schema version 1. */
export const vmConfigSchema = z.object({
  schema: z.literal(1),
  id: vmIdSchema,
  name: keptNameSchema,
  description: z.string().max(10_000).default(''),
  /** ISO 8601. */
  createdAt: z.string(),
  /** Operating system as detected or chosen; free text until the OS database arrives. */
  os: z.string().max(128).default(''),
  engine: z.enum(['builtin']).default('builtin'),
  machine: z.enum(['pc']).default('pc'),
  /** A file that names no model comes from when there was only this one. */
  cpu: z.object({
    model: z.enum(cpuModels).default('i686'),
    count: z.literal(1).default(1),
    accel: z.enum(acceleratorKinds).default('jit'),
  }),
  /** MiB of guest RAM. */
  memoryMiB: z.number().int().min(1).max(3072),
  firmware: z.enum(firmwareKinds).default('bios'),
  boot: z.object({
    order: z.array(bootEntrySchema).max(MAX_BOOT_ENTRIES),
    menu: z.boolean().default(false),
    /** How long the firmware waits for the menu's key; as long as it likes (about 3 s) when absent. */
    menuSeconds: bootMenuSecondsSchema.optional(),
    /** Direct boot of a Linux bzImage or a multiboot ELF; skips `order`. */
    kernel: z
      .object({ path: pathSchema, initrd: pathSchema.nullable().default(null), cmdline: z.string().max(4095).default('') })
      .nullable()
      .default(null),
  }),
  drives: z.array(driveSchema).max(drivePlaces.length),
  display: z.object({
    /** `virtio`: one that a driver in the guest can be told a size by; it is a VGA too. */
    model: z.enum(displayModels).default('vga'),
    vramMiB: z.number().int().min(1).max(32).default(16),
    listen: vncListenSchema.nullable().default(null),
  }),
  network: z.array(networkCardSchema).max(MAX_CARDS).default([]),
  /** A USB 3 controller (xHCI), and whether a tablet is plugged into it: an exact pointer for systems that know no other. None when null. */
  usb: usbSchema.nullable().default(null),
  /** COM1 and COM2: `console` shows in the serial tab, `file` appends to `path` in the VM folder, `none` swallows. */
  serial: z.array(z.object({ type: z.enum(['console', 'file', 'none']), path: pathSchema.optional() })).max(2),
  clock: z.enum(['utc', 'localtime']).default('utc'),
  /** Where time comes from: the host's clock, or the instructions executed, which makes every run the same. */
  timekeeping: z.enum(['host', 'instructions']).default('host'),
  hpet: z.boolean().default(false),
  debug: vmDebugSchema.default({ gdb: null, wait: false }),
  /** Offers what guests under KVM make use of: its clock, known frequencies, the APIC timer's deadline mode. */
  paravirt: z.boolean().default(true),
  /** Never starts: other machines are made from it, and their disks may lie on its own. */
  template: z.boolean().default(false),
  tags: z.array(tagNameSchema).max(MAX_TAGS).default([]),
  /** Folder of the library that it is shown in. */
  group: groupSchema.default(''),
  /** Null: only when somebody starts it. */
  autostart: autostartSchema.nullable().default(null),
});
export type VmConfig = z.infer<typeof vmConfigSchema>;

/** What a machine that is made starts from. */
export const sourceTypes = ['iso', 'floppy', 'disk', 'kernel', 'network', 'blank', 'sample'] as const;

/** A disk that is made: in the machine's folder, or in a pool under the machine's name. It takes room as it fills. In the format of the settings when none is given. */
const newDiskSchema = z.object({
  sizeBytes: z
    .number()
    .int()
    .min(1024 * 1024)
    .max(8 * 1024 ** 4),
  format: z.enum(diskFormats).optional(),
  /** Encrypts it (qcow2 only); kept nowhere. */
  passphrase: newPassphraseSchema.optional(),
  pool: poolIdSchema.optional(),
});
/** A disk that is there already: used where it is, or (`copy`) copied into the machine's folder or a pool. */
const existingDiskSchema = z.object({
  path: pathSchema,
  copy: z.boolean(),
  readOnly: z.boolean().default(false),
  pool: poolIdSchema.optional(),
});
/** Beside the first ones; with them no more than a VirtIO machine has places. */
const MAX_MORE_DISKS = 6;

/** What the wizard sends. Defaults fill the rest. Disk sources are absolute paths on the machine that runs the manager. */
export const vmCreateSchema = z.object({
  name: vmNameSchema,
  description: z.string().max(10_000).optional(),
  os: z.string().max(128).optional(),
  /** The default model when absent. */
  cpuModel: z.enum(cpuModels).optional(),
  /** `bios` when absent. */
  firmware: z.enum(firmwareKinds).optional(),
  memoryMiB: z.number().int().min(1).max(3072),
  source: z.discriminatedUnion('type', [
    z.object({ type: z.literal('iso'), path: pathSchema }),
    z.object({ type: z.literal('floppy'), path: pathSchema }),
    /** `copy` puts a copy into the VM folder, else the image is used where it is. */
    z.object({ type: z.literal('disk'), path: pathSchema, copy: z.boolean(), readOnly: z.boolean().default(false) }),
    z.object({ type: z.literal('kernel'), path: pathSchema, initrd: pathSchema.nullable(), cmdline: z.string().max(4095) }),
    /** What the network of its first card hands out: before a disk that is there already, after one that is empty. */
    z.object({ type: z.literal('network') }),
    z.object({ type: z.literal('blank') }),
    z.object({ type: z.literal('sample') }),
  ]),
  /** Null for none. */
  newDisk: newDiskSchema.nullable(),
  /** A disk that is there already, before the new one; null or absent for none. */
  attach: existingDiskSchema.nullable().optional(),
  /** Further disks, in this order. */
  moreDisks: z
    .array(
      z.discriminatedUnion('type', [
        newDiskSchema.extend({ type: z.literal('new') }),
        existingDiskSchema.extend({ type: z.literal('existing') }),
      ]),
    )
    .max(MAX_MORE_DISKS)
    .optional(),
  /** What its disks are attached to; what its system knows (defaultbus.ts) when absent. */
  bus: driveBusSchema.optional(),
  bootMenu: z.boolean().optional(),
  /** `vga` when absent. */
  displayModel: z.enum(displayModels).optional(),
  vramMiB: z.number().int().min(1).max(32).optional(),
  listen: vncListenSchema.nullable().optional(),
  /** None when absent. A card without a model is what its system knows (defaultnic.ts). */
  network: z
    .array(wantedCardSchema.extend({ model: z.enum(nicModels).optional() }))
    .max(MAX_CARDS)
    .optional(),
});
export type VmCreate = z.infer<typeof vmCreateSchema>;

/** Where a disk of a machine that is to be made will be; `made`: nothing is there yet. */
export const plannedDiskSchema = z.object({ id: z.enum(drivePlaces), path: z.string(), made: z.boolean() });
export type PlannedDisk = z.infer<typeof plannedDiskSchema>;

/** Fields of a machine that can be edited; each says in the UI whether it applies now or at next start. */
export const vmPatchSchema = z
  .object({
    name: vmNameSchema,
    description: z.string().max(10_000),
    os: z.string().max(128),
    cpu: vmConfigSchema.shape.cpu,
    firmware: z.enum(firmwareKinds),
    memoryMiB: z.number().int().min(1).max(3072),
    boot: vmConfigSchema.shape.boot,
    drives: z.array(driveSchema).max(drivePlaces.length),
    display: vmConfigSchema.shape.display,
    network: z.array(wantedCardSchema).max(MAX_CARDS),
    usb: usbSchema.nullable(),
    serial: vmConfigSchema.shape.serial,
    clock: z.enum(['utc', 'localtime']),
    timekeeping: z.enum(['host', 'instructions']),
    hpet: z.boolean(),
    debug: vmDebugSchema,
    paravirt: z.boolean(),
    tags: z.array(tagNameSchema).max(MAX_TAGS),
    group: groupSchema,
    autostart: autostartSchema.nullable(),
  })
  .partial();
export type VmPatch = z.infer<typeof vmPatchSchema>;

export const vmStatsSchema = z.object({
  /** Share of one host CPU used by the VM process over the last second, 0..1 and above with several threads. */
  cpu: z.number(),
  /** Guest instructions a second over the last second. */
  instructionsPerSecond: z.number(),
  /** Bytes since start. */
  diskReadBytes: z.number(),
  diskWriteBytes: z.number(),
  /** Ethernet frames that its cards took from their cables, and put on them. */
  netReceiveBytes: z.number(),
  netSendBytes: z.number(),
  /** Resident memory of the VM process, bytes. */
  residentBytes: z.number(),
  /** Seconds of guest run time since start. */
  uptimeSeconds: z.number(),
  viewers: z.number().int(),
  /** Times the guest's processor called a device (port or memory-mapped register) since start. */
  deviceCalls: z.number(),
  /** Changes of the picture since start, as far as somebody looked. */
  frames: z.number(),
});
export type VmStats = z.infer<typeof vmStatsSchema>;

/** A machine in the list. A folder whose vm.json can't be read appears with `problem` and no config. */
export const vmSummarySchema = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(vmStates),
  folder: z.string(),
  /** Why the machine is unusable or last crashed. */
  problem: errorSchema.nullable(),
  config: vmConfigSchema.nullable(),
  /** What the machine is made of while it is on, when that is not what `config` says: `config` then applies at its next start. */
  runsWith: vmConfigSchema.nullable().default(null),
  stats: vmStatsSchema.nullable(),
  /** The saved state that the next start goes on from. `at`: ISO 8601. */
  saved: z.object({ at: z.string(), bytes: z.number() }).nullable(),
  /** Changes whenever the thumbnail does; fetch it with vm.thumbnail. */
  thumbnailVersion: z.number().int(),
  /** ISO 8601 time of the last start, null before the first. */
  startedAt: z.string().nullable(),
  /** Present while running: pixel size of the guest's display, whether a text mode shows, and whether a driver in the guest takes the size that a viewer asks for. */
  display: z
    .object({
      width: z.number().int(),
      height: z.number().int(),
      text: z.boolean(),
      absolutePointer: z.boolean(),
      resizable: z.boolean().default(false),
    })
    .nullable(),
});
export type VmSummary = z.infer<typeof vmSummarySchema>;

/** A line of the hardware list. */
export const hardwareItemSchema = z.object({ id: z.string(), kind: z.string(), label: z.string(), detail: z.string() });
export type HardwareItem = z.infer<typeof hardwareItemSchema>;

export const logEntrySchema = z.object({
  time: z.string(),
  level: z.enum(['debug', 'info', 'warn', 'error', 'guest']),
  scope: z.string(),
  message: z.string(),
});
export type LogEntry = z.infer<typeof logEntrySchema>;

/** A change of the request that makes a failed check good, for a button. */
export const remedySchema = z.discriminatedUnion('do', [
  z.object({ do: z.literal('memory'), memoryMiB: z.number().int().positive() }),
  /** Ask for a free name (`vm.suggestName`). */
  z.object({ do: z.literal('name') }),
  z.object({ do: z.enum(['bios', 'uefi']) }),
  z.object({ do: z.literal('qcow2') }),
  /** Another bus has room for all disks. */
  z.object({ do: z.literal('bus'), bus: driveBusSchema }),
  /** The source's disk: copied, used where it is, or never written to. */
  z.object({ do: z.enum(['copy', 'in-place', 'read-only']) }),
  /** The file is of this kind. */
  z.object({ do: z.literal('source'), source: z.enum(sourceTypes) }),
  z.object({ do: z.literal('disk-size'), sizeBytes: z.number().int().positive() }),
  /** Of a machine that is there: take the medium out; throw its saved state away, or go on from it all the same (`vm.start`). */
  z.object({ do: z.literal('eject'), drive: driveSchema.shape.id }),
  z.object({ do: z.enum(['discard-state', 'despite-disks']) }),
  /** Where it can be seen to: another machine, the check and repair of an image, the trash, what is missing on this computer. */
  z.object({ do: z.literal('show'), machine: z.string() }),
  z.object({ do: z.literal('check-image'), path: z.string() }),
  z.object({ do: z.enum(['trash', 'diagnostics']) }),
]);
export type Remedy = z.infer<typeof remedySchema>;

/** One line of a preflight list. */
export const checkSchema = z.object({
  id: z.string(),
  ok: z.boolean(),
  /** `error` blocks, `warning` does not. */
  severity: z.enum(['error', 'warning', 'info']),
  message: z.string(),
  fix: z.string().optional(),
  /** The same two for clients that speak other languages. */
  said: saidSchema.optional(),
  saidFix: saidSchema.optional(),
  remedy: remedySchema.optional(),
});
export type Check = z.infer<typeof checkSchema>;

/** What one machine would meet if it were started; `error` where it is none to start now, as one that is on. */
export const startCheckSchema = z.object({ id: z.string(), name: z.string(), checks: z.array(checkSchema), error: errorSchema.nullable() });
export type StartCheck = z.infer<typeof startCheckSchema>;
