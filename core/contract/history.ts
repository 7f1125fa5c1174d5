import { z } from 'zod';

/** How far back to look, and how fine: 300 steps of a second, 360 of ten seconds, 1440 of a minute. */
export const historyRanges = ['minutes', 'hour', 'day'] as const;
export type HistoryRange = (typeof historyRanges)[number];

/**
 * What is kept of a machine: share of one host CPU; guest instructions, calls of its devices (exits from guest code), bytes read and written, bytes that its
 * network cards received and sent, and pictures shown, each a second; resident memory in bytes.
 */
export const machineMetrics = [
  'cpu',
  'instructions',
  'deviceCalls',
  'memory',
  'diskRead',
  'diskWrite',
  'netReceive',
  'netSend',
  'frames',
] as const;
export type MachineMetric = (typeof machineMetrics)[number];

/** And of the host: share of all its CPUs, memory in use in bytes, and of these the part of the machines (share of one CPU; bytes). */
export const hostMetrics = ['cpu', 'memory', 'machinesCpu', 'machinesMemory'] as const;
export type HostMetric = (typeof hostMetrics)[number];

/** Mean values of steps, oldest first; null where nothing was measured. All series have the same length. */
const series = z.array(z.number().nullable());
const historyOf = <M extends string>(metrics: readonly M[]) =>
  z.object({
    stepSeconds: z.number(),
    /** End of the last step, ISO 8601. */
    endsAt: z.string(),
    series: z.object(Object.fromEntries(metrics.map((metric) => [metric, series])) as Record<M, typeof series>),
  });

export const historyRangeSchema = z.enum(historyRanges);
export const machineHistorySchema = historyOf(machineMetrics);
export type MachineHistory = z.infer<typeof machineHistorySchema>;
export const hostHistorySchema = historyOf(hostMetrics);
export type HostHistory = z.infer<typeof hostHistorySchema>;
