import { z } from 'zod';

/** The folders of machines count as one pool, in which nothing is created by hand. */
export const MACHINES_POOL = 'machines';
/** The pool that is always there, beside the folder of the machines. */
export const DEFAULT_POOL = 'default';

export const poolIdSchema = z.string().regex(/^(machines|default|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/);
