import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { accessEvents, accessMethods } from './access.ts';
import { hardwareMethods } from './hardware.ts';
import { hostDevicesSchema, pciAddressSchema } from './hostdevices.ts';
import { passthroughSchema } from './passthrough.ts';
import { historyRangeSchema, hostHistorySchema, machineHistorySchema } from './history.ts';
import { consoleEvents, consoleMethods, screenTextSchema } from './console.ts';
import { guestSystemsSchema } from './systems.ts';
import { gdbArchitectures, gdbListenSchema, guestProfileSchema } from './debug.ts';
import { drivePolicySchema } from './drives.ts';
import { usbMethods } from './usb.ts';
import {
  folderListingSchema,
  hostInfoSchema,
  libraryPlanSchema,
  mediaInfoSchema,
  movePlanSchema,
  settingsPatchSchema,
  settingsSchema,
  taskSchema,
} from './host.ts';
import { diagnosticMethods } from './diagnostics.ts';
import { libraryEvents, libraryMethods, MAX_BULK } from './library.ts';
import { networkEvents, networkMethods } from './networks.ts';
import { snapshotEvents, snapshotMethods } from './snapshots.ts';
import { storageEvents, storageMethods } from './storage.ts';
import { transferMethods } from './transfer.ts';
import {
  checkSchema,
  driveSchema,
  hardwareItemSchema,
  logEntrySchema,
  plannedDiskSchema,
  startCheckSchema,
  vmCreateSchema,
  vmPatchSchema,
  vmStatsSchema,
  vmSummarySchema,
} from './vm.ts';

const vm = z.object({ id: z.string().max(64) });
const none = z.object({});
const nothing = z.null();

/**
 * Every method of the contract with the runtime schemas of its parameters and result. This table is the allowlist: a name that is not
 * here is refused before anything looks at the parameters.
 */
