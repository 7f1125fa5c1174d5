/** Whether this computer has what Hypervue needs, and what to do where it has not. */
import { z } from 'zod';
import { saidSchema } from './said.ts';

export const diagnosticIds = [
  'runtime',
  'engine',
  'wasm',
  'firmware',
  'uefi',
  'library',
  'config',
  'locks',
  'space',
  'memory',
  'load',
  'clock',
  'kvm',
  'qemuImg',
  'port',
  'networks',
  'hostNetworks',
  'systems',
  'sample',
] as const;
export type DiagnosticId = (typeof diagnosticIds)[number];

/** `info`: neither good nor bad, such as a program that is not needed and not there. */
export const diagnosticStates = ['ok', 'info', 'warning', 'error'] as const;
export type DiagnosticState = (typeof diagnosticStates)[number];

export const diagnosticSchema = z.object({
  id: z.enum(diagnosticIds),
  state: z.enum(diagnosticStates),
  /** What was found. */
  message: z.string(),
  /** What to do by hand; absent while all is well. */
  how: z.string().optional(),
  /** The same two for clients that speak other languages. */
  said: saidSchema.optional(),
  saidHow: saidSchema.optional(),
  /** `host.fix` can mend it. */
  fixable: z.boolean(),
});
export type Diagnostic = z.infer<typeof diagnosticSchema>;

export const diagnosticMethods = {
  /** Looks at everything anew; takes a second or two. */
  'host.diagnose': { params: z.object({}), result: z.array(diagnosticSchema) },
  /** Mends what a check found, where that can be done without asking for rights, and looks again. */
  'host.fix': { params: z.object({ id: z.enum(diagnosticIds) }), result: diagnosticSchema },
} as const;
