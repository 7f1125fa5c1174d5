import { z } from 'zod';
import { saidSchema } from './said.ts';

/** Stable failure kinds: clients switch on these. */
export const errorKinds = [
  'not-found',
  'already-exists',
  'invalid-argument',
  'invalid-state',
  'permission-denied',
  'in-use',
  'no-space',
  'io-error',
  'corrupt',
  'unsupported',
  'resource-limit',
  'unauthorized',
  'vm-crashed',
  'timeout',
  'cancelled',
  'internal',
] as const;
export type ErrorKind = (typeof errorKinds)[number];

/** What the failure is about: `object` a machine or device name, `path` a file, `operation` a verb. */
export const errorContextSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.undefined()]));

/** Every failure that crosses the contract: what happened, to which object, what the user can do. */
export const errorSchema = z.object({
  kind: z.enum(errorKinds),
  message: z.string(),
  context: errorContextSchema,
  fix: z.string().optional(),
  /** The same two for clients that speak other languages. */
  said: saidSchema.optional(),
  saidFix: saidSchema.optional(),
});
export type ErrorDto = z.infer<typeof errorSchema>;
