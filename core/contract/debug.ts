import { z } from 'zod';

/** Where gdb attaches: a port of this computer alone (0 takes a free one), or a Unix socket. */
export const gdbListenSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('tcp'), port: z.number().int().min(0).max(65535) }),
  z.object({
    type: z.literal('unix'),
    path: z
      .string()
      .min(1)
      .max(4096)
      .regex(/^[^\0]*$/),
  }),
]);
export type GdbListen = z.infer<typeof gdbListenSchema>;

export const gdbArchitectures = ['i8086', 'i386', 'x86-64'] as const;

/** The `debug` part of vm.json: nothing listens unless it says so. */
export const vmDebugSchema = z.object({
  gdb: gdbListenSchema.nullable().default(null),
  /** Stop before the first instruction until gdb continues; with `gdb`. */
  wait: z.boolean().default(false),
});

const count = z.number();
const accessSchema = z.object({ address: z.number(), reads: count, writes: count });

/** Where the time of a guest goes; the fields are those of core/cpu/statistics.ts. Counted since the machine started. */
export const guestProfileSchema = z.object({
  statistics: z.object({
    accelerator: z.string(),
    instructions: count,
    interpretedInstructions: count,
    regions: z.object({ compiled: count, alive: count, evicted: count, invalidated: count }),
    compile: z.object({ modules: count, totalMs: count, maxMs: count, offThreadMs: count }),
    generatedBytes: count,
    generatedBytesAlive: count,
    exits: z.record(z.string(), count),
    tlb: z.object({ readMisses: count, writeMisses: count, fetchMisses: count, flushes: count }),
    faults: z.record(z.string(), count),
    interrupts: count,
    nmis: count,
    codePagesDropped: count,
    hottest: z.array(
      z.object({
        address: z.string(),
        physical: z.number().optional(),
        bits: z.union([z.literal(16), z.literal(32), z.literal(64)]),
        instructions: count,
        entries: count,
        exits: z.object({ linked: count, unlinked: count, slice: count, step: count, faults: count, interpreter: count }).optional(),
        bytes: z.number(),
        sampled: z.boolean(),
        tier: z.enum(['interpreter', 'compiled']),
        code: z.array(z.string()).optional(),
        generated: z.array(z.string()).optional(),
      }),
    ),
  }),
  ports: z.array(accessSchema),
  mmio: z.array(accessSchema),
  seconds: z.number(),
  haltedSeconds: z.number(),
});