export const methods = {
  'host.info': { params: none, result: hostInfoSchema },
  'host.browse': { params: z.object({ path: z.string().max(4096).nullable() }), result: folderListingSchema },
  /** Operating systems that machines can be made for. */
  'host.systems': { params: none, result: guestSystemsSchema },
  /** PCI functions, USB devices and block devices of this computer, as they are now. Rejects with 'unsupported' where they can't be read. */
  'host.devices': { params: none, result: hostDevicesSchema },
  /** What it takes to hand the PCI function at `address` to a guest. Rejects with 'not-found', or 'unsupported' where that can't be read. */
  'host.passthrough': { params: z.object({ address: pciAddressSchema }), result: passthroughSchema },
  'host.inspectMedia': { params: z.object({ path: z.string().min(1).max(4096) }), result: mediaInfoSchema },
  /** What `host.setLibrary` would do, without doing it; rejects as that would. */
  'host.planLibrary': { params: z.object({ path: z.string().min(1).max(4096) }), result: libraryPlanSchema },
  /**
   * Another folder of machines, from now on and for the next starts: the manager begins again with it a moment after the answer. Nothing is moved. Only while no machine is on and
   * no task runs.
   */
  'host.setLibrary': { params: z.object({ path: z.string().min(1).max(4096) }), result: nothing },
  /** What `host.moveLibrary` would do, and what keeps it from being done, without doing it. */
  'host.planMove': { params: z.object({ path: z.string().min(1).max(4096) }), result: movePlanSchema },
  /**
   * Moves all machines, with everything else that lies in the library, to another folder, which has to be empty; what they have elsewhere stays. As a task: copied, compared, chosen,
   * then removed where it was; at once where both are on one file system. As after `host.setLibrary` the manager begins again. Rejects as long as a machine is on or a task runs, and then
   * everything is as it was, also when it is cancelled.
   */
  'host.moveLibrary': { params: z.object({ path: z.string().min(1).max(4096) }), result: nothing },
  'settings.get': { params: none, result: settingsSchema },
  'settings.set': { params: settingsPatchSchema, result: settingsSchema },

  'vm.list': { params: none, result: z.array(vmSummarySchema) },
  'vm.get': { params: vm, result: vmSummarySchema },
  /** A name that is free, from a hint such as an OS or file name. */
  'vm.suggestName': { params: z.object({ hint: z.string().max(256) }), result: z.string() },
  /** What would go wrong with this machine, before anything is created. */
  'vm.preflight': { params: vmCreateSchema, result: z.array(checkSchema) },
  /** The files that its disks will be, as things are now. */
  'vm.planDisks': { params: vmCreateSchema, result: z.array(plannedDiskSchema) },
  'vm.create': { params: vmCreateSchema, result: vmSummarySchema },
  'vm.update': { params: vm.extend({ patch: vmPatchSchema }), result: vmSummarySchema },
  /** To the trash of the library; disks outside the VM folder are never touched. */
  'vm.delete': { params: vm, result: z.object({ trashId: z.string() }) },
  /** What `vm.delete` would do now, without doing it. */
  'vm.planDelete': {
    params: vm,
    result: z.object({
      /** Goes to the trash, with this many bytes and snapshots. */
      folder: z.string(),
      bytes: z.number(),
      snapshots: z.number(),
      /** Images elsewhere, which stay. */
      keeps: z.array(z.string()),
      /** Why it can't be done now. */
      refusal: errorSchema.nullable(),
    }),
  },
  'vm.restore': { params: z.object({ trashId: z.string().max(128) }), result: vmSummarySchema },
  /**
   * UEFI starts with its defaults next time; only while the machine is off. The variables there were are kept beside the others of its folder's files
   * under the name `keptAs`; null when there were none.
   */
  'vm.resetFirmware': { params: vm, result: z.object({ keptAs: z.string().nullable() }) },
  'vm.hardware': { params: vm, result: z.array(hardwareItemSchema) },
  'vm.log': { params: vm.extend({ lines: z.number().int().min(1).max(10_000) }), result: z.array(logEntrySchema) },
  /** What the machine did, of the last day at most. */
  'vm.history': { params: vm.extend({ range: historyRangeSchema }), result: machineHistorySchema },
  'host.history': { params: z.object({ range: historyRangeSchema }), result: hostHistorySchema },
  'vm.stats': { params: vm, result: vmStatsSchema.nullable() },

  /**
   * What machines would meet if they were started now, in this order, without starting them: everything that `vm.start` looks at before it begins, whether it is good or not. Each is
   * counted as if those before it were on.
   */
  'vm.check': { params: z.object({ ids: z.array(z.string().max(64)).min(1).max(MAX_BULK) }), result: z.array(startCheckSchema) },
  /** `despiteDisks`: goes on from a saved state although the times of disk files changed since (a folder that was copied). */
  /**
   * `passphrase` opens encrypted disks and is kept nowhere; without it, or with a wrong one, the start fails as 'unauthorized' with
   * `reason: 'passphrase-missing'` or `'passphrase-wrong'`.
   */
  'vm.start': {
    params: vm.extend({ despiteDisks: z.boolean().optional(), passphrase: z.string().min(1).max(512).optional() }),
    result: vmSummarySchema,
  },
  /** Writes the whole state of a running or paused machine to its folder and ends it; the next start goes on from there. */
  'vm.saveState': { params: vm, result: vmSummarySchema },
  /** The machine is off then, as after a power cut at the moment it was saved. */
  'vm.discardState': { params: vm, result: vmSummarySchema },
  'vm.pause': { params: vm, result: vmSummarySchema },
  'vm.resume': { params: vm, result: vmSummarySchema },
  /** Presses the ACPI power button; the guest decides. */
  'vm.shutdown': { params: vm, result: vmSummarySchema },
  /** Presses the ACPI power button; a guest that turns the machine off within a quarter of an hour is started again. What waits for the next start goes on waiting. */
  'vm.restart': { params: vm, result: vmSummarySchema },
  'vm.reset': { params: vm, result: vmSummarySchema },
  'vm.forceOff': { params: vm, result: vmSummarySchema },

  /** PNG of the current picture. */
  'vm.screenshot': { params: vm, result: z.object({ width: z.number(), height: z.number(), png: z.string() }) },
  /** PNG: live while running, at most 720 pixels wide; the last one otherwise, at most 1280; null before the first start. Base64. */
  'vm.thumbnail': { params: vm, result: z.object({ version: z.number(), png: z.string().nullable() }) },
  /** Characters of a text mode, null in graphics modes. */
  'vm.screenText': {
    params: vm,
    result: screenTextSchema.nullable(),
  },
  /** Types text as US-layout keystrokes, `delayMs` between keys. Rejects characters that have no key with 'invalid-argument'. */
  'vm.typeText': {
    params: vm.extend({ text: z.string().max(100_000), delayMs: z.number().int().min(0).max(1000).optional() }),
    result: nothing,
  },
  'vm.cancelTyping': { params: vm, result: nothing },
  /** Presses all keys in order, then releases them in reverse: ['ctrl','alt','delete']. */
  'vm.sendKeys': { params: vm.extend({ keys: z.array(z.string().max(32)).min(1).max(8) }), result: nothing },
  /** Replaces the medium of a removable drive, null ejects; works while running. */
  'vm.changeMedium': {
    params: vm.extend({ drive: driveSchema.shape.id, path: z.string().min(1).max(4096).nullable() }),
    result: vmSummarySchema,
  },
  /** How the host serves a drive: caching, discard, errors, limits. Replaces the whole policy; applies at once, also while it runs. */
  'vm.setDrivePolicy': { params: vm.extend({ drive: driveSchema.shape.id, policy: drivePolicySchema }), result: vmSummarySchema },
  /** Makes a hard disk larger, also while the machine runs; its partitions and file systems are the guest's to grow. */
  'vm.growDisk': {
    params: vm.extend({ drive: driveSchema.shape.id, sizeBytes: z.number().int().positive().multipleOf(512).max(Number.MAX_SAFE_INTEGER) }),
    result: vmSummarySchema,
  },
  /** Plugs a USB drive of the machine's configuration into it while it is on. `passphrase`: of an encrypted image, when it is not that of the machine's other disks. */
  'vm.plugDrive': {
    params: vm.extend({ drive: driveSchema.shape.id, passphrase: z.string().min(1).max(512).optional() }),
    result: vmSummarySchema,
  },
  /**
   * Pulls a USB drive out of a machine that is on; its configuration has it still, for the next start. What the guest has written by then is in the image; what it keeps in its own
   * memory is lost, so it had better eject the drive first.
   */
  'vm.unplugDrive': { params: vm.extend({ drive: driveSchema.shape.id }), result: vmSummarySchema },
  /** Lets gdb attach to a running machine; `command` is the line to type in gdb. Replaces a listener that is open. */
  'vm.openGdb': {
    params: vm.extend({ address: gdbListenSchema, architecture: z.enum(gdbArchitectures).optional() }),
    result: z.object({ command: z.string() }),
  },
  /** Ends the debugger's session, if there is one, and lets the guest go on. */
  'vm.closeGdb': { params: vm, result: nothing },
  /**
   * Where the time of the guest goes; `lines` of disassembly for each of the `top` hottest places, and for the `generated` hottest that are compiled the
   * WebAssembly made of them. With `count` true every compiled region counts its entries and exits from this profile on, which costs a little speed;
   * with false no longer, after this one.
   */
  'vm.profile': {
    params: vm.extend({
      top: z.number().int().min(0).max(256).default(20),
      lines: z.number().int().min(0).max(32).default(0),
      generated: z.number().int().min(0).max(16).default(0),
      count: z.boolean().optional(),
    }),
    result: guestProfileSchema,
  },

  ...hardwareMethods,
  ...usbMethods,
  ...consoleMethods,
  ...transferMethods,
  ...snapshotMethods,
  ...storageMethods,
  ...networkMethods,
  ...accessMethods,
  ...libraryMethods,
  ...diagnosticMethods,

  'task.list': { params: none, result: z.array(taskSchema) },
  /** Takes what has ended out of the list. */
  'task.clear': { params: none, result: nothing },
  /** Cancels what runs because this client asked for it; tells how many tasks. */
  'task.cancelOwn': { params: none, result: z.object({ cancelled: z.number().int() }) },
  'task.cancel': { params: z.object({ id: z.string().max(64) }), result: nothing },
} as const;

