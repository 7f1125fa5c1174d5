import { z } from 'zod';
import { givenPassphrase, storagePathSchema } from './storage.ts';
import { saidSchema } from './said.ts';
import { checkSchema, vmNameSchema, vmSummarySchema } from './vm.ts';

/** Machines that become others, come from elsewhere, or go there. */
/** What was made otherwise than it was; `saidNotes` are the same for clients that speak other languages. */
const notes = { notes: z.array(z.string()), saidNotes: z.array(saidSchema).optional() };
const vm = z.object({ id: z.string().max(64) });

export const transferMethods = {
  /**
   * A new machine like this one, which must be off. `linked`: its disks lie on top of this one's, which then no longer change: those of a template stay
   * as they are, any other machine goes on with disks on top of them too. Encrypted disks want their passphrase, which opens those of the new machine as well.
   */
  'vm.clone': {
    params: vm.extend({ name: vmNameSchema, linked: z.boolean().default(false), passphrase: givenPassphrase }),
    result: vmSummarySchema,
  },
  /** A template never starts; machines are made from it. */
  'vm.setTemplate': { params: vm.extend({ template: z.boolean() }), result: vmSummarySchema },
  /** What is in a folder that holds a machine, and what importing it would come upon. */
  'vm.inspectFolder': {
    params: z.object({ folder: storagePathSchema }),
    result: z.object({
      name: z.string(),
      os: z.string(),
      memoryMiB: z.number(),
      sizeBytes: z.number(),
      /** Drives with a disk that is there, but outside the folder. */
      outsideDisks: z.array(z.string()).default([]),
      /** What copying these too comes to: all bytes, and the check of room that counts instead of the one in `checks`. Null without any. */
      withDisks: z.object({ sizeBytes: z.number(), space: checkSchema }).nullable().default(null),
      checks: z.array(checkSchema),
    }),
  },
  /** Takes a machine's folder into the library; `copyDisks`: a copy of it, with copies of the disks that lie outside. `notes` say what had to be changed. */
  'vm.import': {
    params: z.object({ folder: storagePathSchema, how: z.enum(['copy', 'copyDisks', 'move']).default('copy') }),
    result: z.object({ machine: vmSummarySchema, ...notes }),
  },
  /** Copies a machine that is off, with every disk it needs, into a new folder below `folder`: it can be carried to another computer. */
  'vm.export': {
    params: vm.extend({ folder: storagePathSchema }),
    result: z.object({ folder: z.string(), ...notes }),
  },
  /** A new machine from an OVA file, or from an OVF descriptor with its files beside it. */
  'vm.importOva': {
    params: z.object({ file: storagePathSchema }),
    result: z.object({ machine: vmSummarySchema, ...notes }),
  },
  /** Writes a machine that is off as one OVA file, which other programs take in. Never overwrites. */
  'vm.exportOva': {
    params: vm.extend({ file: storagePathSchema, passphrase: givenPassphrase }),
    result: z.object({ file: z.string(), ...notes }),
  },
} as const;
