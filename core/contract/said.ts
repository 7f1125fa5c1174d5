/** The form in which the texts of texts.ts travel. Apart from those, because a machine's thread says them too and needs no schemas, which take memory of it. */
import { z } from 'zod';

const plainParam = z.union([z.string(), z.number()]);
const key = z.string().max(64);
const innermost = z.object({ key, params: z.record(z.string(), plainParam) });
const inner = z.object({ key, params: z.record(z.string(), z.union([plainParam, innermost])) });

/** Two sayings may stand in one another: a failure that tells of a failure that tells of a state. */
export const saidSchema = z.object({ key, params: z.record(z.string(), z.union([plainParam, inner])) });
export type Said = z.infer<typeof saidSchema>;
