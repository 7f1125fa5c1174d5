import { z } from 'zod';
import { saidSchema } from './said.ts';
import { driveBusSchema } from './drives.ts';
import { diskFormats, newPassphraseSchema, vmSummarySchema } from './vm.ts';

/** What a machine is made of as text: its vm.json, and its like in the terms of QEMU's command line. */
const vm = z.object({ id: z.string().max(64) });

/** Longest vm.json that is taken: far more than one with every drive needs. */
export const MAX_CONFIG_TEXT = 256 * 1024;

/** An option of QEMU's command line and what it stands for in the machine. */
export const explainedOptionSchema = z.object({
  /** As it is given to the program, not quoted: `['-m', '512M']`. */
  words: z.array(z.string()),
  note: z.string(),
  said: saidSchema.optional(),
});
export type ExplainedOption = z.infer<typeof explainedOptionSchema>;

export const explanationSchema = z.object({
  program: z.string(),
  options: z.array(explainedOptionSchema),
  /** Where the machine and QEMU's differ, and what QEMU has nothing for. */
  remarks: z.array(z.string()),
  saidRemarks: z.array(saidSchema).optional(),
  /** All of it as one command for a POSIX shell, an option a line. */
  command: z.string(),
});
export type Explanation = z.infer<typeof explanationSchema>;

/** A former vm.json that is kept in the machine's folder. */
const configBackupSchema = z.object({ name: z.string(), at: z.string() });

export const hardwareMethods = {
  /** `now`: what a machine that is on was started with, else what its vm.json says. */
  'vm.explain': { params: vm.extend({ now: z.boolean().default(false) }), result: explanationSchema },
  /** vm.json as it is, also when it can't be understood; with `backup` a former one. `backups`: newest first. */
  'vm.configText': {
    params: vm.extend({ backup: z.string().max(128).optional() }),
    result: z.object({ text: z.string(), path: z.string(), backups: z.array(configBackupSchema) }),
  },
  /**
   * Replaces vm.json; the former one is kept beside it as `keptAs`. What is about hardware applies at the next start of a machine that is on. `before`: the
   * text that was edited; refused when the file is another one by now.
   */
  'vm.setConfigText': {
    params: vm.extend({ text: z.string().max(MAX_CONFIG_TEXT), before: z.string().max(MAX_CONFIG_TEXT).optional() }),
    result: z.object({ machine: vmSummarySchema, keptAs: z.string() }),
  },
  /** Makes a new image in the machine's folder and a drive for it; a machine that is on has the drive from its next start. */
  'vm.addDisk': {
    params: vm.extend({
      sizeBytes: z
        .number()
        .int()
        .min(1024 * 1024)
        .max(8 * 1024 ** 4)
        .multipleOf(512),
      format: z.enum(diskFormats),
      bus: driveBusSchema,
      /** Encrypts it (qcow2 only); kept nowhere. */
      passphrase: newPassphraseSchema.optional(),
    }),
    result: z.object({ machine: vmSummarySchema, drive: z.string() }),
  },
  /**
   * Makes a block device of this computer a disk of the machine, raw, from its next start on; refused while this computer or another machine uses it, or a part of it. `device`: any path that
   * leads to it. It is taken back as other disks are, by `vm.update`.
   */
  'vm.giveDevice': {
    params: vm.extend({
      device: z.string().min(1).max(4096).startsWith('/'),
      /** As its other disks when absent. */
      bus: driveBusSchema.optional(),
      readOnly: z.boolean().default(false),
    }),
    result: z.object({ machine: vmSummarySchema, drive: z.string() }),
  },
  /** Takes back what vm.json says about the next start of a machine that is on. */
  'vm.revertPending': { params: vm, result: vmSummarySchema },
} as const;