export type MethodName = keyof typeof methods;
export type Params<M extends MethodName> = z.input<(typeof methods)[M]['params']>;
/** Parameters after the schema filled in defaults: what the implementation receives. */
export type ParsedParams<M extends MethodName> = z.output<(typeof methods)[M]['params']>;
export type Result<M extends MethodName> = z.output<(typeof methods)[M]['result']>;

/** Events the manager pushes to every client. */
export const events = {
  'vm.changed': vmSummarySchema,
  'vm.removed': z.object({ id: z.string() }),
  /** About once a second for every running machine. */
  'vm.sampled': z.object({ id: z.string(), stats: vmStatsSchema }),
  'vm.logged': z.object({ id: z.string(), entry: logEntrySchema }),
  'settings.changed': settingsSchema,
  /** Devices of this computer came or went, or are used otherwise. Told while somebody looks: for two minutes after the last `host.devices`. */
  'host.devicesChanged': z.object({}),
  ...consoleEvents,
  ...snapshotEvents,
  ...storageEvents,
  ...networkEvents,
  ...accessEvents,
  ...libraryEvents,
  'task.changed': taskSchema,
} as const;
export type EventName = keyof typeof events;
export type EventPayload<E extends EventName> = z.output<(typeof events)[E]>;

/** Byte channels of a running machine. */
export const channelKinds = ['rfb', 'serial0', 'serial1'] as const;
export type ChannelKind = (typeof channelKinds)[number];
